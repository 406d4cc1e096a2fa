/**
 * A keyring as text and as fields. No key, no cryptography: whether a document is to be believed is for keyring-key.ts.
 * docs/spec/keyring-v1.md, "Document" and "The mac".
 */

import {
  type Bytes,
  concat,
  copyOf,
  decodeBase64url,
  encodeBase64url,
  encodeUtf8,
  lengthPrefixed,
  toLatin1,
  writeU16,
} from "./bytes.ts";
import { type EncryptionContext, encodeContext, kmsContext } from "./context.ts";
import { KDK_ID_BYTES, MAX_URI_BYTES, MAX_WRAPS } from "./envelope.ts";
import { KeyfoldError } from "./errors.ts";
import type { WrappedKey } from "./master-key.ts";
import { parseStrictJson, type StrictJson, StrictJsonError } from "./strict-json.ts";

export const KEYRING_ID_BYTES = 16;
export const KEYRING_MAC_BYTES = 32;
/** Nonce 12, ciphertext 32, tag 16. */
export const SEALED_KDK_BYTES = 60;
/** Destroyed ones included, until they are forgotten. */
export const MAX_KEYRING_KEYS = 4_096;
/** The longest that keyfold writes is below 3 MiB; what is longer is refused before it is looked at. */
export const MAX_KEYRING_CHARACTERS: number = 4 * 1024 * 1024;

const FORMAT = "keyring/1";
const MAX_PROJECT_BYTES = 255;
const MAX_WRAPPED_BYTES = 0xffff;
const MAC_LABEL = new TextEncoder().encode("keyfold/1/keyring\0");

/** What a key of a keyring is for: seals and opens, opens, or is gone. The mac counts them in this order. */
const STATES = ["active", "retired", "destroyed"] as const;

export type KdkState = (typeof STATES)[number];

export interface KeyringEntry {
  /** The kdkId, 16 bytes. */
  readonly id: Bytes;
  /** Unix seconds. */
  readonly created: number;
  readonly state: KdkState;
  /** 60 bytes; none of a destroyed key. */
  readonly sealed: Bytes;
}

export interface KeyringDocument {
  /** 1 to 255 bytes. */
  readonly project: string;
  /** 16 bytes, from the keyring key. */
  readonly id: Bytes;
  /** 1 to 2^53 - 1; one more with every change. */
  readonly sequence: number;
  /** The application's own entries, without keyfold's. */
  readonly kmsContext: EncryptionContext;
  /** The keyring key under each master key: 1 to 16, no URI twice. */
  readonly wraps: readonly WrappedKey[];
  /** 1 to 4,096 in the order they were created, no id twice. How many are active is not checked here. */
  readonly keys: readonly KeyringEntry[];
  /** 32 bytes, over all the rest. */
  readonly mac: Bytes;
}

/**
 * Reads the text of a keyring: its shape and its limits, and nothing that needs a key. All bytes are the caller's own.
 *
 * @throws `ERR_KEYRING_INVALID`; the message says what is wrong and where, and holds no value of the document
 */
export function parseKeyring(text: string): KeyringDocument {
  if (text.length > MAX_KEYRING_CHARACTERS) {
    throw invalid(`The keyring has more than ${MAX_KEYRING_CHARACTERS} characters.`);
  }
  const root = members(parseJson(text), "The document", MEMBERS);
  if (root.get("keyfold") !== FORMAT) {
    throw invalid(`The member "keyfold" is not "${FORMAT}": no keyring, or one of a newer release.`);
  }
  const project = readProject(root.get("project"));
  return {
    project,
    id: fixedBytes(root.get("id"), "id", KEYRING_ID_BYTES),
    sequence: readSequence(root.get("sequence")),
    kmsContext: readKmsContext(root.get("kmsContext"), project),
    wraps: list(root.get("wraps"), "wraps", MAX_WRAPS, readWrap, ({ masterKey }) => masterKey),
    keys: list(root.get("keys"), "keys", MAX_KEYRING_KEYS, readEntry, ({ id }) => toLatin1(id)),
    mac: fixedBytes(root.get("mac"), "mac", KEYRING_MAC_BYTES),
  };
}

