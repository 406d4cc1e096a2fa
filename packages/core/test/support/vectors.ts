/** The vectors of the specification, typed, and what seals and opens them. Hex unless said otherwise. */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { inflateSync } from "node:zlib";
import type { Bytes } from "../../src/bytes.ts";
import { openMessage, plaintextBytes } from "../../src/cobblestone.ts";
import { type EncryptionContext, encodeApplicationContext, type KeyPurpose } from "../../src/context.ts";
import { decodeHeader, encodeHeaderPrefix } from "../../src/envelope.ts";
import type { KeyfoldErrorCode } from "../../src/errors.ts";
import { expandInto } from "../../src/hkdf.ts";
import { KeyCache, type Scope } from "../../src/key-cache.ts";
import { deriveKek, encodeName, importKdk } from "../../src/key-hierarchy.ts";
import type { MasterKeyProvider, WrappedKey } from "../../src/master-key.ts";
import { resolveOptions } from "../../src/options.ts";
import { sealEnvelopeWith } from "../../src/sealing.ts";
import { hex, unhex } from "./hex.ts";

export interface EnvelopeVector {
  readonly name: string;
  readonly project: string;
  readonly scope: string;
  readonly context: Readonly<Record<string, string>>;
  readonly kdk: string;
  readonly salt: string;
  readonly nonce: string;
  readonly dek: string;
  readonly messageSalt: string;
  readonly kdkId: string;
  readonly kek: string;
  readonly sealedDek: string;
  readonly encodedContext: string;
  readonly payloadKey: string;
  readonly baseNonce: string;
  readonly commitment: string;
  readonly wraps: readonly { readonly masterKey: string; readonly wrapped: string }[];
  /** Of a long one: SHA-256(prefix + "/" + i) for i = 0, 1, 2 … concatenated, cut at length. */
  readonly plaintext: string | { readonly length: number; readonly prefix: string; readonly sha256: string };
  readonly envelope: string | { readonly length: number; readonly sha256: string; readonly header: string };
  /** The text form; null for a long one. */
  readonly text: string | null;
}

/** Opened with that KDK in hand it must fail with that code. It is given as bytes or as text. */
export type InvalidVector = Readonly<
  Pick<EnvelopeVector, "name" | "kdk" | "project" | "scope" | "context"> & { code: KeyfoldErrorCode } & (
      | { envelope: string; text?: never }
      | { text: string; envelope?: never }
    )
>;

export interface WrapVector {
  readonly name: string;
  readonly project: string;
  readonly purpose: KeyPurpose;
  readonly kmsContext: Readonly<Record<string, string>>;
  readonly encoded: string;
  readonly masterKey: string;
  readonly wrapped: string;
}

interface EnvelopeFile {
  readonly vectors: readonly EnvelopeVector[];
  readonly invalid: readonly InvalidVector[];
}

interface WrapFile {
  readonly wraps: readonly WrapVector[];
}

export const { vectors: envelopeVectors, invalid: invalidVectors }: EnvelopeFile = read("envelope-v1.json");
export const { wraps: wrapVectors }: WrapFile = read("wraps-and-keyring-v1.json");

const plaintexts = new Map<string, Bytes>();

/** The plaintext of a vector, to be read only; a long one is made once, as the file's note says. */
export function plaintextOf({ name, plaintext }: EnvelopeVector): Bytes {
  if (typeof plaintext === "string") return unhex(plaintext);
  const made = plaintexts.get(name) ?? longPlaintext(plaintext);
  plaintexts.set(name, made);
  return made;
}

function longPlaintext({ length, prefix }: { length: number; prefix: string }): Bytes {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) =>
    createHash("sha256").update(`${prefix}/${i}`).digest(),
  );
  return new Uint8Array(Buffer.concat(blocks, length));
}

