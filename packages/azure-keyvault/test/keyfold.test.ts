/** The provider as a keyfold's master key, counted at the vault. */

import { createKeyfold, type Keyfold, type KeyfoldOptions } from "@keyfold/core";
import { describe, expect, onTestFinished, test } from "vitest";
import { azureKeyVault } from "../src/index.ts";
import {
  algorithms,
  type FakeAzureKeyVault,
  keyTypeFor,
  operationsOf,
  providerFor,
  rejectionOf,
  startVault,
  uriOf,
} from "./support/material.ts";

const context = { name: "db_password" };

function keyfoldFor(
  vault: FakeAzureKeyVault,
  algorithm: (typeof algorithms)[number],
  options: Partial<KeyfoldOptions> = {},
): Keyfold {
  const keyfold = createKeyfold({
    project: "billing/prod",
    masterKeys: providerFor(vault, { algorithm }),
    acceptUnauthenticatedWraps: algorithm === "RSA-OAEP-256",
    ...options,
  });
  onTestFinished(() => keyfold.close());
  return keyfold;
}

describe.each(algorithms)("%s", (algorithm) => {
  test("10,000 seals of 100 callers make one look-up and one wrap; another process opens them with one unwrap", async () => {
    const vault = await startVault({ kty: keyTypeFor(algorithm) });
    const [wraps, unwraps] = algorithm === "A256GCM" ? ["encrypt", "decrypt"] : ["wrapKey", "unwrapKey"];
    const sealer = keyfoldFor(vault, algorithm, { deadline: 60_000 });
    const caller = async (number: number) => {
      const sealed: Uint8Array[] = [];
      for (let i = 0; i < 100; i++) sealed.push(await sealer.seal(`secret ${number} ${i}`, context));
      return sealed;
    };
    const sealed = await Promise.all(Array.from({ length: 100 }, (_, number) => caller(number)));
    expect(operationsOf(vault)).toEqual(["get", wraps]);
    expect(vault.challenges).toBe(2);
    const opener = keyfoldFor(vault, algorithm, { deadline: 60_000 });
    const opened = await Promise.all(sealed.flat().map((envelope) => opener.openText(envelope, context)));
    expect(opened).toEqual(
      Array.from({ length: 10_000 }, (_, i) => `secret ${Math.floor(i / 100)} ${i % 100}`),
    );
    expect(operationsOf(vault)).toEqual(["get", wraps, unwraps]);
    expect(vault.challenges).toBe(3);
  });

  test("the wrap names the version, and opens after a rotation and an expiry", async () => {
    const vault = await startVault({ kty: keyTypeFor(algorithm) });
    const sealed = await keyfoldFor(vault, algorithm).sealText("hunter2", context);
    const keyfold = keyfoldFor(vault, algorithm);
    expect(keyfold.inspect(sealed).masterKeys).toEqual([uriOf(vault.keyId)]);
    vault.expire();
    vault.rotate();
    expect(await keyfold.openText(sealed, context)).toBe("hunter2");
  });
});

test("sealing under an RSA key is refused without a word about it", async () => {
  const vault = await startVault({ kty: "RSA" });
  const keyfold = keyfoldFor(vault, "RSA-OAEP-256", { acceptUnauthenticatedWraps: false });
  expect((await rejectionOf(keyfold.seal("hunter2", context))).code).toBe("ERR_UNAUTHENTICATED_WRAP");
  expect(vault.requests).toEqual([]);
});

describe("a vault that is down fails within the deadline", () => {
  test.each([
    ["not there", (vault: FakeAzureKeyVault) => vault.close()],
    ["answering 503", async (vault: FakeAzureKeyVault) => vault.inject({ kind: "down" }, { times: 1e9 })],
    ["silent", async (vault: FakeAzureKeyVault) => vault.inject({ kind: "silent" }, { times: 1e9 })],
  ])("%s", async (_, fail) => {
    const vault = await startVault();
    const sealed = await keyfoldFor(vault, "A256KW").seal("hunter2", context);
    await fail(vault);
    const keyfold = keyfoldFor(vault, "A256KW", { deadline: 700 });
    const begun = performance.now();
    for (const call of [() => keyfold.seal("x", context), () => keyfold.open(sealed, context)]) {
      const failure = await rejectionOf(call());
      expect(failure).toMatchObject({ code: "ERR_MASTER_KEY_UNAVAILABLE", retryable: true });
    }
    expect(performance.now() - begun).toBeLessThan(15_000);
  });
});

describe("at once, after one request", () => {
  test.each([
    ["denied", "ERR_MASTER_KEY_DENIED", (vault: FakeAzureKeyVault) => vault.deny("wrapKey", "unwrapKey")],
    ["disabled", "ERR_MASTER_KEY_DISABLED", (vault: FakeAzureKeyVault) => vault.disable()],
    ["not found", "ERR_MASTER_KEY_NOT_FOUND", (vault: FakeAzureKeyVault) => vault.delete()],
  ] as const)("%s", async (_, code, fail) => {
    const vault = await startVault();
    const sealed = await keyfoldFor(vault, "A256KW").seal("hunter2", context);
    fail(vault);
    const before = vault.requests.length;
    const failure = await rejectionOf(keyfoldFor(vault, "A256KW").open(sealed, context));
    expect(failure).toMatchObject({ code, retryable: false });
    expect(operationsOf(vault).slice(before)).toEqual(["unwrapKey"]);
    // The same for sealing, under the version that was the newest.
    const masterKeys = azureKeyVault({ keyId: vault.keyId, algorithm: "A256KW", ...accessTo(vault) });
    const sealing = await rejectionOf(keyfoldFor(vault, "A256KW", { masterKeys }).seal("hunter2", context));
    expect(sealing).toMatchObject({ code, retryable: false });
    expect(operationsOf(vault).slice(before)).toEqual(["unwrapKey", "wrapKey"]);
  });
});

function accessTo({ credential, clientOptions }: FakeAzureKeyVault) {
  return { credential, clientOptions };
}

test("a throttled vault is asked again after the pause that it named", async () => {
  const vault = await startVault();
  vault.inject({ kind: "throttled", retryAfterMs: 200 });
  await keyfoldFor(vault, "A256KW").seal("hunter2", context);
  expect(operationsOf(vault)).toEqual(["get", "get", "wrapKey"]);
  const [first, second] = vault.requests;
  expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(190);
});