/**
 * The text of a keyring, always the same for the same document: two spaces of indentation, one member a line, the KMS
 * context in the order of its keys, and a line break at the end.
 *
 * @param document within the limits that {@link parseKeyring} checks
 */
export function formatKeyring(document: KeyringDocument): string {
  const { project, id, sequence, wraps, keys, mac } = document;
  const context = Object.entries(document.kmsContext).sort(([a], [b]) => (a < b ? -1 : 1));
  const json = {
    keyfold: FORMAT,
    project,
    id: encodeBase64url(id),
    sequence,
    kmsContext: Object.fromEntries(context),
    wraps: wraps.map(({ masterKey, ciphertext }) => ({ masterKey, wrapped: encodeBase64url(ciphertext) })),
    keys: keys.map(({ id, created, state, sealed }) => ({
      id: encodeBase64url(id),
      created: formatTime(created),
      state,
      sealed: encodeBase64url(sealed),
    })),
    mac: encodeBase64url(mac),
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

/** What the mac is computed over: every field but itself. @returns the caller's own */
export function macInput(document: Omit<KeyringDocument, "mac">): Bytes {
  const { project, id, sequence, wraps, keys } = document;
  return concat(
    MAC_LABEL,
    prefixedText(project),
    id,
    u64(sequence),
    lengthPrefixed(encodeContext(document.kmsContext)),
    u16(wraps.length),
    ...wraps.flatMap(({ masterKey, ciphertext }) => [prefixedText(masterKey), lengthPrefixed(ciphertext)]),
    u16(keys.length),
    ...keys.flatMap(({ id, created, state, sealed }) => [
      id,
      u64(created),
      Uint8Array.of(STATES.indexOf(state)),
      lengthPrefixed(sealed),
    ]),
  );
}

const MEMBERS = ["keyfold", "project", "id", "sequence", "kmsContext", "wraps", "keys", "mac"];
const WRAP_MEMBERS = ["masterKey", "wrapped"];
const ENTRY_MEMBERS = ["id", "created", "state", "sealed"];

function parseJson(text: string): StrictJson {
  try {
    return parseStrictJson(text);
  } catch (error) {
    if (error instanceof StrictJsonError)
      throw invalid(`The keyring is not the JSON of one. ${error.message}`);
    throw error;
  }
}

function readProject(value: StrictJson | undefined): string {
  const project = text(value, "project");
  const length = encodeUtf8(project)?.length ?? 0;
  if (length < 1 || length > MAX_PROJECT_BYTES) {
    throw invalid(`The project is not 1 to ${MAX_PROJECT_BYTES} bytes.`);
  }
  return project;
}

function readSequence(value: StrictJson | undefined): number {
  if (typeof value !== "number" || value < 1)
    throw invalid("The sequence is not an integer from 1 to 2^53 - 1.");
  return value;
}

function readKmsContext(value: StrictJson | undefined, project: string): EncryptionContext {
  if (!(value instanceof Map)) throw invalid("kmsContext is not an object.");
  const context = Object.fromEntries(
    [...value].map(([key, entry]) => [key, text(entry, "An entry of kmsContext")]),
  );
  try {
    kmsContext(project, "keyring", context);
  } catch (cause) {
    if (!(cause instanceof KeyfoldError)) throw cause;
    throw invalid(
      "kmsContext is too long, or has a key that is empty or keyfold's own; cause says which.",
      cause,
    );
  }
  return Object.freeze(context);
}

function readWrap(value: StrictJson, where: string): WrappedKey {
  const wrap = members(value, where, WRAP_MEMBERS);
  const masterKey = text(wrap.get("masterKey"), `${where}.masterKey`);
  if (masterKey.length > MAX_URI_BYTES || !/^[!-~]+$/.test(masterKey)) {
    throw invalid(`${where}.masterKey is not 1 to ${MAX_URI_BYTES} printable ASCII characters.`);
  }
  const ciphertext = bytes(wrap.get("wrapped"), `${where}.wrapped`);
  if (ciphertext.length < 1 || ciphertext.length > MAX_WRAPPED_BYTES) {
    throw invalid(`${where}.wrapped is not 1 to ${MAX_WRAPPED_BYTES} bytes.`);
  }
  return { masterKey, ciphertext };
}

function readEntry(value: StrictJson, where: string): KeyringEntry {
  const entry = members(value, where, ENTRY_MEMBERS);
  const state = STATES.find((known) => known === entry.get("state"));
  if (state === undefined) throw invalid(`${where}.state is none of ${STATES.join(", ")}.`);
  const sealedBytes = state === "destroyed" ? 0 : SEALED_KDK_BYTES;
  return {
    id: fixedBytes(entry.get("id"), `${where}.id`, KDK_ID_BYTES),
    created: parseTime(text(entry.get("created"), `${where}.created`), `${where}.created`),
    state,
    sealed: fixedBytes(entry.get("sealed"), `${where}.sealed`, sealedBytes),
  };
}

/** An object with exactly these members. */
function members(
  value: StrictJson,
  where: string,
  names: readonly string[],
): ReadonlyMap<string, StrictJson> {
  if (!(value instanceof Map)) throw invalid(`${where} is not an object.`);
  const missing = names.find((name) => !value.has(name));
  if (missing !== undefined) throw invalid(`${where} has no member "${missing}".`);
  if (value.size > names.length) throw invalid(`${where} has a member that is none of ${names.join(", ")}.`);
  return value;
}

/** 1 to `most` items, each by `read`, no two with one key. */
function list<T>(
  value: StrictJson | undefined,
  name: string,
  most: number,
  read: (item: StrictJson, where: string) => T,
  keyOf: (item: T) => string,
): readonly T[] {
  if (!Array.isArray(value)) throw invalid(`${name} is not an array.`);
  if (value.length < 1 || value.length > most)
    throw invalid(`${name} are ${value.length}, where 1 to ${most} may be.`);
  const items = value.map((item: StrictJson, i) => read(item, `${name}[${i}]`));
  if (new Set(items.map(keyOf)).size < items.length) throw invalid(`Two of ${name} are the same one.`);
  return items;
}

function text(value: StrictJson | undefined, where: string): string {
  if (typeof value !== "string") throw invalid(`${where} is not text.`);
  return value;
}

function bytes(value: StrictJson | undefined, where: string): Bytes {
  const decoded = decodeBase64url(text(value, where));
  if (decoded === undefined) throw invalid(`${where} is not base64url.`);
  return copyOf(decoded);
}

function fixedBytes(value: StrictJson | undefined, where: string, length: number): Bytes {
  const decoded = bytes(value, where);
  if (decoded.length !== length) throw invalid(`${where} is ${decoded.length} bytes instead of ${length}.`);
  return decoded;
}

/** Unix seconds of `YYYY-MM-DDTHH:MM:SSZ`, from 1970 on. That it gives the same text again rules out the 30th of February. */
function parseTime(time: string, where: string): number {
  const seconds = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(time) ? Date.parse(time) / 1_000 : Number.NaN;
  if (!(seconds >= 0) || formatTime(seconds) !== time) {
    throw invalid(`${where} is no time from 1970 on, written YYYY-MM-DDTHH:MM:SSZ.`);
  }
  return seconds;
}

function formatTime(seconds: number): string {
  return new Date(seconds * 1_000).toISOString().replace(".000Z", "Z");
}

/** `lp` of text that is known to be well-formed and short enough. */
function prefixedText(known: string): Bytes {
  return lengthPrefixed(encodeUtf8(known) ?? new Uint8Array(0));
}

function u16(value: number): Bytes {
  const encoded = new Uint8Array(2);
  writeU16(encoded, 0, value);
  return encoded;
}

function u64(value: number): Bytes {
  const encoded = new Uint8Array(8);
  new DataView(encoded.buffer).setBigUint64(0, BigInt(value));
  return encoded;
}

function invalid(detail: string, cause?: unknown): KeyfoldError {
  return new KeyfoldError("ERR_KEYRING_INVALID", detail, cause === undefined ? {} : { cause });
}
