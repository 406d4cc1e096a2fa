/** In a child process: one contender in one mode, over small sizes. */

import { randomBytes, randomInt } from "node:crypto";
import type { Contender, Context, Mode, Plaintext, Sealer } from "./contender.ts";
import { type ContenderId, loadContender } from "./contenders/index.ts";
import type { TurnTaker } from "./runner.ts";
import { addSpent, NOTHING, type Spent, spentBetween, spentUntilNow } from "./time.ts";

export interface SmallJob {
  readonly contender: ContenderId;
  readonly mode: Mode;
}

export interface SmallTurn {
  /** Bytes. */
  readonly size: number;
  /** Of processor time, for sealing and opening together. */
  readonly milliseconds: number;
}

/** What a turn took, or several. */
export interface SmallTimes {
  readonly seal: Spent;
  readonly open: Spent;
  /** As many were sealed, and as many opened. */
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

type Timed = (sealer: Sealer, batch: Batch) => Phases | Promise<Phases>;

const SHORTEST_BATCH = 8;
const LONGEST_BATCH = 256;
const BATCH_MS = 5;

export const NO_TIME: SmallTimes = { seal: NOTHING, open: NOTHING, operations: 0, overhead: 0 };

let secrets = 0;

export async function startSmall({ contender, mode }: SmallJob): Promise<TurnTaker<SmallTurn, SmallTimes>> {
  const { start, takes } = await loadContender(contender);
  const sealer = await start(mode);
  const timed: Timed = mode === "sync" ? timeSync : timeAsync;
  const lengths = new Map<number, number>();
  return {
    /**
     * Batch after batch until the time is used up. Their lengths are drawn anew, from one to two times what fills some
     * milliseconds: with one length, garbage collection would fall in step with them, always on sealing or on opening.
     */
    take: async ({ size, milliseconds }) => {
      let length = lengths.get(size) ?? SHORTEST_BATCH;
      let times = NO_TIME;
      while (times.seal.cpu + times.open.cpu < milliseconds) {
        const operations = randomInt(length, 2 * length);
        const batch = makeBatch(takes, size, operations);
        const phases = await timed(sealer, batch);
        const overhead = sealer.stored(batch.sealed[0]) - size;
        times = addTimes(times, { ...phases, operations, overhead });
        if (phases.seal.cpu + phases.open.cpu < BATCH_MS) length = Math.min(2 * length, LONGEST_BATCH);
      }
      lengths.set(size, length);
      return times;
    },
    end: async () => undefined,
  };
}

export function addTimes(some: SmallTimes, more: SmallTimes): SmallTimes {
  return {
    seal: addSpent(some.seal, more.seal),
    open: addSpent(some.open, more.open),
    operations: some.operations + more.operations,
    overhead: more.overhead,
  };
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