/** What of an envelope a vector tells: all of it, or of a long one its length, its SHA-256 and its header. */
export function digestOf(envelope: Uint8Array, like: EnvelopeVector["envelope"]): EnvelopeVector["envelope"] {
  if (typeof like === "string") return hex(envelope);
  return {
    length: envelope.length,
    sha256: sha256(envelope),
    header: hex(envelope.subarray(0, like.header.length / 2)),
  };
}

/** The envelope of a vector's inputs, by the function that random sealing calls. */
export function sealVector(vector: EnvelopeVector): Bytes {
  const { id, kek } = keysOf(vector);
  const wraps = vector.wraps.map(({ masterKey, wrapped }) => ({ masterKey, ciphertext: unhex(wrapped) }));
  const prefix = encodeHeaderPrefix({ kdkId: id, salt: unhex(vector.salt), wraps });
  const draws = {
    nonce: unhex(vector.nonce),
    dek: unhex(vector.dek),
    messageSalt: unhex(vector.messageSalt),
  };
  const context = encodeApplicationContext(vector.context);
  return sealEnvelopeWith({ kek, prefix }, draws, context, plaintextOf(vector));
}

/** The id and the KEK that a vector's KDK gives. */
export function keysOf(vector: Pick<EnvelopeVector, "kdk" | "project" | "scope" | "salt">) {
  const kdk = importKdk(unhex(vector.kdk), encodeName("project", vector.project));
  return { id: kdk.id, kek: deriveKek(kdk, unhex(vector.salt), encodeName("scope", vector.scope)) };
}

/** What Cobblestone-256 derives for one message. */
export interface MessageKeys {
  readonly payloadKey: string;
  readonly baseNonce: string;
  readonly commitment: string;
}

/** The keys of a message as c2sp.org/chunked-encryption gives them, by the Expand that sealing and opening use. */
export function messageKeys(key: Uint8Array, salt: Uint8Array, context: Uint8Array): MessageKeys {
  const okm = new Uint8Array(76);
  const label = Buffer.from("c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0");
  expandInto(okm, key, label, salt, context);
  return {
    payloadKey: hex(okm.subarray(0, 32)),
    baseNonce: hex(okm.subarray(32, 44)),
    commitment: hex(okm.subarray(44)),
  };
}

/** A KDK, and what its opener says of the envelope. */
export interface InHand {
  readonly kdk: string;
  readonly project: string;
  readonly scope: string;
  readonly context: EncryptionContext;
}

/** A master key that answers every wrap with one KDK. */
export function masterKeyWith(kdk: string): MasterKeyProvider {
  return {
    name: "a KDK in hand",
    authenticatesWraps: true,
    recognizes: () => true,
    wrapKey: () => Promise.reject(new Error("A KDK in hand only opens.")),
    unwrapKey: () => Promise.resolve(unhex(kdk)),
  };
}

const IN_HAND: WrappedKey = { masterKey: "test:in-hand", ciphertext: new Uint8Array(1) };

/**
 * Opens an envelope with a KDK in hand, as a keyring would give it: the wraps that the envelope embeds are ignored. Every
 * check is core's own, that of the KDK's id included: the key cache asks a master key that has this KDK for any wrap.
 */
export async function openInHand(
  { kdk, project, scope, context }: InHand,
  envelope: Uint8Array,
): Promise<Bytes> {
  const header = decodeHeader(envelope);
  plaintextBytes(envelope.length - header.length);
  const keys = new KeyCache(resolveOptions({ project, openWith: masterKeyWith(kdk) }));
  const inScope: Scope = { name: scope, encoded: encodeName("scope", scope) };
  const dek = await keys.obtainDek({ ...header, wraps: [IN_HAND] }, inScope, { signals: [] });
  return openMessage(dek, encodeApplicationContext(context), envelope.subarray(header.length));
}

