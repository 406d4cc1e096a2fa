/**
 * The envelope as bytes and as text: header ⇄ fields, `kf1.` text ⇄ bytes. No key, no cryptography.
 * docs/spec/envelope-v1.md, "Layout" and "Text form".
 */

import {
  type Bytes,
  copyOf,
  decodeBase64url,
  encodeBase64url,
  encodeUtf8,
  readU16,
  toLatin1,
  writeU16,
} from "./bytes.ts";
import { KeyfoldError, requireArgument } from "./errors.ts";
import type { WrappedKey } from "./master-key.ts";

export const KDK_ID_BYTES = 16;
export const SALT_BYTES = 16;
export const NONCE_BYTES = 12;
/** The 32-byte DEK under AES-256-GCM, with its tag. */
export const SEALED_DEK_BYTES = 48;
export const MAX_WRAPS = 16;
export const MAX_URI_BYTES = 1_024;

const MAGIC = [0x4b, 0x46] as const;
const VERSION = 1;
const FLAG_EMBEDDED = 1;
const KDK_ID_AT = 4;
const SALT_AT = KDK_ID_AT + KDK_ID_BYTES;
/** Where the wraps begin, if there are any. */
export const WRAPS_AT: number = SALT_AT + SALT_BYTES;
const TEXT_PREFIX = "kf1.";
const MAX_U16 = 0xffff;

/** A decoded header. Its byte fields are views, of the envelope or of an equal part of one that was decoded before. */
export interface EnvelopeHeader {
  readonly kdkId: Uint8Array;
  readonly salt: Uint8Array;
  /** The kdkId as a map key, and both as one. */
  readonly kdkName: string;
  readonly kekName: string;
  /** Those that are embedded, in their order; empty where the flag is not set. */
  readonly wraps: readonly WrappedKey[];
  /** Bytes 0 to 36 + n, which the sealed DEK authenticates. */
  readonly aad: Uint8Array;
  readonly nonce: Uint8Array;
  readonly sealedDek: Uint8Array;
  /** 96 + n: where the message begins. */
  readonly length: number;
}

/** What of a header is the same for every envelope under one KEK. */
interface SharedHeader extends Omit<EnvelopeHeader, "nonce" | "sealedDek"> {
  /** The bytes of `aad`, to compare others with: no view of those has to be made. */
  readonly start: Buffer;
}

/** The last that was decoded. The next envelope mostly begins with the same bytes. */
let last: SharedHeader | undefined;

/** What stands in a header before the nonce: the same for every envelope under one KEK. */
export interface HeaderPrefix {
  /** 16 bytes. */
  readonly kdkId: Uint8Array;
  /** 16 bytes. */
  readonly salt: Uint8Array;
  /** Embedded when there are any. */
  readonly wraps: readonly WrappedKey[];
}

/**
 * Bytes 0 to 36 + n of an envelope, the AAD of its sealed DEK.
 *
 * @throws `ERR_INVALID_ARGUMENT` for wraps that the format has no room for
 */
export function encodeHeaderPrefix({ kdkId, salt, wraps }: HeaderPrefix): Bytes {
  const block = wraps.length === 0 ? new Uint8Array(0) : encodeWraps(wraps);
  const prefix = new Uint8Array(WRAPS_AT + block.length);
  prefix.set([...MAGIC, VERSION, wraps.length === 0 ? 0 : FLAG_EMBEDDED]);
  prefix.set(kdkId, KDK_ID_AT);
  prefix.set(salt, SALT_AT);
  prefix.set(block, WRAPS_AT);
  return prefix;
}

/**
 * Decodes the header of an envelope, and nothing behind it. Allocates no more than the input holds.
 *
 * @throws `ERR_NOT_AN_ENVELOPE`, `ERR_UNSUPPORTED_VERSION`, `ERR_MALFORMED_ENVELOPE`
 */
export function decodeHeader(envelope: Uint8Array): EnvelopeHeader {
  if (envelope.length < 4 || envelope[0] !== MAGIC[0] || envelope[1] !== MAGIC[1]) {
    throw new KeyfoldError("ERR_NOT_AN_ENVELOPE");
  }
  const flags = envelope[3] ?? 0;
  if (envelope[2] !== VERSION || (flags & ~FLAG_EMBEDDED) !== 0)
    throw new KeyfoldError("ERR_UNSUPPORTED_VERSION");
  if (last === undefined || envelope.length < last.length || !beginsWith(envelope, last)) {
    last = decodeShared(envelope, flags === FLAG_EMBEDDED);
  }
  const { kdkId, salt, kdkName, kekName, wraps, aad, length } = last;
  const sealedDekAt = length - SEALED_DEK_BYTES;
  const nonce = envelope.subarray(sealedDekAt - NONCE_BYTES, sealedDekAt);
  const sealedDek = envelope.subarray(sealedDekAt, length);
  return { kdkId, salt, kdkName, kekName, wraps, aad, nonce, sealedDek, length };
}

