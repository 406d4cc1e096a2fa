/** other-keys-are-not-mine, alias-chooses-only, rotation-keeps-old-keys: which key opens what. */

import assert from "node:assert/strict";
import { type ContractCase, lever, serviceCase } from "./case.ts";
import { drawKey, opens, operation, refusal, withoutRequest } from "./tools.ts";

export const keys: readonly ContractCase[] = [
  serviceCase("other-keys-are-not-mine", "not recognized, and refused without a request", async (running) => {
    const others = await lever(running, "otherKeys")();
    assert.ok(others.length > 0, 'The lever "otherKeys" gives no wrap.');
    for (const { what, wrapped } of others) {
      const provider = running.provider();
      // First of all, so that what was learnt from an earlier reply cannot help.
      assert.equal(provider.recognizes(wrapped.masterKey), false, `it recognizes ${what}`);
      await withoutRequest(running, what, () =>
        refusal(what, "ERR_MASTER_KEY_REJECTED", () => provider.unwrapKey(wrapped, operation())),
      );
      await provider.wrapKey(drawKey(), operation());
      assert.equal(
        provider.recognizes(wrapped.masterKey),
        false,
        `once it has wrapped, it recognizes ${what}`,
      );
    }
  }),

  serviceCase(
    "alias-chooses-only",
    "the wrap names the key, and a second process opens it",
    async (running) => {
      const alias = lever(running, "alias");
      const key = drawKey();
      const wrapped = await alias.provider().wrapKey(key, operation());
      assert.equal(wrapped.masterKey, alias.masterKey(), "the URI is not that of the key behind the alias");
      const later = alias.provider();
      assert.ok(later.recognizes(wrapped.masterKey), "a second process does not recognize the wrap");
      await opens(later, wrapped, key, "in a second process, by the alias");
    },
  ),

  serviceCase("alias-chooses-only", "after the alias moves", async (running) => {
    const alias = lever(running, "alias");
    const warm = alias.provider();
    const key = drawKey();
    const before = await warm.wrapKey(key, operation());
    await alias.move();
    assert.notEqual(alias.masterKey(), before.masterKey, 'The lever "alias.move" moves to the same key.');
    for (const provider of [warm, alias.provider()]) {
      const { masterKey } = await provider.wrapKey(drawKey(), operation());
      assert.equal(masterKey, alias.masterKey(), "a new wrap does not name the new key");
      // The call addresses the alias and never a key that only the wrap names.
      await refusal("an old wrap, by the alias", "ERR_MASTER_KEY_REJECTED", () =>
        provider.unwrapKey(before, operation()),
      );
    }
    const former = alias.formerKey();
    assert.ok(former.recognizes(before.masterKey), "the old key's own provider does not recognize the wrap");
    await opens(former, before, key, "an old wrap, by the old key");
  }),

  serviceCase(
    "rotation-keeps-old-keys",
    "what was wrapped before a rotation unwraps after it",
    async (running) => {
      const warm = running.provider();
      const key = drawKey();
      const old = await warm.wrapKey(key, operation());
      for (const which of ["one rotation", "two rotations"]) {
        await lever(running, "rotate")();
        await opens(warm, old, key, `after ${which}, in the process that wrapped`);
        const later = running.provider();
        assert.ok(
          later.recognizes(old.masterKey),
          `after ${which} a new process does not recognize the wrap`,
        );
        await opens(later, old, key, `after ${which}, in a new process`);
      }
    },
  ),

  serviceCase("rotation-keeps-old-keys", "what is wrapped across a rotation unwraps", async (running) => {
    const warm = running.provider();
    await warm.wrapKey(drawKey(), operation());
    await lever(running, "rotate")();
    const key = drawKey();
    const wrapped = await warm.wrapKey(key, operation());
    await opens(warm, wrapped, key, "in the process that was running");
    await opens(running.provider(), wrapped, key, "in a new process");
  }),
];