/** Whether a refusal needs the KDK and the envelope does not embed it: then `open` alone, without a keyring, cannot reach it. */
export function needsKeyring({ code, envelope }: InvalidVector): boolean {
  const beforeAnyKey: readonly KeyfoldErrorCode[] = [
    "ERR_NOT_AN_ENVELOPE",
    "ERR_UNSUPPORTED_VERSION",
    "ERR_MALFORMED_ENVELOPE",
    "ERR_MESSAGE_TRUNCATED",
  ];
  return !beforeAnyKey.includes(code) && envelope?.slice(6, 8) !== "01";
}

/** A case of Wycheproof's ChunkedEncryption for Cobblestone-256: one message, a key, a context that is bytes. */
export interface WycheproofCase {
  readonly tcId: number;
  readonly comment: string;
  readonly key: Bytes;
  readonly context: Bytes;
  readonly message: Bytes;
  readonly result: "valid" | "invalid";
  readonly flags: readonly string[];
  /** Absent where the header alone is refused. */
  readonly keys: Pick<MessageKeys, "payloadKey" | "baseNonce"> | undefined;
  /** Of a valid one, its plaintext. */
  readonly length: number | undefined;
  readonly sha512: string | undefined;
}

/** The cases, or why there are none here and whether that is a failure. */
export type Wycheproof =
  | { readonly cases: readonly WycheproofCase[] }
  | { readonly absent: string; readonly required: boolean };

/** Reads the cases from the folder that KEYFOLD_WYCHEPROOF names. KEYFOLD_REQUIRE=1 says that they must be there. */
export function readWycheproof(): Wycheproof {
  const required = process.env["KEYFOLD_REQUIRE"] === "1";
  const folder = process.env["KEYFOLD_WYCHEPROOF"] ?? "";
  if (folder === "") return { absent: "KEYFOLD_WYCHEPROOF names no folder", required };
  const path = `${folder}/wycheproof-cobblestone-256.json`;
  const { testGroups }: WycheproofFile = JSON.parse(readFileSync(path, "utf8"));
  return { cases: testGroups.flatMap(({ tests }) => tests).map(toCase) };
}

/**
 * The code that the specification gives an invalid case, by its flags and its length: a message of under 56 bytes, or with
 * 0 to 15 bytes after its last whole chunk, is truncated; cut or extended elsewhere it is altered.
 */
export function refusalOfCase({ flags, message }: WycheproofCase): KeyfoldErrorCode {
  if (flags.includes("InvalidKeySize")) return "ERR_INVALID_ARGUMENT";
  if (message.length < 56 || (message.length - 56) % 16_400 < 16) return "ERR_MESSAGE_TRUNCATED";
  return flags.includes("HeaderFailure") ? "ERR_CONTEXT_MISMATCH" : "ERR_MESSAGE_ALTERED";
}

interface WycheproofFile {
  readonly testGroups: readonly { readonly tests: readonly WycheproofTest[] }[];
}

interface WycheproofTest extends Pick<WycheproofCase, "tcId" | "comment" | "result" | "flags"> {
  readonly key: string;
  readonly ctx: string;
  /** Compressed by zlib, then hex. */
  readonly ct: string;
  readonly aeadKey?: string;
  readonly baseNonce?: string;
  readonly msgLength?: number;
  readonly msgSha512?: string;
}

function toCase({ tcId, comment, result, flags, ...test }: WycheproofTest): WycheproofCase {
  const { aeadKey, baseNonce } = test;
  return {
    ...{ tcId, comment, result, flags },
    key: unhex(test.key),
    context: unhex(test.ctx),
    message: new Uint8Array(inflateSync(unhex(test.ct))),
    keys: aeadKey === undefined || baseNonce === undefined ? undefined : { payloadKey: aeadKey, baseNonce },
    length: test.msgLength,
    sha512: test.msgSha512,
  };
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function sha512(bytes: Uint8Array): string {
  return createHash("sha512").update(bytes).digest("hex");
}

function read<T>(file: string): T {
  return JSON.parse(readFileSync(new URL(`../vectors/${file}`, import.meta.url), "utf8"));
}
