/** close-is-idempotent. */

import assert from "node:assert/strict";
import { KeyfoldError, type MasterKeyProvider, type WrappedKey } from "@keyfold/core";
import type { RunningSubject } from "../subject.ts";
import { type ContractCase, lever, serviceCase } from "./case.ts";
import { drawKey, opens, operation, refusal, sameBytes, withoutRequest } from "./tools.ts";

export const closing: readonly ContractCase[] = [
  serviceCase("close-is-idempotent", "twice, and cold", async (running) => {
    const warm = running.provider();
    const wrapped = await warm.wrapKey(drawKey(), operation());
    for (const provider of [warm, running.provider()]) {
      await Promise.all([close(provider), close(provider)]);
      await close(provider);
      await closed(running, provider, wrapped);
    }
  }),

  serviceCase(
    "close-is-idempotent",
    "during a call, which then ends one way or the other",
    async (running) => {
      const provider = running.provider();
      const key = drawKey();
      const wrapped = await provider.wrapKey(key, operation());
      const calls = [provider.unwrapKey(wrapped, operation()), provider.unwrapKey(wrapped, operation())];
      const settled = Promise.allSettled(calls);
      await close(provider);
      for (const outcome of await settled) {
        if (outcome.status === "fulfilled") sameBytes(outcome.value, key, "a call that was in flight");
        else
          assert.ok(outcome.reason instanceof KeyfoldError, `${String(outcome.reason)} is no KeyfoldError`);
      }
      await closed(running, provider, wrapped);
    },
  ),

  serviceCase("close-is-idempotent", "an injected client is not closed", async (running, subject) => {
    if (running.injected === undefined && subject.withoutRequests !== undefined) return;
    const { provider, closed: times } = lever(running, "injected")();
    const key = drawKey();
    const wrapped = await provider.wrapKey(key, operation());
    await close(provider);
    await closed(running, provider, wrapped);
    assert.equal(times(), 0, "the injected client was closed");
    await opens(running.provider(), wrapped, key, "another provider, after one was closed");
  }),
];

async function close(provider: MasterKeyProvider): Promise<void> {
  assert.ok(provider.close !== undefined, "The provider has no close.");
  await provider.close();
}

async function closed(
  running: RunningSubject,
  provider: MasterKeyProvider,
  wrapped: WrappedKey,
): Promise<void> {
  await withoutRequest(running, "calls of a closed provider", async () => {
    await refusal("wrapKey once closed", "ERR_CLOSED", () => provider.wrapKey(drawKey(), operation()));
    await refusal("unwrapKey once closed", "ERR_CLOSED", () => provider.unwrapKey(wrapped, operation()));
    const { load } = provider;
    if (load !== undefined) await refusal("load once closed", "ERR_CLOSED", () => load.call(provider));
  });
}
