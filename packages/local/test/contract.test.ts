/** The provider contract, for each of the local keys. Their wraps are made here a second time, by the specification alone. */

import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  randomBytes,
  type ScryptOptions,
  scryptSync,
} from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type EncryptionContext,
  encodeContext,
  type MasterKeyProvider,
  type WrappedKey,
} from "@keyfold/core";
import { concat } from "@keyfold/core/provider";
import {
  type FailureKind,
  type FailureLever,
  type ProviderSubject,
  type RuleId,
  type RunningSubject,
  testMasterKeyProvider,
} from "@keyfold/testing";
import { describe, expect, it, test, vi } from "vitest";
import { envKey } from "../src/env-key.ts";
import { localKeyFile } from "../src/file-key.ts";
import { createLocalKeyFile, rotateLocalKeyFile } from "../src/key-file-write.ts";
import { passphraseKey } from "../src/passphrase.ts";

const SALT_AND_COST_BYTES = 19;
const COST = { log2N: 15, p: 1 };

const failureKinds: readonly FailureKind[] = [
  "denied",
  "not found",
  "disabled",
  "pending deletion",
  "throttled",
  "unavailable",
  "timed out",
  "malformed reply",
  "no credentials",
  "expired credentials",
];

const inMemory = "the key is in memory";
const noAlias = { "alias-chooses-only": "a local key has one name" };
const noReply = { "reply-is-checked": "nobody replies" };

const keyFile: ProviderSubject = {
  name: "localKeyFile",
  forgeable: false,
  withoutRequests: inMemory,
  inapplicable: { ...noAlias, ...noReply },
  withoutFailures: withoutFailures(["denied", "not found", "malformed reply"], "a file does not fail so"),
  module: moduleSubject("localKeyFile('master.key').recognizes('local:00')"),
  start: startKeyFile,
};

const variable: ProviderSubject = {
  name: "envKey",
  forgeable: false,
  withoutRequests: inMemory,
  inapplicable: { ...noAlias, ...noReply, "rotation-keeps-old-keys": "a variable holds one key" },
  withoutFailures: withoutFailures(["not found", "malformed reply"], "a variable does not fail so"),
  module: moduleSubject("envKey('KEYFOLD_NOT_SET').recognizes('local:00')"),
  start: startVariable,
};

const passphrase: ProviderSubject = {
  name: "passphraseKey",
  forgeable: false,
  withoutRequests: "the passphrase is in memory",
  inapplicable: {
    ...noAlias,
    ...noReply,
    "rotation-keeps-old-keys": "a passphrase is one key",
    "other-keys-are-not-mine": "only scrypt can tell one passphrase from another",
  },
  withoutFailures: withoutFailures([], "nothing is between the passphrase and its wraps"),
  module: moduleSubject("passphraseKey('correct horse').recognizes('local:00')"),
  start: startPassphrase,
};

/**
 * Node's own scrypt with a 32nd of the N that it is asked for, as well for the provider as for the specification below:
 * the suite makes hundreds of derivations. That the real ones are right is for the vectors to say.
 */
vi.mock("node:crypto", async (importOriginal) => {
  const crypto = await importOriginal<typeof import("node:crypto")>();
  const cheap = ({ N = 0, ...options }: ScryptOptions) => ({ ...options, N: N / 32 });
  const scrypt = (
    secret: Buffer,
    salt: Uint8Array,
    length: number,
    options: ScryptOptions,
    callback: (error: Error | null, key: Buffer) => void,
  ) => crypto.scrypt(secret, salt, length, cheap(options), callback);
  const scryptSync = (secret: string, salt: Uint8Array, length: number, options: ScryptOptions) =>
    crypto.scryptSync(secret, salt, length, cheap(options));
  return { ...crypto, scrypt, scryptSync };
});

for (const subject of [keyFile, variable, passphrase]) testMasterKeyProvider({ describe, it }, subject);

test.each<[ProviderSubject, RuleId[], FailureKind[]]>([
  [keyFile, [], ["denied", "not found", "malformed reply"]],
  [variable, ["rotation-keeps-old-keys"], ["not found", "malformed reply"]],
  [passphrase, ["rotation-keeps-old-keys", "other-keys-are-not-mine"], []],
])("$name skips what the contract foresees, and no more", (subject, skipped, failures) => {
  const { inapplicable, withoutFailures } = subject;
  expect(Object.keys(inapplicable ?? {})).toEqual(["alias-chooses-only", "reply-is-checked", ...skipped]);
  expect(failureKinds.filter((kind) => withoutFailures?.[kind] === undefined)).toEqual(failures);
});

async function startKeyFile(): Promise<RunningSubject> {
  const directory = mkdtempSync(join(tmpdir(), "keyfold-contract-"));
  const path = join(directory, "master.key");
  let masterKey = await createLocalKeyFile(path);
  const master = keyIn(path);
  const other = join(directory, "other.key");
  await createLocalKeyFile(other);
  const provider = () => localKeyFile(path);
  return {
    ...localLevers(master, keyIn(other)),
    provider,
    masterKey: () => masterKey,
    rotate: async () => {
      masterKey = await rotateLocalKeyFile(path);
    },
    failures: {
      denied: keyFileFailure(() => chmodSync(path, 0o644), provider, false),
      "not found": keyFileFailure(() => unlinkSync(path), provider, true),
      "malformed reply": keyFileFailure(() => writeFileSync(path, "{}"), provider, false),
    },
    stop: async () => rmSync(directory, { recursive: true }),
  };
}

