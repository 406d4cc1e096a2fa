/** A rotation is noticed within five minutes, at use and by no timer of its own. */

import { expect, test } from "vitest";
import { azureKeyVaultAt } from "../src/azure-keyvault.ts";
import { RESOLVE_AFTER_MS } from "../src/version.ts";
import { operation, operationsOf, secret, startVault, uriOf } from "./support/material.ts";

test("the newest version wraps again once the known one is five minutes old", async () => {
  const vault = await startVault();
  const { vaultUrl, keyName, credential, clientOptions } = vault;
  let now = 0;
  const options = { vaultUrl, keyName, credential, clientOptions, algorithm: "A256KW" } as const;
  const provider = azureKeyVaultAt(options, () => now);
  const wrap = async () => (await provider.wrapKey(secret, operation())).masterKey;
  expect(await wrap()).toBe(uriOf(vault.keyId));
  const kid = vault.rotate();
  now = RESOLVE_AFTER_MS - 1;
  expect(await wrap()).toBe(uriOf(vault.keyId));
  now = RESOLVE_AFTER_MS;
  expect(await wrap()).toBe(uriOf(kid));
  expect(operationsOf(vault)).toEqual(["get", "wrapKey", "wrapKey", "get", "wrapKey"]);
});

test("unwrapping never asks which version is the newest", async () => {
  const vault = await startVault();
  const { vaultUrl, keyName, credential, clientOptions } = vault;
  let now = 0;
  const options = { vaultUrl, keyName, credential, clientOptions, algorithm: "A256KW" } as const;
  const provider = azureKeyVaultAt(options, () => now);
  const wrapped = await provider.wrapKey(secret, operation());
  now = RESOLVE_AFTER_MS;
  await provider.unwrapKey(wrapped, operation());
  expect(operationsOf(vault)).toEqual(["get", "wrapKey", "unwrapKey"]);
});
