export type { Bytes } from "./bytes.ts";
export type { OperationOptions } from "./callers.ts";
export type { Clock } from "./clock.ts";
export { type EncryptionContext, encodeContext, type KeyPurpose } from "./context.ts";
export {
  type ErrorEntry,
  errorTable,
  KeyfoldError,
  type KeyfoldErrorCode,
  type KeyfoldErrorOptions,
  type UnwrapAttempt,
} from "./errors.ts";
export type { OpenedFields, SealedField, SealedFields } from "./field-types.ts";
export type { FieldValue, JsonValue } from "./field-values.ts";
export type { SealFieldsOptions } from "./fields.ts";
export type { ManyResult } from "./in-order.ts";
export type { Items } from "./input.ts";
export {
  createKeyfold,
  type DetachedBytes,
  type Inspection,
  type Keyfold,
  type Plaintext,
  type Stats,
} from "./keyfold.ts";
export {
  type ChangeOptions,
  type CreateKeyringOptions,
  createKeyring,
  type DestroyOptions,
  type Keyring,
  type KeyringKeySummary,
  type KeyringSummary,
  type OpenKeyringOptions,
  openKeyring,
  type WrapVerification,
} from "./keyring.ts";
export type { KdkState } from "./keyring-document.ts";
export { type KeyringStore, memoryKeyringStore, type StoredKeyring, staticKeyring } from "./keyring-store.ts";
export type { ItemToOpen, ItemToSeal, ManyOptions } from "./many.ts";
export type { KeyOperation, MasterKeyProvider, WrappedKey } from "./master-key.ts";
export type { DetachedEnvelope, Envelope } from "./operations.ts";
export type { KeyfoldOptions } from "./options.ts";
export type { ByteRange, ByteSource } from "./ranges.ts";
export type {
  CacheMessage,
  KeyfoldMessages,
  KeyringMessage,
  RequestMessage,
  SecretMessage,
} from "./telemetry.ts";
export { type MasterKeysFromUriOptions, masterKeysFromUri, type ProviderModule } from "./uri.ts";
