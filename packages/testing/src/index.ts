export {
  type FakeAwsAction,
  type FakeAwsClientConfig,
  type FakeAwsKeyOptions,
  type FakeAwsKms,
  type FakeAwsKmsOptions,
  startFakeAwsKms,
} from "./aws/fake-aws-kms.ts";
export type { AwsKeyState } from "./aws/key-store.ts";
export {
  type FakeAzureClientOptions,
  type FakeAzureKeyOptions,
  type FakeAzureKeyVault,
  type FakeAzureKeyVaultOptions,
  startFakeAzureKeyVault,
} from "./azure/fake-azure-key-vault.ts";
export type { FakeAzureKeyType, FakeAzureMaterial } from "./azure/key-material.ts";
export type { FakeAzurePermission } from "./azure/key-store.ts";
export type { FakeAzureCredential } from "./azure/tokens.ts";
export { type TestRunner, testMasterKeyProvider } from "./contract/suite.ts";
export type { FakeRequest, Fault, InjectOptions } from "./faults.ts";
export {
  type FakeGcpKms,
  type FakeGcpKmsClientOptions,
  type GcpKeyOptions,
  type GcpOperation,
  type GcpProtectionLevel,
  startFakeGcpKms,
} from "./gcp/fake-gcp-kms.ts";
export {
  type KeyringStoreRule,
  type KeyringStoreSubject,
  type RunningKeyringStore,
  testKeyringStore,
} from "./keyring-store-suite.ts";
export {
  type MemoryCall,
  type MemoryCalls,
  type MemoryFailOptions,
  type MemoryFailure,
  type MemoryMasterKey,
  type MemoryMasterKeyOptions,
  type MemoryOperation,
  memoryMasterKey,
} from "./memory-master-key.ts";
export type {
  AliasLever,
  BadReply,
  FailureKind,
  FailureLever,
  OtherKey,
  ProviderModuleSubject,
  ProviderSubject,
  RuleId,
  RunningSubject,
} from "./subject.ts";
