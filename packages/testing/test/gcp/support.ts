/** The raw SDK against the fake. */

import { KeyManagementServiceClient } from "@google-cloud/kms";
import { onTestFinished } from "vitest";
import { crc32c } from "../../src/gcp/crc32c.ts";
import { type FakeGcpKms, startFakeGcpKms } from "../../src/gcp/fake-gcp-kms.ts";

export const plaintext: Buffer = Buffer.from("a secret that a master key wraps");
export const aad: Buffer = Buffer.from("what it is bound to");
/** One attempt, and an end long before the SDK's own. */
export const once: { timeout: number; retry: { retryCodes: number[] } } = {
  timeout: 10_000,
  retry: { retryCodes: [] },
};

/** What is waited for comes at once, but on a busy machine. */
export const soon = { timeout: 30_000 } as const;

/** A fake that ends with the test. */
export async function start(): Promise<FakeGcpKms> {
  const kms = await startFakeGcpKms();
  onTestFinished(() => kms.close());
  return kms;
}

/** The SDK's client, closed after the test. */
export function clientOf(
  options: ConstructorParameters<typeof KeyManagementServiceClient>[0],
): KeyManagementServiceClient {
  const client = new KeyManagementServiceClient(options);
  onTestFinished(async () => {
    await client.close().catch(() => undefined);
  });
  return client;
}

export function checksum(bytes: Uint8Array): { value: number } {
  return { value: crc32c(bytes) };
}

export interface Failure {
  readonly code: unknown;
  readonly message: string;
  readonly statusDetails?: readonly Record<string, unknown>[];
}

/** What the SDK rejects with. */
export async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  try {
    await promise;
  } catch (error) {
    return error as Failure;
  }
  throw new Error("It was not refused.");
}
