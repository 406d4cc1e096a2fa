/** The reference subject: the cloud in memory with every lever, and its provider, which a mutant may alter. */

import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { type EncryptionContext, encodeContext, type MasterKeyProvider } from "@keyfold/core";
import { concat } from "@keyfold/core/provider";
import type { MemoryFailure } from "../../src/memory-master-key.ts";
import { memoryMasterKey } from "../../src/memory-master-key.ts";
import type {
  AliasLever,
  BadReply,
  FailureKind,
  FailureLever,
  ProviderSubject,
  RunningSubject,
} from "../../src/subject.ts";
import { ABROAD, ALIAS, CREDENTIAL, MemoryCloud, ONE, type Reply, TWO } from "./cloud.ts";
import { type CloudKeyOptions, cloudKey } from "./cloud-key.ts";

/** What a mutant does to each provider that is configured with the key, or with the alias. */
export type Mutation = (provider: MasterKeyProvider, cloud: MemoryCloud) => MasterKeyProvider;

export interface ReferenceOptions {
  readonly key?: Mutation;
  readonly alias?: Mutation;
  readonly cloudKeyOptions?: Partial<CloudKeyOptions>;
  readonly subject?: Partial<ProviderSubject>;
  readonly running?: Partial<RunningSubject>;
}

/** @param options of the members of `subject` and `running`, those that are given replace the reference's */
export function referenceSubject(options: ReferenceOptions = {}): ProviderSubject {
  return {
    name: "reference",
    forgeable: false,
    module: moduleSubject("light"),
    start: async () => {
      const cloud = new MemoryCloud();
      return { ...runningCloud(cloud, makerFor(cloud, options)), ...options.running };
    },
    ...options.subject,
  };
}

export function moduleSubject(name: "light" | "partly" | "heavy" | "idle"): ProviderSubject["module"] {
  return {
    url: new URL(`./modules/${name}.ts`, import.meta.url).href,
    sdks: ["fast-check"],
    firstCall: "await provider.load();",
  };
}

export type Make = (options: Omit<CloudKeyOptions, "client">) => MasterKeyProvider;

/** The levers of the cloud, for whichever provider `make` makes. */
export function runningCloud(cloud: MemoryCloud, make: Make): RunningSubject {
  const one = cloud.key(ONE);
  return {
    provider: () => make({ keyId: ONE }),
    masterKey: () => one.masterKey,
    requests: () => cloud.requests,
    stop: async () => cloud.stop(),
    ...specification(cloud.masterBytes),
    otherKeys: () => Promise.all([TWO, ABROAD].map((uri) => otherKey(cloud, uri))),
    badReplies: badReplies(cloud),
    forge: (key, context) => memoryMasterKey({ id: ONE.slice("memory:".length) }).wrapKey(key, live(context)),
    alias: aliasLever(cloud, make),
    rotate: async () => cloud.rotate(),
    failures: failures(cloud, () => make({ keyId: ONE })),
    delay: (ms) => one.delay(ms),
    injected: () => ({
      provider: make({ keyId: ONE, isInjected: true }),
      closed: () => cloud.closed,
    }),
    secrets: [
      CREDENTIAL,
      ...(["hex", "base64", "base64url"] as const).map((as) => spelled(cloud.masterBytes, as)),
    ],
  };
}

function makerFor(cloud: MemoryCloud, { key, alias, cloudKeyOptions }: ReferenceOptions): Make {
  return (options) => {
    const provider = cloudKey({ ...options, client: cloud.client(), ...cloudKeyOptions });
    const mutation = options.keyId === ALIAS ? alias : key;
    return mutation === undefined ? provider : mutation(provider, cloud);
  };
}

function live(context: EncryptionContext) {
  return { context, signal: new AbortController().signal };
}

function spelled(bytes: Uint8Array, as: BufferEncoding): string {
  return Buffer.from(bytes).toString(as);
}

async function otherKey(cloud: MemoryCloud, uri: string) {
  const wrapped = await cloud
    .key(uri)
    .reopen()
    .wrapKey(randomBytes(32), live({ a: "b" }));
  return { what: uri === TWO ? "another key" : "another region", wrapped };
}

/** The form of a wrap, written a second time: 01 ‖ nonce 12 ‖ AES-256-GCM 48. */
function specification(master: Uint8Array): Partial<RunningSubject> {
  return {
    scheme: { byte: 1, shortest: 61, longest: 61 },
    async wrapAsSpecified(key, context) {
      const nonce = randomBytes(12);
      const cipher = createCipheriv("aes-256-gcm", master, nonce).setAAD(encodeContext(context));
      const sealed = [cipher.update(key), cipher.final(), cipher.getAuthTag()];
      return { masterKey: ONE, ciphertext: concat(Uint8Array.of(1), nonce, ...sealed) };
    },
    async unwrapAsSpecified({ ciphertext }, context) {
      const decipher = createDecipheriv("aes-256-gcm", master, ciphertext.subarray(1, 13));
      decipher.setAAD(encodeContext(context)).setAuthTag(ciphertext.subarray(45));
      const key = decipher.update(ciphertext.subarray(13, 45));
      try {
        decipher.final();
        return key;
      } catch (error) {
        if (error instanceof Error && error.message.includes("authenticate")) return undefined;
        throw error;
      }
    },
  };
}

function badReplies(cloud: MemoryCloud): readonly BadReply[] {
  const reply = (
    what: string,
    operation: BadReply["operation"],
    alter: (reply: Reply) => Reply,
  ): BadReply => ({
    what,
    operation,
    arm: () => cloud.spoil(operation, alter),
  });
  return [
    reply("names another key", "wrap", ({ bytes }) => ({ masterKey: ABROAD, bytes })),
    reply("is empty", "wrap", ({ masterKey }) => ({ masterKey, bytes: new Uint8Array() })),
    reply("names another key", "unwrap", ({ bytes }) => ({ masterKey: TWO, bytes })),
    reply("is a byte short", "unwrap", ({ masterKey, bytes }) => ({ masterKey, bytes: bytes.slice(1) })),
  ];
}

function aliasLever(cloud: MemoryCloud, make: Make): AliasLever {
  return {
    provider: () => make({ keyId: ALIAS }),
    move: async () => {
      cloud.alias = TWO;
    },
    masterKey: () => cloud.alias,
    formerKey: () => make({ keyId: ONE }),
  };
}

function failures(
  cloud: MemoryCloud,
  provider: () => MasterKeyProvider,
): Readonly<Record<FailureKind, FailureLever>> {
  const one = cloud.key(ONE);
  const by = (code: MemoryFailure, arm: () => void): FailureLever => ({
    code,
    arm: async () => {
      arm();
      return provider();
    },
  });
  const failing = (code: MemoryFailure) =>
    by(code, () => one.fail(code, { times: Number.POSITIVE_INFINITY }));
  return {
    denied: by("ERR_MASTER_KEY_DENIED", () => one.deny()),
    "not found": failing("ERR_MASTER_KEY_NOT_FOUND"),
    disabled: by("ERR_MASTER_KEY_DISABLED", () => one.disable()),
    "pending deletion": failing("ERR_MASTER_KEY_DISABLED"),
    throttled: failing("ERR_MASTER_KEY_THROTTLED"),
    unavailable: failing("ERR_MASTER_KEY_UNAVAILABLE"),
    "timed out": failing("ERR_MASTER_KEY_UNAVAILABLE"),
    "malformed reply": failing("ERR_MASTER_KEY_BAD_REPLY"),
    "no credentials": failing("ERR_CREDENTIALS"),
    "expired credentials": failing("ERR_CREDENTIALS"),
  };
}
