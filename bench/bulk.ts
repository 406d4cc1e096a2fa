/** A child process: measures one contender in one way over one size, and prints what it found as JSON. */

import { randomFillSync } from "node:crypto";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BulkSealer, PIECE_BYTES, type Way } from "./bulk/contender.ts";
import { type BulkId, loadBulk } from "./bulk/index.ts";
import { peakMemory, resetPeak, settledMemory } from "./memory-use.ts";
import { type Spent, spentBetween, spentUntilNow } from "./time.ts";

export interface BulkJob {
  readonly contender: BulkId;
  readonly way: Way;
  readonly bytes: number;
  /** Milliseconds of the same before the clock starts, and under it. One pass is the least. */
  readonly warmUp: number;
  readonly measure: number;
}

export interface BulkSample {
  readonly contender: BulkId;
  readonly way: Way;
  readonly bytes: number;
  readonly operation: "seal" | "open";
  /** Milliseconds of processor time for all of the bytes, of all the process's threads. */
  readonly millis: number;
  /** Milliseconds that passed. */
  readonly wall: number;
  readonly passes: number;
  /** Bytes by which the process grew at most during a first pass; the input is not counted, the result is. */
  readonly peak: number;
}

/** Both directions over one input. */
interface Passes {
  seal(): Promise<void>;
  open(): Promise<void>;
  /** Keeps what sealing gives, for {@link open}; not measured. */
  prepareToOpen(): Promise<void>;
  end(): Promise<void>;
}

export async function measureBulk(job: BulkJob): Promise<readonly BulkSample[]> {
  const sealer = await (await loadBulk(job.contender)).start();
  const passes = await makePasses[job.way](sealer, job.bytes);
  const seal = await measurePasses(() => passes.seal(), job);
  await passes.prepareToOpen();
  const open = await measurePasses(() => passes.open(), job);
  await passes.end();
  const { contender, way, bytes } = job;
  return [
    { contender, way, bytes, operation: "seal", ...seal },
    { contender, way, bytes, operation: "open", ...open },
  ];
}

async function measurePasses(pass: () => Promise<void>, { warmUp, measure }: BulkJob) {
  const before = settledMemory();
  resetPeak();
  const first = await timed(pass, 1);
  const peak = Math.max(0, peakMemory() - before);
  if (first.cpu >= measure) return { millis: first.cpu, wall: first.wall, passes: 1, peak };
  const warm = Math.ceil(warmUp / first.cpu);
  const each = (await timed(pass, warm)).cpu / warm;
  const passes = Math.ceil(measure / each);
  const { cpu, wall } = await timed(pass, passes);
  return { millis: cpu / passes, wall: wall / passes, passes, peak };
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
