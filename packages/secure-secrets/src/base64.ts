/**
 * base64url with its padding: RFC 4648, section 5 for the alphabet and 3.2 for the padding, as Fernet's specification and
 * Python's `urlsafe_b64encode` have it.
 */

import { type Bytes, takeBytes } from "@keyfold/core/provider";

export function encodeBase64(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64url");
  return text.padEnd(Math.ceil(text.length / 4) * 4, "=");
}

/**
 * The inverse, and of that alone: no white space, no `+` or `/`, no missing or further padding, no bits set that no byte
 * has (RFC 4648, section 3.5). So no two texts give the same bytes.
 *
 * @returns bytes in memory of their own, or undefined
 */
export function decodeBase64(text: string): Bytes | undefined {
  const bytes = takeBytes(Buffer.from(text, "base64url"));
  if (encodeBase64(bytes) === text) return bytes;
  bytes.fill(0);
  return undefined;
}
