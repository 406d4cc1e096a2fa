/** What azureKeyVault and masterKeyFromUri take, and what they refuse before any call. */

import { describe, expect, test } from "vitest";
import * as azure from "../src/index.ts";
import { injected, KEY_ID, VERSION } from "./support/injected.ts";
import { refusalOf, startVault, untouched } from "./support/material.ts";

const { azureKeyVault, masterKeyFromUri } = azure;

const vaultUrl = "https://example.vault.azure.net";
const key = { vaultUrl, keyName: "billing" };
const { client } = injected({});
const credential = { getToken: async () => null };

test("the package exports these names and no others", () => {
  expect(Object.keys(azure).sort()).toEqual(["azureKeyVault", "masterKeyFromUri"]);
});

test("a provider is named after its key, and makes no call", async () => {
  const vault = await startVault();
  const { keyName, credential, clientOptions } = vault;
  const named = azureKeyVault({ vaultUrl: vault.vaultUrl, keyName, credential, clientOptions });
  await named.load?.();
  expect(named.name).toBe("azure-keyvault://emulator.vault.azure.net/keys/keyfold");
  expect(untouched(vault)).toBe(true);
  expect(azureKeyVault({ keyId: KEY_ID }).name).toBe(
    `azure-keyvault://example.vault.azure.net/keys/billing/${VERSION}`,
  );
});

test.each([
  [undefined, false],
  ["RSA-OAEP-256", false],
  ["A256KW", true],
  ["A256GCM", true],
] as const)("with the algorithm %s it authenticates its wraps: %s", (algorithm, authenticates) => {
  expect(azureKeyVault({ ...key, algorithm }).authenticatesWraps).toBe(authenticates);
});

test("it recognizes every version of its key, also when one is pinned, and nothing else", () => {
  for (const provider of [azureKeyVault(key), azureKeyVault({ keyId: KEY_ID })]) {
    const uri = "azure-keyvault://example.vault.azure.net/keys/billing";
    expect(provider.recognizes(`${uri}/${VERSION}`)).toBe(true);
    expect(provider.recognizes(`${uri}/${"f".repeat(32)}`)).toBe(true);
    for (const other of [uri, `${uri}/`, `${uri}/0123`, `${uri}2/${VERSION}`, "", `local:${VERSION}`]) {
      expect(provider.recognizes(other)).toBe(false);
    }
  }
});

describe("refused with ERR_INVALID_ARGUMENT", () => {
  test.each<readonly [what: string, options: object | undefined | null]>([
    ["no options", undefined],
    ["null", null],
    ["no key", {}],
    ["a vault without a name", { vaultUrl }],
    ["a name without a vault", { keyName: "billing" }],
    ["both ways to name a key", { ...key, keyId: KEY_ID }],
    ["keyId and a name", { keyId: KEY_ID, keyName: "billing" }],
    ["a key id that is no URL", { keyId: "billing" }],
    ["plain http", { ...key, vaultUrl: "http://example.vault.azure.net" }],
    ["another algorithm", { ...key, algorithm: "RSA-OAEP" }],
    ["an algorithm by a name that every object has", { ...key, algorithm: "toString" }],
    ["an option that does not exist", { ...key, region: "westeurope" }],
    ["a credential without getToken", { ...key, credential: {} }],
    ["a credential that is null", { ...key, credential: null }],
    ["client options that are no object", { ...key, clientOptions: "proxy" }],
    ["client options that are null", { ...key, clientOptions: null }],
    ["a client and a credential", { ...key, client, credential }],
    ["a client and client options", { ...key, client, clientOptions: {} }],
    ["a client that is null", { ...key, client: null }],
    ["a client without cryptography", { ...key, client: { keys: client.keys } }],
    ["a client without keys, and no version", { ...key, client: { cryptography: client.cryptography } }],
    ["keys that cannot get one", { keyId: KEY_ID, client: { ...client, keys: {} } }],
  ])("%s", (_, options) => {
    const untyped: (options: never) => unknown = azureKeyVault;
    expect(refusalOf(() => untyped(options as never)).code).toBe("ERR_INVALID_ARGUMENT");
  });
});

test("a client without keys will do where the version is named", () => {
  const { cryptography } = client;
  expect(azureKeyVault({ keyId: KEY_ID, client: { cryptography } }).authenticatesWraps).toBe(false);
});

describe("by URI", () => {
  test.each([
    ["azure-keyvault://Example.vault.azure.net/keys/billing", false],
    ["azure-keyvault://example.vault.azure.net:443/keys/billing", false],
    ["azure-keyvault://example.vault.azure.net/keys/billing?algorithm=RSA-OAEP-256", false],
    ["azure-keyvault://example.vault.azure.net/keys/billing?algorithm=A256KW", true],
    ["azure-keyvault://example.vault.azure.net/keys/billing?algorithm=A256%47CM", true],
  ])("%s", (uri, authenticates) => {
    const provider = masterKeyFromUri(uri);
    expect(provider.name).toBe("azure-keyvault://example.vault.azure.net/keys/billing");
    expect(provider.authenticatesWraps).toBe(authenticates);
  });

  test("with a version", () => {
    const uri = `azure-keyvault://example.vault.azure.net/keys/billing/${VERSION}`;
    expect(masterKeyFromUri(uri).name).toBe(uri);
  });

  test("with what a URI does not say", async () => {
    const vault = await startVault();
    const { credential, clientOptions } = vault;
    const uri = `${vault.vaultUrl.replace("https", "azure-keyvault")}/keys/${vault.keyName}?algorithm=A256KW`;
    const provider = masterKeyFromUri(uri, { credential, clientOptions });
    const operation = { context: {}, signal: new AbortController().signal };
    const wrapped = await provider.wrapKey(new Uint8Array(32), operation);
    expect(wrapped.masterKey).toBe(vault.keyId.replace("https", "azure-keyvault"));
  });

  test.each([
    "azure-keyvault:example.vault.azure.net/keys/billing",
    "azure-keyvault://",
    "azure-keyvault://example.vault.azure.net",
    "azure-keyvault://example.vault.azure.net/billing",
    "azure-keyvault://example.vault.azure.net/keys/billing/latest",
    "azure-keyvault://example.vault.azure.net/keys/billing?algorithm=A128KW",
    "azure-keyvault://example.vault.azure.net/keys/billing?algorithm=",
    "azure-keyvault://example.vault.azure.net/keys/billing?algorithm=A256KW&algorithm=A256KW",
    "azure-keyvault://example.vault.azure.net/keys/billing?version=1",
    "azure-keyvault://example.vault.azure.net/keys/billing#1",
    "azure-keyvault://user@example.vault.azure.net/keys/billing",
    "azure-keyvault://https://example.vault.azure.net/keys/billing",
    "azure-keyvault://example.vault.azure.net/keys/bill%69ng",
    "azure-keyvault://example.vault.azure.net:8443/keys/billing",
    "gcp-kms://projects/p",
  ])("%s is refused", (uri) => {
    expect(refusalOf(() => masterKeyFromUri(uri)).code).toBe("ERR_INVALID_ARGUMENT");
  });
});
