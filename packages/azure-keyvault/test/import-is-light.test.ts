/** Importing the package loads nothing of Azure's, and nobody needs Azure's types to use its own. */

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { DefaultAzureCredential } from "@azure/identity";
import { CryptographyClient, KeyClient } from "@azure/keyvault-keys";
import { expect, expectTypeOf, test } from "vitest";
import { type AzureCredential, type AzureKeyVaultClient, azureKeyVault } from "../src/index.ts";
import { KEY_ID } from "./support/injected.ts";
import { startVault } from "./support/material.ts";

const packageFolder = fileURLToPath(new URL("..", import.meta.url));

/** Which of the SDK's packages a program has loaded by each of its reports. */
function run(program: string): string {
  const prelude = `
    import { createRequire, registerHooks } from "node:module";
    const loaded = [];
    registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
    const report = (when) => {
      const files = [...loaded, ...Object.keys(createRequire(import.meta.url).cache)];
      const of = (name) => files.some((file) => file.replaceAll("\\\\", "/").includes("/node_modules/@azure/" + name));
      console.log(when, of(""), of("keyvault-keys/"), of("identity/"));
    };
    const { azureKeyVault } = await import("@keyfold/azure-keyvault");
    report("import");
  `;
  const args = ["--input-type=module", "-e", prelude + program];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: packageFolder, encoding: "utf8" });
  expect(stderr).toBe("");
  return stdout;
}

test("importing and configuring loads no module of the SDK; load() does, with @azure/identity", () => {
  const program = `
    const provider = azureKeyVault({ keyId: "${KEY_ID}" });
    provider.recognizes("azure-keyvault://a");
    report("configured");
    await provider.load();
    report("load");
  `;
  expect(run(program)).toBe("import false false false\nconfigured false false false\nload true true true\n");
});

test("with a credential @azure/identity is not loaded", () => {
  const program = `
    await azureKeyVault({ keyId: "${KEY_ID}", credential: { getToken: async () => null } }).load();
    report("load");
  `;
  expect(run(program)).toBe("import false false false\nload true true false\n");
});

test("without its packages, load says which one to install", () => {
  const program = `
    registerHooks({
      resolve(specifier, context, next) {
        if (specifier !== process.env.KEYFOLD_TEST_MISSING) return next(specifier, context);
        throw Object.assign(new Error("Cannot find package '" + specifier + "'"), { code: "ERR_MODULE_NOT_FOUND" });
      },
    });
    const provider = azureKeyVault({ keyId: "${KEY_ID}" });
    for (const name of ["@azure/keyvault-keys", "@azure/identity"]) {
      process.env.KEYFOLD_TEST_MISSING = name;
      await provider.load().catch(({ code, message }) => console.log(code, message.includes(name)));
    }
  `;
  expect(run(program).split("\n").slice(1)).toEqual([
    "ERR_PROVIDER_NOT_INSTALLED true",
    "ERR_PROVIDER_NOT_INSTALLED true",
    "",
  ]);
});

test("the declarations name no package but keyfold's", () => {
  const folder = join(packageFolder, "dist");
  const declarations = readdirSync(folder).filter((file) => file.endsWith(".d.ts"));
  expect(declarations).toContain("client.d.ts");
  const named = declarations.flatMap((file) =>
    [...readFileSync(join(folder, file), "utf8").matchAll(/(?:from|import\() *"([^".][^"]*)"/g)].map(
      ([, name]) => name,
    ),
  );
  expect([...new Set(named)].sort()).toEqual(["@keyfold/core", "@keyfold/core/provider"]);
});

test("the SDK's own classes are what the options take", async () => {
  const vault = await startVault();
  expectTypeOf<DefaultAzureCredential>().toExtend<AzureCredential>();
  const { vaultUrl, credential, clientOptions } = vault;
  const client: AzureKeyVaultClient = {
    keys: new KeyClient(vaultUrl, credential, clientOptions),
    cryptography: (key) => new CryptographyClient(key, credential, clientOptions),
  };
  expect(azureKeyVault({ keyId: vault.keyId, client }).recognizes("")).toBe(false);
  const withoutVersion: AzureKeyVaultClient = {
    // @ts-expect-error A key client is no cryptography client.
    cryptography: () => new KeyClient(vaultUrl, credential),
  };
  expect(withoutVersion.keys).toBeUndefined();
});

test("a key is named in one way", () => {
  // @ts-expect-error Both ways at once.
  expect(() => azureKeyVault({ keyId: KEY_ID, keyName: "billing", vaultUrl: "https://a.b" })).toThrow();
  // @ts-expect-error A vault without a key.
  expect(() => azureKeyVault({ vaultUrl: "https://example.vault.azure.net" })).toThrow();
  // @ts-expect-error An algorithm that is not offered.
  expect(() => azureKeyVault({ keyId: KEY_ID, algorithm: "RSA1_5" })).toThrow();
});
