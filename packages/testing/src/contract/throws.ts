/** rejects-never-throws. */

import assert from "node:assert/strict";
import { KeyfoldError, type KeyOperation, type MasterKeyProvider, type WrappedKey } from "@keyfold/core";
import { type ContractCase, serviceCase } from "./case.ts";
import { drawKey, operation } from "./tools.ts";

/** What is no 32-byte key: from JavaScript anything may come. */
const notKeys: readonly unknown[] = [
  undefined,
  null,
  "a key of thirty-two characters..",
  32,
  {},
  new Array(32).fill(7),
  new ArrayBuffer(32),
  new DataView(new ArrayBuffer(32)),
  new Uint16Array(32),
  new Uint8Array(31),
];

const notContexts: readonly unknown[] = [
  null,
  "text",
  [],
  new Map([["a", "b"]]),
  { a: 1 },
  { a: "\ud800" },
  { "": "b" },
];

const notOperations: readonly unknown[] = [undefined, null, 7, {}, { context: {} }];

const notWraps: readonly unknown[] = [undefined, null, 7, {}, { masterKey: 7, ciphertext: "text" }];

const uris: readonly string[] = [
  "",
  " ",
  ":",
  "aws-kms:",
  "aws-kms://arn:aws:kms:eu-west-1:111122223333:key/",
  "aws-kms://arn:aws:kms:::key/1234",
  "gcp-kms://projects/p/locations/l/keyRings/r/cryptoKeys/",
  "azure-keyvault://",
  "azure-keyvault://host/keys/name/not-a-version",
  "local:",
  "passphrase",
  "memory:",
  "https://user:password@[::1]:99999/%zz?#",
  "__proto__",
  "🔑\ud800\0",
  "a".repeat(1_000_000),
  "aws-kms://".repeat(10_000),
];

const notUris: readonly unknown[] = [undefined, null, 7, {}, ["local:"]];

export const throws: readonly ContractCase[] = [
  serviceCase("rejects-never-throws", "wrapKey", async (running) => {
    const provider = running.provider();
    for (const key of notKeys) {
      await rejects(`wrapKey of ${label(key)}`, () => provider.wrapKey(key as Uint8Array, operation()), true);
    }
    for (const context of notContexts) {
      const wrong = { ...operation(), context } as KeyOperation;
      await rejects(
        `wrapKey with the context ${label(context)}`,
        () => provider.wrapKey(drawKey(), wrong),
        true,
      );
    }
    for (const wrong of notOperations as readonly KeyOperation[]) {
      await rejects(`wrapKey with the operation ${label(wrong)}`, () => provider.wrapKey(drawKey(), wrong));
    }
  }),

  serviceCase("rejects-never-throws", "unwrapKey", async (running) => {
    const provider = running.provider();
    const wrapped = await provider.wrapKey(drawKey(), operation());
    const empty = { ...wrapped, ciphertext: new Uint8Array() };
    await rejects("unwrapKey of no bytes", () => provider.unwrapKey(empty, operation()), true);
    for (const context of notContexts) {
      const wrong = { ...operation(), context } as KeyOperation;
      await rejects(
        `unwrapKey with the context ${label(context)}`,
        () => provider.unwrapKey(wrapped, wrong),
        true,
      );
    }
    for (const wrong of notWraps as readonly WrappedKey[]) {
      await rejects(`unwrapKey of ${label(wrong)}`, () => provider.unwrapKey(wrong, operation()));
    }
    for (const wrong of notOperations as readonly KeyOperation[]) {
      await rejects(`unwrapKey with the operation ${label(wrong)}`, () => provider.unwrapKey(wrapped, wrong));
    }
  }),

  serviceCase("rejects-never-throws", "recognizes says true or false of anything", async (running) => {
    const provider = running.provider();
    recognizesAll(provider);
    await provider.wrapKey(drawKey(), operation());
    recognizesAll(provider);
    await closeOf(provider);
    recognizesAll(provider);
  }),

  serviceCase("rejects-never-throws", "load and close", async (running) => {
    const provider = running.provider();
    if (provider.load !== undefined) {
      const loaded = provider.load();
      assert.ok(loaded instanceof Promise, "load gives no promise");
      await loaded;
    }
    await closeOf(provider);
    const key = drawKey();
    await rejects("wrapKey once closed", () => provider.wrapKey(key, operation()), true);
  }),
];

/** Asserts that the call gives a promise, which rejects; with a `KeyfoldError` where what is wrong is a value and not its type. */
async function rejects(what: string, call: () => Promise<unknown>, hasCode = false): Promise<void> {
  const promise = begun(what, call);
  const [outcome] = await Promise.allSettled([promise]);
  assert.equal(outcome.status, "rejected", `${what} does not reject`);
  const reason: unknown = outcome.status === "rejected" ? outcome.reason : undefined;
  assert.ok(reason instanceof Error, `${what} rejects with something else than an Error`);
  if (hasCode)
    assert.ok(reason instanceof KeyfoldError, `${what} rejects with ${String(reason)}, no KeyfoldError`);
}

function begun(what: string, call: () => Promise<unknown>): Promise<unknown> {
  try {
    const promise = call();
    assert.ok(promise instanceof Promise, `${what} gives no promise`);
    return promise;
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    throw new assert.AssertionError({ message: `${what} throws instead of rejecting: ${String(error)}` });
  }
}

async function closeOf(provider: MasterKeyProvider): Promise<void> {
  if (provider.close === undefined) return;
  const closed = provider.close();
  assert.ok(closed instanceof Promise, "close gives no promise");
  await closed;
}

function recognizesAll(provider: MasterKeyProvider): void {
  for (const uri of [...uris, ...notUris]) {
    assert.equal(typeof provider.recognizes(uri as string), "boolean", `recognizes of ${label(uri)}`);
  }
}

function label(value: unknown): string {
  const text = typeof value === "string" ? JSON.stringify(value) : Object.prototype.toString.call(value);
  return text.slice(0, 60);
}
