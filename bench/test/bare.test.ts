/** The floor that keyfold is measured against must be the same construction: each opens what the other sealed. */

import { randomBytes } from "node:crypto";
import { createKeyfold } from "@keyfold/core";
import { type MemoryMasterKey, memoryMasterKey } from "@keyfold/testing";
import { expect, it } from "vitest";
import { Bare } from "../bare.ts";
import type { Context } from "../contender.ts";

const project = "bench";
const allocate = Buffer.allocUnsafeSlow;
const kmsContext = { "keyfold:project": project, "keyfold:purpose": "kdk" };
const operation = { context: kmsContext, signal: new AbortController().signal };
const contexts: readonly Context[] = [{}, { name: "db_password" }, { z: "ü", a: "1", "\u{1F600}": "" }];
const sizes = [0, 1, 32, 16_383, 16_384, 16_385, 40_000];

function plaintextOf(size: number): Uint8Array {
  return new Uint8Array(randomBytes(size));
}

/** A floor that opens what a keyfold sealed: with the KDK that the envelope's only wrap holds. */
async function bareFor(envelope: Uint8Array, masterKey: MemoryMasterKey): Promise<Bare> {
  const bytes = Buffer.from(envelope);
  const ciphertextAt = 39 + 2 + bytes.readUInt16BE(39);
  const ciphertext = bytes.subarray(ciphertextAt + 2, ciphertextAt + 2 + bytes.readUInt16BE(ciphertextAt));
  const wrap = { masterKey: masterKey.masterKey, ciphertext };
  return new Bare({ kdk: await masterKey.unwrapKey(wrap, operation), project, wraps: [wrap], allocate });
}

it("keyfold opens what the bare construction sealed", async () => {
  const masterKey = memoryMasterKey();
  const kdk = randomBytes(32);
  const bare = new Bare({ kdk, project, wraps: [await masterKey.wrapKey(kdk, operation)], allocate });
  const keyfold = createKeyfold({ project, masterKeys: masterKey });
  for (const context of contexts) {
    for (const size of sizes) {
      const plaintext = plaintextOf(size);
      expect(await keyfold.open(bare.seal(plaintext, context), context)).toEqual(plaintext);
    }
  }
});

it("the bare construction opens what keyfold sealed", async () => {
  const masterKey = memoryMasterKey();
  const keyfold = createKeyfold({ project, masterKeys: masterKey });
  const bare = await bareFor(await keyfold.seal("", {}), masterKey);
  for (const context of contexts) {
    for (const size of sizes) {
      const plaintext = plaintextOf(size);
      const envelope = Buffer.from(await keyfold.seal(plaintext, context));
      expect(new Uint8Array(bare.open(envelope, context))).toEqual(plaintext);
    }
  }
});

it("the bare construction binds the context, as keyfold does", async () => {
  const masterKey = memoryMasterKey();
  const kdk = randomBytes(32);
  const bare = new Bare({ kdk, project, wraps: [await masterKey.wrapKey(kdk, operation)], allocate });
  const envelope = bare.seal(plaintextOf(32), { name: "one" });
  expect(() => bare.open(envelope, { name: "other" })).toThrow("Another context.");
  const keyfold = createKeyfold({ project, masterKeys: masterKey });
  await expect(keyfold.open(envelope, { name: "other" })).rejects.toMatchObject({
    code: "ERR_CONTEXT_MISMATCH",
  });
});
