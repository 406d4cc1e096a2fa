/** The one place that randomness comes from. */

import { randomFillSync } from "node:crypto";
import type { Bytes } from "./bytes.ts";

/** One call to the system's generator costs 5 µs, whether for 68 bytes or for 16,384; a slice of a pool costs 0.1 µs. */
const POOL_BYTES = 16_384;

const pool = new Uint8Array(POOL_BYTES);
let used = POOL_BYTES;

/**
 * Fills `into` with random bytes. They stand in no other place afterwards: the part of the pool that they came from is
 * wiped, and no byte is given out twice.
 */
export function drawRandom(into: Uint8Array): void {
  if (into.length > POOL_BYTES) {
    randomFillSync(into);
    return;
  }
  if (used + into.length > POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  for (let i = 0; i < into.length; i++) {
    into[i] = pool[used] ?? 0;
    pool[used++] = 0;
  }
}

/** So many random bytes, the caller's own. */
export function randomBytes(length: number): Bytes {
  const bytes = new Uint8Array(length);
  drawRandom(bytes);
  return bytes;
}

/** A number from 0 up to 1 that spreads retries and refreshes in time. Predictable: nothing secret depends on it. */
export function jitter(): number {
  return Math.random();
}
