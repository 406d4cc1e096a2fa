/** round-trip, wrap-is-randomized. */

import assert from "node:assert/strict";
import { KEY_BYTES } from "@keyfold/core/provider";
import { type ContractCase, serviceCase } from "./case.ts";
import { drawKey, hex, opens, operation, refusal, withoutRequest } from "./tools.ts";

const WRONG_LENGTHS = [0, 1, 16, KEY_BYTES - 1, KEY_BYTES + 1, 64];

export const roundTrip: readonly ContractCase[] = [
  serviceCase("round-trip", "a wrapped key unwraps, in another process too", async (running) => {
    const provider = running.provider();
    for (const key of [drawKey(), new Uint8Array(KEY_BYTES), new Uint8Array(KEY_BYTES).fill(0xff)]) {
      const wrapped = await provider.wrapKey(key, operation());
      assert.ok(provider.recognizes(wrapped.masterKey), "it does not recognize its own wrap");
      await opens(provider, wrapped, key, "in the same process");
      const later = running.provider();
      assert.ok(later.recognizes(wrapped.masterKey), "another process does not recognize the wrap");
      await opens(later, wrapped, key, "in another process");
    }
  }),

  serviceCase("round-trip", "each call is a request of its own", async (running, subject) => {
    const perCall = subject.withoutRequests === undefined ? 1 : 0;
    const provider = running.provider();
    const wrapped = await provider.wrapKey(drawKey(), operation());
    assert.equal(running.requests(), perCall, "requests after one wrap");
    await provider.unwrapKey(wrapped, operation());
    assert.equal(running.requests(), 2 * perCall, "requests after one wrap and one unwrap");
  }),

  serviceCase("round-trip", "a key of another length is refused before a call", async (running) => {
    const provider = running.provider();
    await withoutRequest(running, "keys of other lengths", async () => {
      for (const length of WRONG_LENGTHS) {
        await refusal(`a key of ${length} bytes`, "ERR_INVALID_ARGUMENT", () =>
          provider.wrapKey(new Uint8Array(length), operation()),
        );
      }
    });
  }),

  serviceCase(
    "wrap-is-randomized",
    "one key, wrapped twice, gives two ciphertexts that open",
    async (running) => {
      const provider = running.provider();
      const key = drawKey();
      const first = await provider.wrapKey(key, operation());
      const second = await provider.wrapKey(key, operation());
      assert.notEqual(hex(first.ciphertext), hex(second.ciphertext), "the two ciphertexts are the same");
      await opens(provider, first, key, "the first");
      await opens(provider, second, key, "the second");
    },
  ),
];
