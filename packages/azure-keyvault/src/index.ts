export type { AzureKeyVaultAlgorithm } from "./algorithms.ts";
export {
  type AzureKeyVaultKey,
  type AzureKeyVaultOptions,
  type AzureKeyVaultSettings,
  azureKeyVault,
} from "./azure-keyvault.ts";
export type {
  AzureCallOptions,
  AzureCredential,
  AzureCryptographyClient,
  AzureGcmReply,
  AzureKey,
  AzureKeysClient,
  AzureKeyVaultClient,
  AzureRawResponse,
  AzureReply,
} from "./client.ts";
export { masterKeyFromUri } from "./uri.ts";
