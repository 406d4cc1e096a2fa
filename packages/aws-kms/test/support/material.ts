/** A fake AWS KMS, clients for it, and what is wrapped. */

import { KMSClient, type KMSClientConfig } from "@aws-sdk/client-kms";
import type { EncryptionContext, KeyOperation } from "@keyfold/core";
import { type FakeAwsKms, startFakeAwsKms } from "@keyfold/testing";
import { onTestFinished } from "vitest";
import { type AwsKmsOptions, awsKms } from "../../src/index.ts";

export type { FakeAwsKms };

export const secret: Uint8Array<ArrayBuffer> = Uint8Array.from({ length: 32 }, (_, i) => 0xc0 - i);
export const kmsContext: EncryptionContext = {
  "keyfold:project": "billing/prod",
  "keyfold:purpose": "kdk",
};

export function operation(
  context: EncryptionContext = kmsContext,
  signal: AbortSignal = new AbortController().signal,
): KeyOperation {
  return { context, signal };
}

/** A fake that ends with the test. */
export async function startKms(): Promise<FakeAwsKms> {
  const kms = await startFakeAwsKms();
  onTestFinished(() => kms.close());
  return kms;
}

/** A client for it as the README tells users to make one, which ends with the test. */
export function clientFor(
  kms: FakeAwsKms,
  config: KMSClientConfig & { systemClockOffset?: number } = {},
): KMSClient {
  const client = new KMSClient({ ...kms.clientConfig, maxAttempts: 1, ...config });
  onTestFinished(() => client.destroy());
  return client;
}

export function providerFor(kms: FakeAwsKms, options: Partial<AwsKmsOptions> = {}) {
  return awsKms({ keyId: kms.keyArn, client: clientFor(kms), ...options });
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
