/** Keys, contexts, a fake vault and providers for it. */

import type { EncryptionContext, KeyOperation, MasterKeyProvider } from "@keyfold/core";
import {
  type FakeAzureKeyVault,
  type FakeAzureKeyVaultOptions,
  startFakeAzureKeyVault,
} from "@keyfold/testing";
import { onTestFinished } from "vitest";
import { type AzureKeyVaultAlgorithm, type AzureKeyVaultSettings, azureKeyVault } from "../../src/index.ts";

export { refusalOf, rejectionOf } from "../../../../test/support/refusal.ts";
export type { FakeAzureKeyVault };

export const algorithms: readonly AzureKeyVaultAlgorithm[] = ["RSA-OAEP-256", "A256KW", "A256GCM"];

export const secret: Uint8Array<ArrayBuffer> = Uint8Array.from({ length: 32 }, (_, i) => 0xc0 - i);
export const kmsContext: EncryptionContext = {
  "keyfold:project": "billing/prod",
  "keyfold:purpose": "kdk",
};

/** What is waited for comes at once, but on a busy machine. */
export const soon = { timeout: 30_000 } as const;

export function operation(
  context: EncryptionContext = kmsContext,
  signal: AbortSignal = new AbortController().signal,
): KeyOperation {
  return { context, signal };
}

export function keyTypeFor(algorithm: AzureKeyVaultAlgorithm): "RSA" | "oct-HSM" {
  return algorithm === "RSA-OAEP-256" ? "RSA" : "oct-HSM";
}

/** A vault that is gone after the test. */
export async function startVault(options: FakeAzureKeyVaultOptions = {}): Promise<FakeAzureKeyVault> {
  const vault = await startFakeAzureKeyVault({ kty: "oct-HSM", ...options });
  onTestFinished(() => vault.close());
  return vault;
}

/** A cold provider for the vault's key, by name, as another process would make it. */
export function providerFor(
  vault: FakeAzureKeyVault,
  settings: AzureKeyVaultSettings = {},
): MasterKeyProvider {
  const { vaultUrl, keyName, credential, clientOptions } = vault;
  return azureKeyVault({ vaultUrl, keyName, credential, clientOptions, algorithm: "A256KW", ...settings });
}

export function uriOf(kid: string): string {
  return kid.replace(/^https/, "azure-keyvault");
}

export function operationsOf(vault: FakeAzureKeyVault): readonly string[] {
  return vault.requests.map((request) => request.operation);
}

/** Nothing at all has reached the vault, and nobody has asked for a token. */
export function untouched(vault: FakeAzureKeyVault): boolean {
  return vault.requests.length + vault.challenges + vault.tokens === 0;
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
