/** What the cases work with: keys, contexts, and assertions that say what went wrong. */

import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import {
  type EncryptionContext,
  KeyfoldError,
  type KeyfoldErrorCode,
  type KeyOperation,
  type MasterKeyProvider,
  type WrappedKey,
} from "@keyfold/core";
import { type Bytes, KEY_BYTES } from "@keyfold/core/provider";
import type { RunningSubject } from "../subject.ts";

/** As keyfold itself makes it. */
export const kmsContext: EncryptionContext = Object.freeze({
  "keyfold:project": "billing/prod",
  "keyfold:purpose": "kdk",
});

export function operation(
  context: EncryptionContext = kmsContext,
  signal: AbortSignal = new AbortController().signal,
): KeyOperation {
  return { context, signal };
}

export function drawKey(): Bytes {
  return randomFillSync(new Uint8Array(KEY_BYTES));
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}

export function sameBytes(actual: Uint8Array | undefined, expected: Uint8Array, what: string): void {
  assert.ok(actual instanceof Uint8Array, `${what}: there are no bytes`);
  assert.equal(hex(actual), hex(expected), `${what}: other bytes`);
}

/** Asserts that `wrapped` opens to `key`. */
export async function opens(
  provider: MasterKeyProvider,
  wrapped: WrappedKey,
  key: Uint8Array,
  what: string,
  context: EncryptionContext = kmsContext,
): Promise<void> {
  sameBytes(await provider.unwrapKey(wrapped, operation(context)), key, what);
}

/** What `call` rejects with or throws; a failed assertion where it succeeds. */
export async function failureOf(what: string, call: () => Promise<unknown>): Promise<unknown> {
  const [outcome] = await Promise.allSettled([(async () => call())()]);
  assert.equal(outcome.status, "rejected", `${what}: nothing refused it`);
  return outcome.status === "rejected" ? outcome.reason : undefined;
}

/** Asserts that `call` fails with a `KeyfoldError` of one of the codes, and gives it. */
export async function refusal(
  what: string,
  codes: KeyfoldErrorCode | readonly KeyfoldErrorCode[],
  call: () => Promise<unknown>,
): Promise<KeyfoldError> {
  const error = await failureOf(what, call);
  assert.ok(error instanceof KeyfoldError, `${what}: ${String(error)} is no KeyfoldError`);
  const allowed = [codes].flat();
  assert.ok(allowed.includes(error.code), `${what}: ${error.code} instead of ${allowed.join(" or ")}`);
  return error;
}

/** Asserts that the service sees no request to wrap or unwrap while `body` runs. */
export async function withoutRequest(
  running: RunningSubject,
  what: string,
  body: () => Promise<unknown>,
): Promise<void> {
  const before = running.requests();
  await body();
  assert.equal(running.requests() - before, 0, `${what}: the service was asked`);
}

const AT_ONCE = 8;

/** Runs `each` for every item, a few at a time: a service need not take hundreds at once. */
export async function inBatches<T>(items: readonly T[], each: (item: T) => Promise<unknown>): Promise<void> {
  for (let start = 0; start < items.length; start += AT_ONCE) {
    await Promise.all(items.slice(start, start + AT_ONCE).map(each));
  }
}
