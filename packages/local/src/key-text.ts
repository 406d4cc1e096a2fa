/** 32 bytes as text, read strictly: what does not come back the same when it is written again is refused. */

import type { Bytes } from "@keyfold/core";
import { KEY_BYTES } from "@keyfold/core/provider";

/** How a key may be written. Both base64 forms may be padded only where the list says so. */
export type KeySpelling = "base64" | "base64-unpadded" | "base64url" | "base64url-padded" | "hex";

export const everySpelling: readonly KeySpelling[] = [
  "base64",
  "base64-unpadded",
  "base64url",
  "base64url-padded",
  "hex",
];

const HEX_DIGITS = 2 * KEY_BYTES;

/**
 * The 32 bytes that `text` spells in one of the ways `allowed`, hex in either case; undefined for anything else: another
 * length, white space, unused bits that are set.
 *
 * @returns memory of its own: the caller wipes it
 */
export function decodeKey(text: string, allowed: readonly KeySpelling[]): Bytes | undefined {
  // One byte more than a key, so that a longer text shows. Never Buffer.from(text): its memory is a shared pool.
  const buffer = Buffer.alloc(KEY_BYTES + 1);
  const written = buffer.write(text, text.length === HEX_DIGITS ? "hex" : "base64");
  const key = new Uint8Array(buffer.subarray(0, KEY_BYTES));
  buffer.fill(0);
  if (written === KEY_BYTES && allowed.some((spelling) => spell(key, spelling, text))) return key;
  key.fill(0);
  return undefined;
}

function spell(key: Bytes, spelling: KeySpelling, text: string): boolean {
  const bytes = Buffer.from(key.buffer);
  switch (spelling) {
    case "base64":
      return bytes.toString("base64") === text;
    case "base64-unpadded":
      return bytes.toString("base64") === `${text}=`;
    case "base64url":
      return bytes.toString("base64url") === text;
    case "base64url-padded":
      return `${bytes.toString("base64url")}=` === text;
    case "hex":
      return bytes.toString("hex") === text.toLowerCase();
  }
}
