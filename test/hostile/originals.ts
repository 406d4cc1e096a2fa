/** The valid envelopes that hostile ones are made of, and the master keys that open them. All of it follows from the seed. */

import { createCipheriv, createDecipheriv, createHash } from "node:crypto";
import { encodeContext, kmsContext } from "../../packages/core/src/context.ts";
import { encodeHeaderPrefix, encodeText } from "../../packages/core/src/envelope.ts";
import {
  type EncryptionContext,
  KeyfoldError,
  type MasterKeyProvider,
} from "../../packages/core/src/index.ts";
import { deriveKek, encodeName, importKdk } from "../../packages/core/src/key-hierarchy.ts";
import type { WrappedKey } from "../../packages/core/src/master-key.ts";
import { sealEnvelopeWith } from "../../packages/core/src/sealing.ts";
import type { Random } from "./random.ts";

export const PROJECT = "hostile";
export const CONTEXT: EncryptionContext = { name: "db_password" };

const KMS_CONTEXT = encodeContext(kmsContext(PROJECT, "kdk"));

/** A master key that counts how often it is asked to unwrap. It wraps by a nonce that it is given. */
export class CountingKms implements MasterKeyProvider {
  readonly name: string;
  readonly authenticatesWraps: boolean;
  unwraps = 0;
  readonly #key: Buffer;

  constructor(uri: string, authenticatesWraps: boolean) {
    this.name = uri;
    this.authenticatesWraps = authenticatesWraps;
    this.#key = createHash("sha256").update(uri).digest();
  }

  recognizes(masterKey: string): boolean {
    return masterKey === this.name;
  }

  wrap(key: Uint8Array, nonce: Uint8Array): WrappedKey {
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce).setAAD(KMS_CONTEXT);
    const sealed = [cipher.update(key), cipher.final(), cipher.getAuthTag()];
    return { masterKey: this.name, ciphertext: new Uint8Array(Buffer.concat([nonce, ...sealed])) };
  }

  wrapKey(): Promise<WrappedKey> {
    return Promise.reject(new Error("Nothing is sealed here."));
  }

  async unwrapKey({ ciphertext }: WrappedKey): Promise<Uint8Array<ArrayBuffer>> {
    this.unwraps++;
    if (ciphertext.length < 28) throw new KeyfoldError("ERR_MASTER_KEY_REJECTED");
    const decipher = createDecipheriv("aes-256-gcm", this.#key, ciphertext.subarray(0, 12)).setAAD(
      KMS_CONTEXT,
    );
    decipher.setAuthTag(ciphertext.subarray(-16));
    const key = new Uint8Array(decipher.update(ciphertext.subarray(12, -16)));
    try {
      decipher.final();
    } catch (cause) {
      throw new KeyfoldError("ERR_MASTER_KEY_REJECTED", undefined, { cause });
    }
    return key;
  }
}

/** Three that authenticate their wraps, and one that does not: what the openers are configured with. */
export const masterKeys: readonly CountingKms[] = ["kms:one", "kms:two", "kms:three", "rsa:four"].map(
  (uri) => new CountingKms(uri, uri.startsWith("kms:")),
);

/** Master keys of others, which no opener has. */
const strangers = Array.from({ length: 12 }, (_, i) => new CountingKms(`kms:stranger-${i}`, true));
const [one, two, three, rsa] = masterKeys as [CountingKms, CountingKms, CountingKms, CountingKms];

/** Which master keys an envelope is wrapped under, and how long its plaintext is. */
const plans: readonly { readonly under: readonly CountingKms[]; readonly length: number }[] = [
  { under: [one], length: 0 },
  { under: [one], length: 24 },
  { under: [two], length: 200 },
  { under: [one, two, three], length: 24 },
  { under: [three, ...strangers, one, two, rsa], length: 7 },
  { under: [rsa], length: 24 },
  { under: [rsa, ...strangers.slice(0, 2)], length: 1 },
  { under: strangers.slice(0, 1), length: 24 },
  { under: [], length: 24 },
];

/** One in some hundreds of inputs is made of these, whose message has two chunks. */
const longPlans = [{ under: [one], length: 16_384 + 10 }];

export interface Originals {
  readonly short: readonly Uint8Array[];
  readonly long: readonly Uint8Array[];
  /** Those that an opener with the master keys can open: they have a wrap under one that authenticates. */
  readonly openable: readonly Uint8Array[];
  /** Whether it is one of these envelopes, as bytes or as text, with nothing changed. */
  includes(input: Uint8Array | string): boolean;
}

export function makeOriginals(random: Random): Originals {
  const short = plans.map((plan) => seal(random, plan));
  const long = longPlans.map((plan) => seal(random, plan));
  const openable = [
    ...short.filter((_, i) => plans[i]?.under.some(({ name }) => name === "kms:one" || name === "kms:two")),
    ...long,
  ];
  const known = new Set([...short, ...long].flatMap((bytes) => [nameOf(bytes), nameOf(encodeText(bytes))]));
  return { short, long, openable, includes: (input) => known.has(nameOf(input)) };
}

function seal(random: Random, { under, length }: (typeof plans)[number]): Uint8Array {
  const key = random.bytes(32);
  const kdk = importKdk(key, encodeName("project", PROJECT));
  const salt = random.bytes(16);
  const wraps = under.map((masterKey) => masterKey.wrap(key, random.bytes(12)));
  const prefix = encodeHeaderPrefix({ kdkId: kdk.id, salt, wraps });
  const kek = deriveKek(kdk, salt, encodeName("scope", ""));
  const draws = { nonce: random.bytes(12), dek: random.bytes(32), messageSalt: random.bytes(24) };
  return sealEnvelopeWith({ kek, prefix }, draws, encodeContext(CONTEXT), random.bytes(length));
}

function nameOf(input: Uint8Array | string): string {
  if (typeof input === "string") return `text ${input}`;
  return Buffer.from(input.buffer, input.byteOffset, input.length).toString("latin1");
}
