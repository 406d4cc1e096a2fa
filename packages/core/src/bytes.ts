/**
 * Bytes and text, without a codec's or a key's meaning: base64url, UTF-8, big-endian integers and
 * length prefixes. Nothing here needs Node; nothing here is secret-aware.
 */

/** The bytes keyfold takes and gives: a plain `Uint8Array` over memory that is its own, never shared. */
export type Bytes = Uint8Array<ArrayBuffer>;

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 of `text`, in memory of its own; undefined where the text holds a lone surrogate, which UTF-8 cannot say. */
export function encodeUtf8(text: string): Bytes | undefined {
  return text.isWellFormed() ? utf8.encode(text) : undefined;
}

/** The text whose UTF-8 `bytes` are; undefined where they are not UTF-8. A leading U+FEFF stays. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes);
  } catch (error) {
    if (isNamed(error, "TypeError")) return undefined;
    throw error;
  }
}

/** Whether it is an error of this name, also of another realm, where `instanceof` does not see it. */
function isNamed(error: unknown, name: string): boolean {
  return typeof error === "object" && error !== null && "name" in error && error.name === name;
}

/** One character for each byte, for map keys and for text that is known to be ASCII. For short runs: each byte is an argument. */
export function toLatin1(bytes: Uint8Array): string {
  return String.fromCharCode.apply(null, bytes as unknown as number[]);
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** A copy in an `ArrayBuffer` of its own, whatever memory `bytes` are a view of. */
export function copyOf(bytes: Uint8Array): Bytes {
  return new Uint8Array(bytes);
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function readU16(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
}

export function writeU16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 8;
  bytes[offset + 1] = value & 0xff;
}

/** `lp(x)` of envelope-v1: u16 length ‖ x. The caller has made sure that x is at most 65,535 bytes. */
export function lengthPrefixed(bytes: Uint8Array): Bytes {
  const prefixed = new Uint8Array(2 + bytes.length);
  writeU16(prefixed, 0, bytes.length);
  prefixed.set(bytes, 2);
  return prefixed;
}

export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

/** Both directions of base64url (RFC 4648 section 5) without padding; `decode` may be lenient. */
export interface Base64url {
  encode(bytes: Uint8Array): string;
  /** Undefined, or any bytes, for what is not base64url: the caller re-encodes and compares. */
  decode(text: string): Bytes | undefined;
}

/** On the standard's own methods: browsers, Bun, Deno, Node from 25. */
export const standardBase64url: Base64url = {
  encode: (bytes) => bytes.toBase64({ alphabet: "base64url", omitPadding: true }),
  decode: (text) => {
    try {
      return Uint8Array.fromBase64(text, { alphabet: "base64url" });
    } catch (error) {
      if (isNamed(error, "SyntaxError")) return undefined;
      throw error;
    }
  },
};

/** On Node's `Buffer`, several times as fast where there is one. */
export const bufferBase64url: Base64url = {
  encode: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64url"),
  decode: (text) => Buffer.from(text, "base64url"),
};

const base64url = typeof Buffer === "undefined" ? standardBase64url : bufferBase64url;

export function encodeBase64url(bytes: Uint8Array): string {
  return base64url.encode(bytes);
}

/**
 * Strict: undefined for another alphabet, padding, white space, or unused bits that are set. The bytes may be
 * a view of a shared pool: they are for reading, and {@link copyOf} is for keeping.
 */
export function decodeBase64url(text: string): Bytes | undefined {
  const bytes = base64url.decode(text);
  return bytes !== undefined && base64url.encode(bytes) === text ? bytes : undefined;
}