let variables = 0;

async function startVariable(): Promise<RunningSubject> {
  const name = `KEYFOLD_CONTRACT_${variables++}`;
  const master = randomBytes(32);
  process.env[name] = master.toString("base64");
  const provider = () => envKey(name);
  const unset = () => void delete process.env[name];
  const spoil = () => {
    process.env[name] = "no key";
  };
  return {
    ...localLevers(master, randomBytes(32)),
    provider,
    masterKey: () => uriOf(master),
    failures: {
      "not found": keyFileFailure(unset, provider, false),
      "malformed reply": keyFileFailure(spoil, provider, false),
    },
    stop: async () => unset(),
  };
}

async function startPassphrase(): Promise<RunningSubject> {
  const secret = `correct horse ${randomBytes(8).toString("hex")}`;
  return {
    provider: () => passphraseKey(secret, COST),
    masterKey: () => "passphrase:",
    requests: () => 0,
    stop: async () => {},
    scheme: { byte: 2, shortest: 80, longest: 80 },
    wrapAsSpecified: async (key, context) => wrapUnderPassphrase(secret, key, context),
    unwrapAsSpecified: async ({ ciphertext }, context) => {
      const derived = derive(secret, ciphertext.subarray(4, 4 + 16));
      return decrypt(derived, ciphertext.subarray(1 + SALT_AND_COST_BYTES), context);
    },
    forge: async (key, context) => wrapUnderPassphrase("incorrect horse", key, context),
    secrets: [secret, ...spellings(Buffer.from(secret))],
  };
}

/** What a key file and a variable have in common: a key of 32 bytes, and another. */
function localLevers(master: Buffer, other: Buffer) {
  const wrapUnder =
    (key: Buffer, masterKey: string) => async (secret: Uint8Array, context: EncryptionContext) => ({
      masterKey,
      ciphertext: concat(Uint8Array.of(1), encrypt(key, secret, context)),
    });
  return {
    requests: () => 0,
    scheme: { byte: 1, shortest: 61, longest: 61 },
    wrapAsSpecified: wrapUnder(master, uriOf(master)),
    unwrapAsSpecified: async ({ ciphertext }: WrappedKey, context: EncryptionContext) =>
      decrypt(master, ciphertext.subarray(1), context),
    forge: wrapUnder(other, uriOf(master)),
    otherKeys: async () => [
      { what: "another key", wrapped: await wrapUnder(other, uriOf(other))(randomBytes(32), { a: "b" }) },
      { what: "no key", wrapped: await wrapUnder(other, "local:")(randomBytes(32), { a: "b" }) },
    ],
    secrets: spellings(master),
  };
}

/** "local:" and Expand(key, "keyfold/1/local-id" ‖ 00, 16): RFC 5869, one block. */
function uriOf(key: Buffer): string {
  const block = createHmac("sha512", key).update("keyfold/1/local-id\0\x01").digest("hex");
  return `local:${block.slice(0, 32)}`;
}

function keyIn(path: string): Buffer {
  const file = JSON.parse(readFileSync(path, "utf8")) as { keys: [{ key: string }] };
  return Buffer.from(file.keys[0].key, "base64url");
}

function wrapUnderPassphrase(secret: string, key: Uint8Array, context: EncryptionContext): WrappedKey {
  const salt = randomBytes(16);
  const head = Uint8Array.of(2, COST.log2N, 8, COST.p);
  const ciphertext = concat(head, salt, encrypt(derive(secret, salt), key, context));
  return { masterKey: "passphrase:", ciphertext };
}

function derive(secret: string, salt: Uint8Array): Buffer {
  return scryptSync(secret, salt, 32, { N: 2 ** COST.log2N, r: 8, p: COST.p, maxmem: 2 ** 27 });
}

/** Nonce 12 ‖ AES-256-GCM(key, secret, AAD = E) 48. */
function encrypt(key: Buffer, secret: Uint8Array, context: EncryptionContext): Uint8Array {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(encodeContext(context));
  return concat(nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag());
}

function decrypt(key: Buffer, sealed: Uint8Array, context: EncryptionContext): Uint8Array | undefined {
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, 12));
  decipher.setAAD(encodeContext(context)).setAuthTag(sealed.subarray(-16));
  const secret = decipher.update(sealed.subarray(12, -16));
  try {
    decipher.final();
    return secret;
  } catch (error) {
    if (error instanceof Error && error.message.includes("authenticate")) return undefined;
    throw error;
  }
}

function spellings(bytes: Buffer): string[] {
  return (["hex", "base64", "base64url"] as const).map((encoding) => bytes.toString(encoding));
}

function keyFileFailure(arm: () => void, provider: () => MasterKeyProvider, hasCause: boolean): FailureLever {
  return {
    code: "ERR_KEY_FILE",
    hasCause,
    arm: async () => {
      arm();
      return provider();
    },
  };
}

function withoutFailures(kept: readonly FailureKind[], reason: string): Partial<Record<FailureKind, string>> {
  return Object.fromEntries(
    failureKinds.filter((kind) => !kept.includes(kind)).map((kind) => [kind, reason]),
  );
}

function moduleSubject(call: string): ProviderSubject["module"] {
  return {
    url: new URL("../dist/index.js", import.meta.url).href,
    sdks: [],
    firstCall: `provider.${call};`,
  };
}
