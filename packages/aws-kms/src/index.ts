export { type AwsKmsOptions, awsKms, masterKeyFromUri } from "./aws-kms.ts";
export type { AwsKmsCallOptions, AwsKmsClient } from "./client.ts";
