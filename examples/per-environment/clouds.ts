/**
 * How the program reaches this example's Google Cloud: a fake on this machine, at the port that the demonstration names.
 * AWS needs nothing here, as its SDK takes an endpoint from the environment. With real clouds there is no such file, and
 * `masterKeysFromUri` has one argument.
 */

import type { MasterKeysFromUriOptions } from "@keyfold/core";

const port = process.env["FAKE_GCP_KMS_PORT"];

export const providers: NonNullable<MasterKeysFromUriOptions["providers"]> =
  port === undefined ? {} : { "gcp-kms": () => fakeGoogleCloud(Number(port)) };

async function fakeGoogleCloud(port: number) {
  const { gcpKms } = await import("@keyfold/gcp-kms");
  const { KeyManagementServiceClient } = await import("@google-cloud/kms");
  const { googleAuthLibrary, grpc } = await import("google-gax");
  const client = new KeyManagementServiceClient({
    apiEndpoint: "127.0.0.1",
    port,
    sslCreds: grpc.credentials.createInsecure(),
    authClient: new googleAuthLibrary.OAuth2Client(),
  });
  return {
    masterKeyFromUri: (uri: string) => gcpKms({ keyName: uri.slice("gcp-kms://".length), client }),
  };
}
