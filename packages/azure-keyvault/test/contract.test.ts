/** The provider contract, for each algorithm, over the fake vault and through the real SDK. */

import { CredentialUnavailableError } from "@azure/identity";
import { CryptographyClient, KeyClient } from "@azure/keyvault-keys";
import type { KeyfoldErrorCode, MasterKeyProvider } from "@keyfold/core";
import {
  type BadReply,
  type FailureLever,
  type Fault,
  type ProviderSubject,
  type RunningSubject,
  startFakeAzureKeyVault,
  testMasterKeyProvider,
} from "@keyfold/testing";
import { describe, expect, it, test } from "vitest";
import {
  type AzureCredential,
  type AzureKeyVaultAlgorithm,
  type AzureKeyVaultClient,
  azureKeyVault,
} from "../src/index.ts";
import { algorithms, keyTypeFor, providerFor, uriOf } from "./support/material.ts";
import { forgedWrap, unwrapped, wrapped } from "./support/specification.ts";

const ALWAYS = { times: Number.POSITIVE_INFINITY };
const SHORT_TIMEOUT_MS = 200;

const schemes: Readonly<Record<AzureKeyVaultAlgorithm, NonNullable<RunningSubject["scheme"]>>> = {
  "RSA-OAEP-256": { byte: 1, shortest: 257, longest: 257 },
  A256KW: { byte: 2, shortest: 73, longest: 73 },
  A256GCM: { byte: 3, shortest: 61, longest: 61 },
};

function subjectFor(algorithm: AzureKeyVaultAlgorithm): ProviderSubject {
  return {
    name: `azure-keyvault with ${algorithm}`,
    forgeable: algorithm === "RSA-OAEP-256",
    inapplicable: {
      "alias-chooses-only": "an Azure key has no alias",
      ...(algorithm === "A256KW" ? { "wrap-is-randomized": "A256KW is deterministic" } : {}),
    },
    module: {
      url: new URL("../dist/index.js", import.meta.url).href,
      sdks: ["@azure/keyvault-keys", "@azure/identity"],
      firstCall: "await provider.azureKeyVault({ keyId: 'https://example.vault.azure.net/keys/k' }).load()",
    },
    start: () => start(algorithm),
  };
}

const subjects = algorithms.map(subjectFor);

for (const subject of subjects) testMasterKeyProvider({ describe, it }, subject);

test.each(subjects)("$name skips what the contract foresees, and no more", ({ name, ...subject }) => {
  const deterministic = name.endsWith("A256KW") ? ["wrap-is-randomized"] : [];
  expect(Object.keys(subject.inapplicable ?? {})).toEqual(["alias-chooses-only", ...deterministic]);
  expect([subject.withoutFailures, subject.withoutRequests]).toEqual([undefined, undefined]);
});

