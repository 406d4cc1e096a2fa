export type { Bytes } from "./bytes.ts";
export { type EncryptionContext, encodeContext, type KeyPurpose } from "./context.ts";
export {
  type ErrorEntry,
  errorTable,
  KeyfoldError,
  type KeyfoldErrorCode,
  type KeyfoldErrorOptions,
  type UnwrapAttempt,
} from "./errors.ts";
export type { KeyOperation, MasterKeyProvider, WrappedKey } from "./master-key.ts";