/** From a copy of its own, which stays as it is whatever becomes of the envelope. */
function decodeShared(envelope: Uint8Array, embedded: boolean): SharedHeader {
  const wrapsEnd = embedded ? WRAPS_AT + 2 + readU16(envelope, WRAPS_AT) : WRAPS_AT;
  const length = wrapsEnd + NONCE_BYTES + SEALED_DEK_BYTES;
  if (envelope.length < length) throw malformed("The envelope ends inside its header.");
  const aad = copyOf(envelope.subarray(0, wrapsEnd));
  const start = Buffer.from(aad.buffer);
  const kdkId = aad.subarray(KDK_ID_AT, SALT_AT);
  const salt = aad.subarray(SALT_AT, WRAPS_AT);
  const kdkName = toLatin1(kdkId);
  const wraps = embedded ? decodeWraps(aad.subarray(WRAPS_AT + 2)) : [];
  return { kdkId, salt, kdkName, kekName: kdkName + toLatin1(salt), wraps, aad, start, length };
}

/** `lp( u8 count ‖ count × ( lp(URI) ‖ lp(wrapped KDK) ) )`. */
export function encodeWraps(wraps: readonly WrappedKey[]): Bytes {
  requireArgument(
    wraps.length >= 1 && wraps.length <= MAX_WRAPS,
    `An envelope embeds 1 to ${MAX_WRAPS} wraps.`,
  );
  requireArgument(
    new Set(wraps.map(({ masterKey }) => masterKey)).size === wraps.length,
    "Two wraps have one URI.",
  );
  for (const wrap of wraps) requireWrap(wrap);
  const length = wraps.reduce((sum, wrap) => sum + 4 + wrap.masterKey.length + wrap.ciphertext.length, 1);
  requireArgument(
    length <= MAX_U16,
    `The wraps take ${length} bytes together, more than an envelope has room for.`,
  );
  const block = new Uint8Array(2 + length);
  writeU16(block, 0, length);
  block[2] = wraps.length;
  let offset = 3;
  for (const { masterKey, ciphertext } of wraps) {
    const uri = encodeUtf8(masterKey) ?? new Uint8Array(0);
    for (const part of [uri, ciphertext]) {
      writeU16(block, offset, part.length);
      block.set(part, offset + 2);
      offset += 2 + part.length;
    }
  }
  return block;
}

/** Decodes the inside of the wraps block: all of it, or `ERR_MALFORMED_ENVELOPE`. */
export function decodeWraps(block: Uint8Array): readonly WrappedKey[] {
  const count = block[0] ?? 0;
  if (count < 1 || count > MAX_WRAPS)
    throw malformed(`The header counts ${count} wraps, where 1 to ${MAX_WRAPS} may be.`);
  const wraps: WrappedKey[] = [];
  let offset = 1;
  for (let i = 0; i < count; i++) {
    const uri = takePrefixed(block, offset);
    const ciphertext = takePrefixed(block, offset + 2 + uri.length);
    offset += 4 + uri.length + ciphertext.length;
    if (!isUri(uri)) throw malformed("A wrap's URI is empty, too long, or not printable ASCII.");
    if (ciphertext.length === 0) throw malformed("A wrapped key is empty.");
    const masterKey = toLatin1(uri);
    if (wraps.some((wrap) => wrap.masterKey === masterKey)) throw malformed("Two wraps have one URI.");
    wraps.push({ masterKey, ciphertext });
  }
  if (offset !== block.length) throw malformed("Bytes are left over inside the wraps.");
  return wraps;
}

/** The text form: `kf1.` and the unpadded base64url of the whole envelope. */
export function encodeText(envelope: Uint8Array): string {
  return TEXT_PREFIX + encodeBase64url(envelope);
}

/**
 * The bytes behind a text form. They may be a view of a pool: for reading, not for keeping.
 *
 * @throws `ERR_NOT_AN_ENVELOPE` for another prefix or alphabet, padding, white space, or unused bits that are set
 */
export function decodeText(text: string): Bytes {
  const bytes = text.startsWith(TEXT_PREFIX) ? decodeBase64url(text.slice(TEXT_PREFIX.length)) : undefined;
  if (bytes === undefined) throw new KeyfoldError("ERR_NOT_AN_ENVELOPE");
  return bytes;
}

/** Whether a wrap may stand in an envelope; `ERR_INVALID_ARGUMENT` says why not. */
export function requireWrap({ masterKey, ciphertext }: WrappedKey): void {
  requireArgument(
    /^[!-~]{1,1024}$/.test(masterKey),
    "A master key's URI must be 1 to 1,024 printable ASCII characters.",
  );
  requireArgument(
    ciphertext.length >= 1 && ciphertext.length <= MAX_U16,
    `A wrapped key must be 1 to ${MAX_U16} bytes, and is ${ciphertext.length}.`,
  );
}

/** The bytes of `lp(x)` at `offset`, as a view. */
function takePrefixed(block: Uint8Array, offset: number): Uint8Array {
  const start = offset + 2;
  const end = start + readU16(block, offset);
  if (end > block.length) throw malformed("A length runs past the end of the wraps.");
  return block.subarray(start, end);
}

function beginsWith(bytes: Uint8Array, { start }: SharedHeader): boolean {
  return start.compare(bytes, 0, start.length) === 0;
}

function isUri(bytes: Uint8Array): boolean {
  if (bytes.length < 1 || bytes.length > MAX_URI_BYTES) return false;
  for (const byte of bytes) if (byte < 0x21 || byte > 0x7e) return false;
  return true;
}

function malformed(detail: string): KeyfoldError {
  return new KeyfoldError("ERR_MALFORMED_ENVELOPE", detail);
}
