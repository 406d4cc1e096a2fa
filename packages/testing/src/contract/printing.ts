/** nothing-prints. */

import assert from "node:assert/strict";
import { KeyfoldError, type MasterKeyProvider } from "@keyfold/core";
import { copyOf } from "@keyfold/core/provider";
import { type ContractCase, lever, serviceCase } from "./case.ts";
import { printed, shownIn } from "./spellings.ts";
import { drawKey, failureOf, kmsContext, operation } from "./tools.ts";

const CONTEXT_VALUE = "context-value-of-4711";

export const printing: readonly ContractCase[] = [
  serviceCase("nothing-prints", "no secret shows in a provider", async (running) => {
    const secrets = secretsOf(lever(running, "secrets"));
    const provider = running.provider();
    const key = drawKey();
    const all = [...secrets, key];
    shows("a cold provider", provider, all);
    await provider.load?.();
    shows("a loaded provider", provider, all);
    await provider.unwrapKey(await provider.wrapKey(key, operation()), operation());
    shows("a warm provider", provider, all);
    await provider.close?.();
    shows("a closed provider", provider, all);
  }),

  serviceCase("nothing-prints", "no secret shows in an error", async (running) => {
    const secrets = secretsOf(lever(running, "secrets"));
    const key = drawKey();
    for (const error of await errorsOf(running.provider(), key)) {
      assert.ok(error instanceof KeyfoldError, `${String(error)} is no KeyfoldError`);
      // Hidden members of the SDK's error hold the request, and no printer shows them.
      assert.deepEqual(shownIn(printed(error, false), [...secrets, key]), [], `${error.code} shows a secret`);
      assert.ok(!error.message.includes(CONTEXT_VALUE), `the message of ${error.code} shows a context value`);
    }
  }),
];

function secretsOf(secrets: readonly string[]): readonly string[] {
  assert.ok(secrets.length > 0, 'The lever "secrets" names none.');
  return secrets;
}

function shows(what: string, provider: MasterKeyProvider, secrets: readonly (string | Uint8Array)[]): void {
  assert.deepEqual(shownIn(printed(provider, true), secrets), [], `${what} shows a secret`);
}

/** Every refusal that can be had without the service's help. */
async function errorsOf(provider: MasterKeyProvider, key: Uint8Array): Promise<readonly unknown[]> {
  const context = Object.freeze({ ...kmsContext, value: CONTEXT_VALUE });
  const wrapped = await provider.wrapKey(key, operation(context));
  const damaged = { ...wrapped, ciphertext: copyOf(wrapped.ciphertext).reverse() };
  const gone = AbortSignal.abort();
  return Promise.all([
    failureOf("a long key", () => provider.wrapKey(Buffer.concat([key, key]), operation(context))),
    failureOf("an aborted wrap", () => provider.wrapKey(key, operation(context, gone))),
    failureOf("an aborted unwrap", () => provider.unwrapKey(wrapped, operation(context, gone))),
    failureOf("another context", () => provider.unwrapKey(wrapped, operation())),
    failureOf("a damaged wrap", () => provider.unwrapKey(damaged, operation(context))),
  ]);
}
