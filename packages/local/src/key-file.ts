/**
 * The key file as a value and as bytes; no file system here. docs/spec/envelope-v1.md, "Wraps":
 * `{ "keyfold": "key/1", "keys": [{ "id", "key", "created" }] }`.
 *
 * The JSON text and the base64url in it are strings, which nobody can wipe: they are garbage after the call. Buffers are
 * wiped.
 */

import type { KeyObject } from "node:crypto";
import type { Bytes } from "@keyfold/core";
import { keyFileError } from "./checks.ts";
import { decodeKey } from "./key-text.ts";
import { type LocalKey, localKey, newLocalKey } from "./wrap.ts";

/** Bytes that a key file may take: some 7,000 keys. */
export const MAX_KEY_FILE_BYTES = 1_048_576;

const FORMAT = "key/1";
const UTC_TIME = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z$/;
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** One key of a file. */
export interface KeyFileEntry extends LocalKey {
  /** When the key was made: RFC 3339, UTC. For people; nothing is decided by it. */
  readonly created: string;
}

export function newEntry(): KeyFileEntry {
  return { ...newLocalKey(), created: `${new Date().toISOString().slice(0, 19)}Z` };
}

/**
 * Reads what {@link formatKeyFile} writes: the keys in the file's order, at least one and none twice.
 *
 * @param bytes not kept, not changed
 * @param path for the messages
 * @throws `ERR_KEY_FILE`, which says how to mend the file and shows nothing of what is in it
 */
export function parseKeyFile(bytes: Uint8Array, path: string): readonly KeyFileEntry[] {
  const document = parseJson(bytes, path);
  if (!hasExactly(document, ["keyfold", "keys"])) {
    throw malformed(path, 'it must be an object of "keyfold" and "keys", and of nothing else');
  }
  const { keyfold, keys } = document;
  if (keyfold !== FORMAT) {
    throw malformed(path, `"keyfold" must be "${FORMAT}": a newer release may have written it`);
  }
  if (!Array.isArray(keys) || keys.length === 0) throw malformed(path, '"keys" must list at least one key');
  const entries = keys.map((key: unknown, index) => parseEntry(key, path, index));
  requireDistinct(entries, path);
  return entries;
}

/** @returns the whole file; they hold the keys, so the caller wipes them */
export function formatKeyFile(entries: readonly KeyFileEntry[]): Bytes {
  const keys = entries.map(({ masterKey, key, created }) => ({
    id: idOf(masterKey),
    key: keyText(key),
    created,
  }));
  return new TextEncoder().encode(`${JSON.stringify({ keyfold: FORMAT, keys }, null, 2)}\n`);
}

function parseJson(bytes: Uint8Array, path: string): unknown {
  try {
    return JSON.parse(strictUtf8.decode(bytes));
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    // Not kept as cause: the message of a SyntaxError quotes the text, and the text is keys.
    throw malformed(path, "it is not JSON in UTF-8");
  }
}

function parseEntry(entry: unknown, path: string, index: number): KeyFileEntry {
  const where = `keys[${index}]`;
  if (!hasExactly(entry, ["id", "key", "created"])) {
    throw malformed(path, `${where} must be an object of "id", "key" and "created", and of nothing else`);
  }
  const { id, key, created } = entry;
  const bytes = typeof key === "string" ? decodeKey(key, ["base64url"]) : undefined;
  if (bytes === undefined)
    throw malformed(path, `${where}.key must be base64url of 32 bytes, without padding`);
  const local = localKey(bytes);
  if (id !== idOf(local.masterKey)) {
    throw malformed(
      path,
      `${where}.id must be the id of its key; that of the key as it stands is ${idOf(local.masterKey)}`,
    );
  }
  if (!isUtcTime(created))
    throw malformed(path, `${where}.created must be a time such as "2026-01-31T12:00:00Z"`);
  return { ...local, created };
}

function requireDistinct(entries: readonly KeyFileEntry[], path: string): void {
  const seen = new Set<string>();
  for (const { masterKey } of entries) {
    if (seen.has(masterKey)) throw malformed(path, `the key ${idOf(masterKey)} is in it twice: delete one`);
    seen.add(masterKey);
  }
}

function malformed(path: string, what: string): Error {
  return keyFileError(`The key file ${path} is malformed: ${what}. Correct it, or restore it from a copy.`);
}

function hasExactly<Name extends string>(
  value: unknown,
  members: readonly Name[],
): value is Record<Name, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.keys(value).length === members.length && members.every((name) => Object.hasOwn(value, name));
}

/** Also refuses a day that no calendar has: it comes back as another. */
function isUtcTime(value: unknown): value is string {
  const seconds = typeof value === "string" ? UTC_TIME.exec(value)?.[1] : undefined;
  if (seconds === undefined) return false;
  const time = new Date(`${seconds}Z`);
  return !Number.isNaN(time.getTime()) && time.toISOString().startsWith(seconds);
}

function idOf(masterKey: string): string {
  return masterKey.slice("local:".length);
}

function keyText(key: KeyObject): string {
  const bytes = key.export();
  try {
    return bytes.toString("base64url");
  } finally {
    bytes.fill(0);
  }
}
