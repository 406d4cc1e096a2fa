/** The fake service, the real SDK's client on it, and a provider on that. */

import { KeyManagementServiceClient } from "@google-cloud/kms";
import {
  type EncryptionContext,
  encodeContext,
  type KeyOperation,
  type MasterKeyProvider,
} from "@keyfold/core";
import { type FakeGcpKms, startFakeGcpKms } from "@keyfold/testing";
import { onTestFinished } from "vitest";
import { type GcpCallOptions, type GcpKmsClient, gcpKms } from "../../src/index.ts";

export const key: Uint8Array = Uint8Array.from({ length: 32 }, (_, index) => 7 * index + 3);
export const context: EncryptionContext = { "keyfold:project": "billing/prod", "keyfold:purpose": "kdk" };
export const aad: Uint8Array = encodeContext(context);

/** What is waited for comes at once, but on a busy machine. */
export const soon = { timeout: 30_000 } as const;

export function operation(signal: AbortSignal = new AbortController().signal): KeyOperation {
  return { context, signal };
}

/** A fake that ends with the test. */
export async function startService(): Promise<FakeGcpKms> {
  const kms = await startFakeGcpKms();
  onTestFinished(() => kms.close());
  return kms;
}

/** A client of the real SDK, as another process would have it. */
export function realClient(kms: FakeGcpKms, port: number = kms.port): KeyManagementServiceClient {
  const client = new KeyManagementServiceClient({ ...kms.clientOptions, port });
  onTestFinished(() => client.close());
  return client;
}

/** The same client, to which the SDK gives less time than the provider asks for. */
export function impatient(client: GcpKmsClient): GcpKmsClient {
  const sooner = (options: GcpCallOptions) => ({ ...options, timeout: 300 });
  return {
    encrypt: (request, options) => client.encrypt(request, sooner(options)),
    decrypt: (request, options) => client.decrypt(request, sooner(options)),
  };
}

export function providerOf(kms: FakeGcpKms, keyName: string = kms.keyName): MasterKeyProvider {
  return gcpKms({ keyName, client: realClient(kms) });
}

export async function serve(): Promise<{ kms: FakeGcpKms; provider: MasterKeyProvider; uri: string }> {
  const kms = await startService();
  return { kms, provider: providerOf(kms), uri: `gcp-kms://${kms.keyName}` };
}
