/** wrap-is-as-specified, names-the-key-that-answered: what a wrap looks like. */

import assert from "node:assert/strict";
import { type ContractCase, lever, serviceCase } from "./case.ts";
import { drawKey, kmsContext, opens, operation, sameBytes } from "./tools.ts";

/** What an envelope can hold: envelope-v1, "Wraps". */
const MASTER_KEY_URI = /^[!-~]{1,1024}$/;
const otherContext = { ...kmsContext, "keyfold:project": "billing/test" };

export const form: readonly ContractCase[] = [
  serviceCase("wrap-is-as-specified", "scheme byte and length", async (running) => {
    const { byte, shortest, longest } = lever(running, "scheme");
    const { ciphertext } = await running.provider().wrapKey(drawKey(), operation());
    assert.equal(ciphertext[0], byte, "the scheme byte");
    const { length } = ciphertext;
    assert.ok(length >= shortest && length <= longest, `${length} bytes, not ${shortest} to ${longest}`);
  }),

  serviceCase("wrap-is-as-specified", "another implementation unwraps what it wraps", async (running) => {
    const unwrap = lever(running, "unwrapAsSpecified");
    const key = drawKey();
    const wrapped = await running.provider().wrapKey(key, operation());
    sameBytes(await unwrap(wrapped, kmsContext), key, "the key, unwrapped by the specification");
    assert.equal(await unwrap(wrapped, otherContext), undefined, "it opens with another context");
  }),

  serviceCase("wrap-is-as-specified", "it unwraps what another implementation wraps", async (running) => {
    const wrap = lever(running, "wrapAsSpecified");
    const key = drawKey();
    await opens(running.provider(), await wrap(key, kmsContext), key, "a wrap made by the specification");
  }),

  serviceCase("names-the-key-that-answered", "the URI is the resolved key's", async (running, subject) => {
    const { masterKey } = await running.provider().wrapKey(drawKey(), operation());
    assert.equal(masterKey, running.masterKey());
    assert.match(masterKey, MASTER_KEY_URI);
    if (subject.inapplicable?.["rotation-keeps-old-keys"] !== undefined) return;
    await lever(running, "rotate")();
    const later = await running.provider().wrapKey(drawKey(), operation());
    assert.equal(later.masterKey, running.masterKey(), "after a rotation, in a new process");
  }),
];
