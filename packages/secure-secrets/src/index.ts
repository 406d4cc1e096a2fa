export {
  type Fernet,
  type FernetDecryptOptions,
  type FernetEncryptOptions,
  fernet,
  newFernet,
} from "./fernet.ts";
export {
  createKeyManagement,
  type FernetKey,
  type KeyManagement,
  type KeyManagementOptions,
} from "./key-management.ts";
export { type MasterSecret, sealedMasterSecret, sealMasterSecret } from "./master-secret.ts";
export {
  createMigration,
  type MigrateManyOptions,
  type MigrateOptions,
  type Migration,
  type MigrationOptions,
  type MigrationResult,
  type SecretRecord,
} from "./migration.ts";