async function start(algorithm: AzureKeyVaultAlgorithm): Promise<RunningSubject> {
  const vault = await startFakeAzureKeyVault({ kty: keyTypeFor(algorithm) });
  const { vaultUrl, keyName, clientOptions } = vault;
  const token = await vault.credential.getToken("https://vault.azure.net/.default");
  const credential: AzureCredential = { getToken: async () => token };
  const [wrap, unwrap] =
    algorithm === "A256GCM" ? (["encrypt", "decrypt"] as const) : (["wrapKey", "unwrapKey"] as const);
  let kid = vault.keyId;

  const provider = () => providerFor(vault, { algorithm, credential });
  const failure = (
    code: KeyfoldErrorCode,
    arm: () => void,
    armed: () => MasterKeyProvider = provider,
  ): FailureLever => ({
    code,
    arm: async () => {
      arm();
      return armed();
    },
  });
  const fault = (kind: Fault["kind"]) => () => vault.inject({ kind } as Fault, ALWAYS);
  const badReply = (what: string, operation: BadReply["operation"], kind: Fault["kind"]): BadReply => ({
    what,
    operation,
    arm: () => vault.inject({ kind } as Fault, { operation: operation === "wrap" ? wrap : unwrap }),
  });

  return {
    provider,
    masterKey: () => uriOf(kid),
    requests: () => vault.requests.filter(({ operation }) => operation !== "get").length,
    stop: () => vault.close(),
    scheme: schemes[algorithm],
    wrapAsSpecified: async (key, context) => ({
      masterKey: uriOf(kid),
      ciphertext: wrapped(algorithm, await vault.material(kid), key, context),
    }),
    unwrapAsSpecified: async ({ masterKey, ciphertext }, context) => {
      const material = await vault.material(masterKey.replace("azure-keyvault", "https"));
      return unwrapped(algorithm, material, ciphertext, context);
    },
    otherKeys: async () =>
      [
        { what: "another vault", kid: kid.replace("emulator", "another") },
        { what: "a managed HSM of the vault's name", kid: kid.replace("vault.azure", "managedhsm.azure") },
        { what: "another key", kid: vault.createKey({ name: "another", kty: keyTypeFor(algorithm) }) },
      ].map(({ what, kid }) => ({
        what,
        wrapped: { masterKey: uriOf(kid), ciphertext: new Uint8Array(schemes[algorithm].longest).fill(1) },
      })),
    badReplies: (["wrap", "unwrap"] as const).flatMap((operation) => [
      badReply("names another key", operation, "another-key"),
      badReply("has another length", operation, "bad-length"),
      badReply("is no JSON", operation, "malformed"),
    ]),
    forge: async (key, context) => ({
      masterKey: uriOf(kid),
      ciphertext: forgedWrap(algorithm, await vault.material(kid), key, context),
    }),
    rotate: async () => {
      kid = vault.rotate();
    },
    failures: {
      denied: failure("ERR_MASTER_KEY_DENIED", () => vault.deny("get", wrap, unwrap)),
      "not found": failure("ERR_MASTER_KEY_NOT_FOUND", () => vault.purge()),
      disabled: failure("ERR_MASTER_KEY_DISABLED", () => vault.disable()),
      // A deleted key answers as one that is not there, until somebody recovers it.
      "pending deletion": failure("ERR_MASTER_KEY_NOT_FOUND", () => vault.delete()),
      throttled: failure("ERR_MASTER_KEY_THROTTLED", fault("throttled")),
      unavailable: failure("ERR_MASTER_KEY_UNAVAILABLE", fault("down")),
      "timed out": failure("ERR_MASTER_KEY_UNAVAILABLE", fault("silent"), () =>
        azureKeyVault({ vaultUrl, keyName, algorithm, client: impatient(sdkClients()) }),
      ),
      "malformed reply": failure("ERR_MASTER_KEY_BAD_REPLY", fault("malformed")),
      "no credentials": failure(
        "ERR_CREDENTIALS",
        () => {},
        () => providerFor(vault, { algorithm, credential: without }),
      ),
      "expired credentials": failure("ERR_CREDENTIALS", fault("expired-credentials")),
    },
    delay: (ms) => vault.inject({ kind: "slow", ms }, ALWAYS),
    injected() {
      let closed = 0;
      const close = async () => {
        closed++;
      };
      const client = { ...sdkClients(), close };
      return {
        provider: azureKeyVault({ vaultUrl, keyName, algorithm, client }),
        closed: () => closed,
      };
    },
    secrets: [token.token],
  };

  function sdkClients(): AzureKeyVaultClient {
    return {
      keys: new KeyClient(vaultUrl, credential, { ...clientOptions }),
      cryptography: (key) => new CryptographyClient(key, credential, { ...clientOptions }),
    };
  }
}

const without: AzureCredential = {
  getToken: () => Promise.reject(new CredentialUnavailableError("There is no credential here.")),
};

/** The same clients with a shorter timeout for each request. */
function impatient({ keys, cryptography }: AzureKeyVaultClient): AzureKeyVaultClient {
  const requestOptions = { timeout: SHORT_TIMEOUT_MS };
  const sooner = <Options extends object>(options: Options) => ({ ...options, requestOptions });
  if (keys === undefined) throw new Error("There are keys in the test's client.");
  return {
    keys: { getKey: (name, options) => keys.getKey(name, sooner(options)) },
    cryptography(key) {
      const client = cryptography(key);
      return {
        wrapKey: (algorithm, bytes, options) => client.wrapKey(algorithm, bytes, sooner(options)),
        unwrapKey: (algorithm, bytes, options) => client.unwrapKey(algorithm, bytes, sooner(options)),
        encrypt: (parameters, options) => client.encrypt(parameters, sooner(options)),
        decrypt: (parameters, options) => client.decrypt(parameters, sooner(options)),
      };
    },
  };
}
