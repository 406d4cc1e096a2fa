/** A child process: measures one contender in one mode over the small sizes, and prints what it found as JSON. */

import { randomBytes } from "node:crypto";
import type { Contender, Context, Mode, Plaintext, Sealer } from "./contender.ts";
import { type ContenderId, loadContender } from "./contenders/index.ts";
import { shuffled } from "./statistics.ts";
import { type Spent, spentBetween, spentUntilNow } from "./time.ts";

export interface SmallJob {
  readonly contender: ContenderId;
  readonly mode: Mode;
  /** Bytes. */
  readonly sizes: readonly number[];
  /** Milliseconds of processor time of sealing and opening before the first measurement, and for each size. */
  readonly warmUp: number;
  readonly measure: number;
}

export interface SmallSample {
  readonly contender: ContenderId;
  readonly mode: Mode;
  readonly size: number;
  readonly operation: "seal" | "open";
  /** Microseconds of processor time an operation, of all the process's threads: garbage collection is included. */
  readonly micros: number;
  /** Microseconds that passed. On a core of its own nearly the same; more where others want the core too. */
  readonly wall: number;
  readonly operations: number;
  /** Bytes stored over the plaintext's. */
  readonly overhead: number;
}

/** One batch is sealed, then opened; its contexts and plaintexts are made before the clock starts. */
interface Batch {
  readonly plaintexts: readonly Plaintext[];
  readonly contexts: readonly Context[];
  readonly sealed: unknown[];
}

interface Phases {
  readonly seal: Spent;
  readonly open: Spent;
}

interface Times {
  readonly seal: { wall: number; cpu: number };
  readonly open: { wall: number; cpu: number };
  operations: number;
  overhead: number;
}

type Timed = (sealer: Sealer, batch: Batch) => Phases | Promise<Phases>;

const SHORTEST_BATCH = 8;
const LONGEST_BATCH = 512;
const BATCH_MS = 5;

let secrets = 0;

export async function measureSmall(job: SmallJob): Promise<readonly SmallSample[]> {
  const contender = await loadContender(job.contender);
  const sealer = await contender.start(job.mode);
  const timed: Timed = job.mode === "sync" ? timeSync : timeAsync;
  const samples: SmallSample[] = [];
  for (const size of job.sizes) await repeat(contender, sealer, timed, size, job.warmUp / job.sizes.length);
  for (const size of shuffled(job.sizes)) {
    await repeat(contender, sealer, timed, size, job.measure / 4);
    const times = await repeat(contender, sealer, timed, size, job.measure);
    const { operations, overhead } = times;
    for (const operation of ["seal", "open"] as const) {
      const micros = (times[operation].cpu / operations) * 1_000;
      const wall = (times[operation].wall / operations) * 1_000;
      samples.push({
        contender: job.contender,
        mode: job.mode,
        size,
        operation,
        micros,
        wall,
        operations,
        overhead,
      });
    }
  }
  return samples;
}

/** Batch after batch until `milliseconds` have been spent in the contender. */
async function repeat(
  contender: Contender,
  sealer: Sealer,
  timed: Timed,
  size: number,
  milliseconds: number,
): Promise<Times> {
  const times: Times = { seal: { wall: 0, cpu: 0 }, open: { wall: 0, cpu: 0 }, operations: 0, overhead: 0 };
  let length = SHORTEST_BATCH;
  while (times.seal.cpu + times.open.cpu < milliseconds) {
    const batch = makeBatch(contender.takes, size, length);
    const { seal, open } = await timed(sealer, batch);
    add(times.seal, seal);
    add(times.open, open);
    times.operations += length;
    times.overhead = sealer.stored(batch.sealed[0]) - size;
    if (seal.cpu + open.cpu < BATCH_MS) length = Math.min(2 * length, LONGEST_BATCH);
  }
  return times;
}

function add(sum: { wall: number; cpu: number }, { wall, cpu }: Spent): void {
  sum.wall += wall;
  sum.cpu += cpu;
}

function makeBatch(takes: Contender["takes"], size: number, length: number): Batch {
  const plaintexts = Array.from({ length }, () => {
    const bytes = randomBytes(Math.ceil(size / 2));
    return takes === "text" ? bytes.toString("hex").slice(0, size) : new Uint8Array(randomBytes(size));
  });
  const contexts = plaintexts.map(() => ({ name: `secret/${secrets++}` }));
  return { plaintexts, contexts, sealed: new Array(length) };
}

function timeSync(sealer: Sealer, { plaintexts, contexts, sealed }: Batch) {
  const { length } = plaintexts;
  const opened = new Array<unknown>(length);
  const start = spentUntilNow();
  for (let i = 0; i < length; i++)
    sealed[i] = sealer.seal(plaintexts[i] as Plaintext, contexts[i] as Context);
  const middle = spentUntilNow();
  for (let i = 0; i < length; i++) opened[i] = sealer.open(sealed[i], contexts[i] as Context);
  const end = spentUntilNow();
  requireSame(plaintexts, opened);
  return { seal: spentBetween(start, middle), open: spentBetween(middle, end) };
}

async function timeAsync(sealer: Sealer, { plaintexts, contexts, sealed }: Batch) {
  const { length } = plaintexts;
  const opened = new Array<unknown>(length);
  const start = spentUntilNow();
  for (let i = 0; i < length; i++)
    sealed[i] = await sealer.seal(plaintexts[i] as Plaintext, contexts[i] as Context);
  const middle = spentUntilNow();
  for (let i = 0; i < length; i++) opened[i] = await sealer.open(sealed[i], contexts[i] as Context);
  const end = spentUntilNow();
  requireSame(plaintexts, opened);
  return { seal: spentBetween(start, middle), open: spentBetween(middle, end) };
}

/** A contender that gave back something else would be no contender. */
function requireSame(plaintexts: readonly Plaintext[], opened: readonly unknown[]): void {
  for (const [i, plaintext] of plaintexts.entries()) {
    const other = opened[i];
    const same =
      typeof plaintext === "string"
        ? plaintext === other
        : other instanceof Uint8Array && Buffer.compare(plaintext, other) === 0;
    if (!same) throw new Error("What was opened is not what was sealed.");
  }
}
