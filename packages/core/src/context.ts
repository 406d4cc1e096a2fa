/**
 * The encryption context: text to text, authenticated with what it accompanies and stored nowhere.
 * docs/spec/envelope-v1.md, "The encryption context" and "The KMS context".
 */

import { type Bytes, writeU16 } from "./bytes.ts";
import { KeyfoldError, requireArgument } from "./errors.ts";

/** A plain object of well-formed strings. Whoever opens must give the same pairs; their order does not matter. */
export type EncryptionContext = Readonly<Record<string, string>>;

/** What a wrapped key is for; part of its KMS context. */
export type KeyPurpose = "kdk" | "keyring";

/** Bytes that an encoded encryption context may take; a KMS context is held to the smaller number. */
export const MAX_CONTEXT_BYTES = 8_192;
export const MAX_KMS_CONTEXT_BYTES = 2_048;

const RESERVED = "keyfold:";
const EMPTY: Bytes = new Uint8Array(2);
/** Characters up to which a loop is faster than the call of an encoder. */
const SHORT_TEXT = 64;
const utf8 = new TextEncoder();
const scratch = new Uint8Array(MAX_CONTEXT_BYTES);

/**
 * The canonical encoding: `u16 count`, then for each pair, sorted by the UTF-8 bytes of its key, `lp(key) ‖ lp(value)`.
 * Injective and independent of order; the empty context is two zero bytes. Providers use it as additional
 * authenticated data.
 *
 * @returns 2 to 8,192 bytes, the caller's own
 * @throws `ERR_INVALID_ARGUMENT` for what is not a plain object of well-formed strings, an empty key, or over 8,192 bytes
 */
export function encodeContext(context: EncryptionContext): Bytes {
  requirePlainObject(context);
  const keys = Object.keys(context);
  if (keys.length === 0) return EMPTY.slice();
  if (keys.length > 1) keys.sort(compareUtf8);
  // All are read before the first is written: a getter might encode a context itself.
  const values = keys.map((key) => context[key]);
  writeU16(scratch, 0, keys.length);
  let offset = 2;
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] ?? "";
    requireArgument(key !== "", "An encryption context has an empty key.");
    offset = writeText(values[i], writeText(key, offset, key), key);
  }
  return scratch.slice(0, offset);
}

/** An application's own context: as {@link encodeContext}, and refuses keys that begin with `keyfold:`. */
export function encodeApplicationContext(
  context: EncryptionContext,
  required: readonly string[] = [],
): Bytes {
  const encoded = encodeContext(context);
  refuseReserved(context, "encryption context");
  for (const key of required) {
    requireArgument(
      Object.prototype.propertyIsEnumerable.call(context, key),
      `The encryption context lacks "${key}", which requireContext names.`,
    );
  }
  return encoded;
}

/**
 * The KMS context of a wrap: the user's entries with `keyfold:project` and `keyfold:purpose`. Frozen; its encoding is
 * at most 2,048 bytes.
 *
 * @throws `ERR_INVALID_ARGUMENT` as {@link encodeContext}, and for a user's key that begins with `keyfold:`
 */
export function kmsContext(
  project: string,
  purpose: KeyPurpose,
  own: EncryptionContext = {},
): EncryptionContext {
  encodeContext(own);
  refuseReserved(own, "KMS context");
  const context = Object.freeze({ ...own, "keyfold:project": project, "keyfold:purpose": purpose });
  requireArgument(
    encodeContext(context).length <= MAX_KMS_CONTEXT_BYTES,
    `The KMS context takes more than ${MAX_KMS_CONTEXT_BYTES} bytes.`,
  );
  return context;
}

/** Maps and class instances have no own string entries worth binding to: taking them for `{}` would bind to nothing. */
function requirePlainObject(context: unknown): void {
  const prototype =
    typeof context === "object" && context !== null ? Object.getPrototypeOf(context) : undefined;
  requireArgument(
    prototype === Object.prototype ||
      prototype === null ||
      (prototype !== undefined && isObjectPrototype(prototype)),
    "The encryption context must be a plain object of strings; {} says that there is none.",
  );
}

/** `Object.prototype` of another realm, or of this. */
function isObjectPrototype(prototype: object): boolean {
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, "hasOwnProperty");
}

function refuseReserved(context: EncryptionContext, what: string): void {
  for (const key in context) {
    requireArgument(
      !key.startsWith(RESERVED),
      `The ${what} has the key "${key}": those that begin with "${RESERVED}" are keyfold's own.`,
    );
  }
}

/** Writes `lp(text)` into the scratch buffer and returns the offset after it. */
function writeText(text: string | undefined, offset: number, key: string): number {
  requireArgument(
    typeof text === "string",
    `The value of "${key}" in the encryption context is not a string.`,
  );
  const start = offset + 2;
  if (text.length <= SHORT_TEXT && writeAscii(text, start)) {
    writeU16(scratch, offset, text.length);
    return start + text.length;
  }
  requireArgument(text.isWellFormed(), "An encryption context holds ill-formed text (a lone surrogate).");
  const { read, written } = utf8.encodeInto(text, scratch.subarray(start));
  if (start > scratch.length || read < text.length) {
    throw new KeyfoldError(
      "ERR_INVALID_ARGUMENT",
      `The encryption context takes more than ${MAX_CONTEXT_BYTES} bytes.`,
    );
  }
  writeU16(scratch, offset, written);
  return start + written;
}

/** Whether the text is ASCII and there is room for it; then it is written at `offset`. */
function writeAscii(text: string, offset: number): boolean {
  if (offset + text.length > scratch.length) return false;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) return false;
    scratch[offset + i] = unit;
  }
  return true;
}

/**
 * Orders by UTF-8 bytes, which is the order of code points. UTF-16 code units give the same order, but that surrogates
 * (code points from U+10000) sort below U+E000 to U+FFFF; both are moved to where they belong.
 */
function compareUtf8(a: string, b: string): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return sortKey(x) - sortKey(y);
  }
  return a.length - b.length;
}

function sortKey(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
