/** HKDF-Expand with SHA-512 (RFC 5869 section 2.3), for up to two blocks: all that the format derives. */

import { createHmac, createSecretKey, type KeyObject } from "node:crypto";

const BLOCK_BYTES = 64;

/**
 * A `KeyObject` of node:crypto that holds a secret key, by a name of our own: the declarations of this package then need no
 * types of Node's.
 */
export interface SecretKey {
  readonly type: string;
  readonly symmetricKeySize?: number | undefined;
}

/** T1, then the info, then the counter, so that either block's input is one run of bytes. */
let scratch = new Uint8Array(1_024);

/**
 * Node 24.18 to 24.21 spends 10 to 20 µs more on a cipher or an HMAC that is given raw bytes than on one given a
 * KeyObject; elsewhere the KeyObject is what costs (1 µs). Decided once, here.
 */
const rawKeysAreSlow = /^24\.(1[89]|2[01])\./.test(process.versions.node);

/** A key for one message: as its bytes, or as a `KeyObject`, whichever is faster on the Node that runs. */
export function oneTimeKey(key: Uint8Array): Uint8Array | SecretKey {
  return rawKeysAreSlow ? createSecretKey(key) : key;
}

/**
 * Fills `okm` with `Expand(key, info, okm.length)`, where the info is `parts` one after the other.
 *
 * @param okm 1 to 128 bytes, the caller's
 * @param key a pseudorandom key of 32 bytes
 */
export function expandInto(
  okm: Uint8Array,
  key: Uint8Array | SecretKey,
  ...parts: readonly Uint8Array[]
): void {
  const end = writeInfo(parts);
  scratch[end] = 1;
  const t1 = createHmac("sha512", key as Uint8Array | KeyObject)
    .update(scratch.subarray(BLOCK_BYTES, end + 1))
    .digest();
  okm.set(okm.length < BLOCK_BYTES ? t1.subarray(0, okm.length) : t1);
  if (okm.length > BLOCK_BYTES) {
    scratch.set(t1);
    scratch[end] = 2;
    const t2 = createHmac("sha512", key as Uint8Array | KeyObject)
      .update(scratch.subarray(0, end + 1))
      .digest();
    okm.set(t2.subarray(0, okm.length - BLOCK_BYTES), BLOCK_BYTES);
    t2.fill(0);
    scratch.fill(0, 0, BLOCK_BYTES);
  }
  t1.fill(0);
}

/** Writes the info behind the room for T1, and returns where it ends; there is room for the counter. */
function writeInfo(parts: readonly Uint8Array[]): number {
  let end = BLOCK_BYTES;
  for (const part of parts) end += part.length;
  if (end >= scratch.length) scratch = new Uint8Array(2 * end);
  let offset = BLOCK_BYTES;
  for (const part of parts) {
    scratch.set(part, offset);
    offset += part.length;
  }
  return end;
}
