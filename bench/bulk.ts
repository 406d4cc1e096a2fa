/** In a child process: one contender in one way, over one size. */

import { randomFillSync } from "node:crypto";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BulkSealer, PIECE_BYTES, type Way } from "./bulk/contender.ts";
import { type BulkId, loadBulk } from "./bulk/index.ts";
import { peakMemory, resetPeak, settledMemory } from "./memory-use.ts";
import type { Operation } from "./results.ts";
import type { TurnTaker } from "./runner.ts";
import { type Spent, spentBetween, spentUntilNow } from "./time.ts";

export interface BulkJob {
  readonly contender: BulkId;
  readonly way: Way;
  readonly bytes: number;
}

export interface BulkTurn {
  readonly operation: Operation;
  readonly passes: number;
}

export interface BulkTook extends Spent {
  /** Bytes by which the process grew at most, in the first turn of an operation; the input is not counted, the result is. */
  readonly peak?: number;
}

/** Both directions over one input. */
interface Passes {
  seal(): Promise<void>;
  open(): Promise<void>;
  /** Keeps what sealing gives, for {@link open}; not measured. */
  prepareToOpen(): Promise<void>;
  end(): Promise<void>;
}

export async function startBulk(job: BulkJob): Promise<TurnTaker<BulkTurn, BulkTook>> {
  const sealer = await (await loadBulk(job.contender)).start();
  const passes = await makePasses[job.way](sealer, job.bytes);
  const begun = new Set<Operation>();
  return {
    take: async ({ operation, passes: times }) => {
      const pass = () => passes[operation]();
      if (begun.has(operation)) return timed(pass, times);
      begun.add(operation);
      if (operation === "open") await passes.prepareToOpen();
      return withPeak(() => timed(pass, times));
    },
    end: () => passes.end(),
  };
}

async function withPeak(work: () => Promise<Spent>): Promise<BulkTook> {
  const before = settledMemory();
  resetPeak();
  const spent = await work();
  return { ...spent, peak: Math.max(0, peakMemory() - before) };
}

async function timed(pass: () => Promise<void>, times: number): Promise<Spent> {
  const start = spentUntilNow();
  for (let i = 0; i < times; i++) await pass();
  return spentBetween(start, spentUntilNow());
}

const makePasses: Record<Way, (sealer: BulkSealer, bytes: number) => Promise<Passes>> = {
  whole: async (sealer, bytes) => {
    const plaintext = randomPlaintext(bytes);
    let sealed = new Uint8Array(0) as Uint8Array;
    return {
      seal: async () => {
        await sealer.sealWhole?.(plaintext);
      },
      prepareToOpen: async () => {
        sealed = (await sealer.sealWhole?.(plaintext)) ?? sealed;
      },
      open: async () => {
        const opened = await sealer.openWhole?.(sealed);
        requireBytes(opened?.length, bytes);
      },
      end: async () => {
        const opened = await sealer.openWhole?.(sealed);
        if (opened === undefined || Buffer.compare(opened, plaintext) !== 0)
          throw new Error("Not what was sealed.");
      },
    };
  },
  stream: async (sealer, bytes) => {
    const plaintext = randomPlaintext(Math.min(bytes, PIECE_BYTES));
    const sealed: Uint8Array[] = [];
    const count = async (run: (take: (piece: Uint8Array) => void) => void | Promise<void> | undefined) => {
      let length = 0;
      await run((piece) => {
        length += piece.length;
      });
      return length;
    };
    return {
      seal: async () => {
        await count((take) => sealer.sealStream?.(repeated(plaintext, bytes), take));
      },
      prepareToOpen: async () => {
        await sealer.sealStream?.(repeated(plaintext, bytes), (piece) => {
          sealed.push(new Uint8Array(piece));
        });
      },
      open: async () => requireBytes(await count((take) => sealer.openStream?.(sealed, take)), bytes),
      end: async () => undefined,
    };
  },
  file: async (sealer, bytes) => {
    const folder = await mkdtemp(join(tmpdir(), "keyfold-bench-"));
    const [plain, sealed, opened] = ["plain", "sealed", "opened"].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    await writeFile(plain, repeated(randomPlaintext(Math.min(bytes, PIECE_BYTES)), bytes));
    return {
      seal: async () => sealer.sealFile?.(plain, sealed),
      prepareToOpen: async () => undefined,
      open: async () => sealer.openFile?.(sealed, opened),
      end: async () => {
        requireBytes((await stat(opened)).size, bytes);
        await rm(folder, { recursive: true });
      },
    };
  },
};

function randomPlaintext(bytes: number): Uint8Array {
  const plaintext = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 2 ** 24) randomFillSync(plaintext, at, Math.min(2 ** 24, bytes - at));
  return plaintext;
}

function* repeated(piece: Uint8Array, bytes: number): Generator<Uint8Array> {
  for (let left = bytes; left > 0; left -= piece.length)
    yield left < piece.length ? piece.subarray(0, left) : piece;
}

function requireBytes(found: number | undefined, expected: number): void {
  if (found !== expected) throw new Error(`${expected} bytes were sealed, and ${found} came back.`);
}
