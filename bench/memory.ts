/** A child process: sees how far a process grows while a stream of 1 GiB is sealed, and opened again in the same pipeline. */

import { pipeline } from "node:stream/promises";
import { createKeyfold } from "@keyfold/core";
import { PIECE_BYTES } from "./bulk/contender.ts";
import { readableOf, writableTo } from "./bulk/streams.ts";
import { masterKey } from "./master-key.ts";
import { peakMemory, resetPeak, settledMemory } from "./memory-use.ts";

/** What the process may grow by. */
export const MEMORY_LIMIT: number = 96 * 2 ** 20;

export interface MemorySample {
  readonly bytes: number;
  /** Bytes by which the resident memory rose at most, from before the first piece. */
  readonly rise: number;
}

export async function measureMemory({ bytes }: { readonly bytes: number }): Promise<MemorySample> {
  const keyfold = createKeyfold({ project: "bench", masterKeys: masterKey() });
  await keyfold.ready();
  const context = { name: "memory" };
  const start = settledMemory();
  resetPeak();
  let opened = 0;
  const sink = writableTo((piece) => {
    opened += piece.length;
  });
  await pipeline(readableOf(zeros(bytes)), keyfold.sealStream(context), keyfold.openStream(context), sink);
  if (opened !== bytes) throw new Error(`${bytes} bytes were sealed, and ${opened} came back.`);
  return { bytes, rise: peakMemory() - start };
}

/** One piece again and again: what a source allocates is not keyfold's. */
function* zeros(bytes: number): Generator<Uint8Array> {
  const piece = new Uint8Array(PIECE_BYTES);
  for (let left = bytes; left > 0; left -= PIECE_BYTES)
    yield left < PIECE_BYTES ? piece.subarray(0, left) : piece;
}
