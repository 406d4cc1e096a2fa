export type { Bytes } from "./bytes.ts";
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
export {
  createKeyfold,
  type DetachedBytes,
  type Inspection,
  type Keyfold,
  type Plaintext,
  type Stats,
} from "./keyfold.ts";
export type { KeyOperation, MasterKeyProvider, WrappedKey } from "./master-key.ts";
export type { DetachedEnvelope, Envelope, OperationOptions } from "./operations.ts";
export type { KeyfoldOptions } from "./options.ts";
export { type MasterKeysFromUriOptions, masterKeysFromUri, type ProviderModule } from "./uri.ts";
