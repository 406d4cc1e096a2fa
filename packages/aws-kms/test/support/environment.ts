/** Environment variables by which the SDK's chain finds no credentials and no region, wherever the tests run. */
export const withoutCredentials: readonly (readonly [name: string, value: string | undefined])[] = [
  ["AWS_ACCESS_KEY_ID", undefined],
  ["AWS_SECRET_ACCESS_KEY", undefined],
  ["AWS_SESSION_TOKEN", undefined],
  ["AWS_PROFILE", undefined],
  ["AWS_REGION", undefined],
  ["AWS_DEFAULT_REGION", undefined],
  ["AWS_ENDPOINT_URL", undefined],
  ["AWS_ENDPOINT_URL_KMS", undefined],
  ["AWS_WEB_IDENTITY_TOKEN_FILE", undefined],
  ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", undefined],
  ["AWS_CONTAINER_CREDENTIALS_FULL_URI", undefined],
  ["AWS_EC2_METADATA_DISABLED", "true"],
  ["AWS_CONFIG_FILE", "/nonexistent/config"],
  ["AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials"],
];
