/** What fast-check draws: bytes, wraps and headers as the format allows them, and damage to them. */

import fc from "fast-check";
import type { HeaderPrefix } from "../../src/envelope.ts";
import type { WrappedKey } from "../../src/master-key.ts";

/** The longest of 16 ciphertexts that fit together under URIs of 1,024 bytes: 1 + 16 × (4 + 1,024 + 3,067) ≤ 65,535. */
const MAX_CIPHERTEXT_BYTES = 3_067;

export interface WholeHeader extends HeaderPrefix {
  readonly nonce: Uint8Array;
  readonly sealedDek: Uint8Array;
}

export function bytesOf(length: number): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  return fc.uint8Array({ minLength: length, maxLength: length });
}

const visible = fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code));

/** 1 to 1,024 characters of `!` to `~`. Long ones repeat a short one, or drawing them would take too long. */
export const masterKeyUri: fc.Arbitrary<string> = fc
  .tuple(fc.string({ unit: visible, minLength: 1, maxLength: 24 }), fc.integer({ min: 1, max: 1_024 }))
  .map(([part, length]) => part.repeat(Math.ceil(length / part.length)).slice(0, length));

const ciphertext = fc
  .tuple(fc.uint8Array({ minLength: 1, maxLength: 24 }), fc.integer({ min: 1, max: MAX_CIPHERTEXT_BYTES }))
  .map(([part, length]) => Uint8Array.from({ length }, (_, i) => part[i % part.length] ?? 0));

export function wrapsOf(bounds: { min: number; max: number }): fc.Arbitrary<WrappedKey[]> {
  return fc.uniqueArray(fc.record({ masterKey: masterKeyUri, ciphertext }), {
    selector: ({ masterKey }) => masterKey,
    minLength: bounds.min,
    maxLength: bounds.max,
    size: "max",
  });
}

/** Wraps of a few bytes, so that a change of one byte often meets the structure. */
export const smallWraps: fc.Arbitrary<WrappedKey[]> = fc.uniqueArray(
  fc.record({
    masterKey: fc.string({ unit: visible, minLength: 1, maxLength: 4 }),
    ciphertext: fc.uint8Array({ minLength: 1, maxLength: 4 }),
  }),
  { selector: ({ masterKey }) => masterKey, minLength: 1, maxLength: 4 },
);

export function headerWith(wraps: fc.Arbitrary<readonly WrappedKey[]>): fc.Arbitrary<WholeHeader> {
  return fc.record({
    kdkId: bytesOf(16),
    salt: bytesOf(16),
    wraps,
    nonce: bytesOf(12),
    sealedDek: bytesOf(48),
  });
}

/** `bytes` with one to four of them changed, and perhaps cut short or made longer. */
export function damaged(bytes: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  const change = fc.record({
    at: fc.nat(),
    to: fc.oneof(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: 255 })),
  });
  const changes = fc.array(change, { minLength: 1, maxLength: 4 });
  const resize = fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: -8, max: 8 }));
  return fc.tuple(bytes, changes, resize).map(([whole, edits, grow]) => {
    const copy = new Uint8Array(Math.max(0, whole.length + grow));
    copy.set(whole.subarray(0, copy.length));
    for (const { at, to } of edits) if (copy.length > 0) copy[at % copy.length] = to;
    return copy;
  });
}
