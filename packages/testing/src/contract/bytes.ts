/** bytes-are-not-shared. */

import assert from "node:assert/strict";
import { copyOf, KEY_BYTES } from "@keyfold/core/provider";
import { type ContractCase, serviceCase } from "./case.ts";
import { drawKey, kmsContext, opens, operation, sameBytes } from "./tools.ts";

export const bytes: readonly ContractCase[] = [
  serviceCase("bytes-are-not-shared", "inputs are unchanged afterwards", async (running) => {
    const provider = running.provider();
    const key = drawKey();
    const before = copyOf(key);
    const context = Object.freeze({ ...kmsContext, tenant: "acme" });
    const wrapped = await provider.wrapKey(key, operation(context));
    sameBytes(key, before, "the key that was wrapped");
    const { masterKey } = wrapped;
    const ciphertext = copyOf(wrapped.ciphertext);
    await provider.unwrapKey({ masterKey, ciphertext }, operation(context));
    sameBytes(ciphertext, wrapped.ciphertext, "the wrap that was unwrapped");
  }),

  serviceCase("bytes-are-not-shared", "outputs have memory of their own", async (running) => {
    const provider = running.provider();
    const key = drawKey();
    const first = await provider.wrapKey(key, operation());
    const second = await provider.wrapKey(key, operation());
    ownMemory(first.ciphertext, "the ciphertext");
    assert.notEqual(first.ciphertext.buffer, second.ciphertext.buffer, "two wraps share memory");
    const [one, two] = [
      await provider.unwrapKey(first, operation()),
      await provider.unwrapKey(first, operation()),
    ];
    ownMemory(one, "the unwrapped key");
    assert.equal(one.length, KEY_BYTES, "the length of the unwrapped key");
    assert.notEqual(one.buffer, two.buffer, "two unwrapped keys share memory");
  }),

  serviceCase("bytes-are-not-shared", "changing an output changes nothing else", async (running) => {
    const provider = running.provider();
    const key = drawKey();
    const kept = copyOf(key);
    const wrapped = await provider.wrapKey(key, operation());
    const intact = { ...wrapped, ciphertext: copyOf(wrapped.ciphertext) };
    (await provider.unwrapKey(wrapped, operation())).fill(0);
    sameBytes(wrapped.ciphertext, intact.ciphertext, "the wrap, after its key was wiped");
    wrapped.ciphertext.fill(0);
    sameBytes(key, kept, "the wrapped key, after its ciphertext was wiped");
    await opens(provider, intact, kept, "the same wrap, unwrapped once more");
    await opens(provider, await provider.wrapKey(key, operation()), kept, "the same key, wrapped once more");
  }),

  serviceCase("bytes-are-not-shared", "inputs may be views of larger memory", async (running) => {
    const provider = running.provider();
    const key = drawKey();
    const wrapped = await provider.wrapKey(view(key), operation());
    const ciphertext = view(wrapped.ciphertext);
    await opens(provider, { ...wrapped, ciphertext }, key, "a wrap in the middle of other bytes");
    // Small Buffers are views of a pool that all of Node shares.
    const pooled = await provider.wrapKey(Buffer.from(key), operation());
    await opens(
      provider,
      { ...pooled, ciphertext: Buffer.from(pooled.ciphertext) },
      key,
      "a wrap in a Buffer",
    );
  }),
];

function ownMemory(output: Uint8Array, what: string): void {
  assert.equal(output.byteOffset, 0, `${what} begins in the middle of its memory`);
  assert.equal(output.buffer.byteLength, output.length, `${what} is a part of larger memory`);
}

/** The same bytes with others on both sides. */
function view(of: Uint8Array): Uint8Array {
  const larger = new Uint8Array(of.length + 64).fill(0xee);
  larger.set(of, 32);
  return larger.subarray(32, 32 + of.length);
}
