export type {
  GcpCallOptions,
  GcpChecksum,
  GcpDecryptReply,
  GcpDecryptRequest,
  GcpEncryptReply,
  GcpEncryptRequest,
  GcpKmsClient,
} from "./client.ts";
export { type GcpKmsOptions, gcpKms, masterKeyFromUri } from "./gcp-kms.ts";
