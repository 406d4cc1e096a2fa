/** Rounds of much data: for each way and size all contenders, each in a child process of its own, taking turns. */

import type { Way } from "./bulk/contender.ts";
import type { BulkId } from "./bulk/index.ts";
import type { BulkJob, BulkTook, BulkTurn } from "./bulk.ts";
import { OPERATIONS, type Operation } from "./results.ts";
import { startTurns, type TurnTaker, thisNode } from "./runner.ts";
import { shuffled } from "./statistics.ts";
import { addSpent, NOTHING, type Spent } from "./time.ts";

const KIB = 1_024;
const MIB = 1_024 * KIB;
const GIB = 1_024 * MIB;
const SMALL: readonly number[] = [KIB, MIB];
/** How long the passes of a full run are repeated before the first turn: of processor time. */
export const BULK_WARM_UP_MS = 1_000;
/** What the targets are measured at. */
const MAIN = 64 * MIB;

interface Offer {
  readonly contender: BulkId;
  readonly way: Way;
  readonly sizes: readonly number[];
}

/** All of it in memory ends at 64 MiB for those that take many seconds for more. */
const offered: readonly Offer[] = [
  { contender: "keyfold", way: "whole", sizes: [...SMALL, MAIN, GIB] },
  { contender: "raw-whole", way: "whole", sizes: [...SMALL, MAIN, GIB] },
  { contender: "aws", way: "whole", sizes: [...SMALL, MAIN] },
  { contender: "aws-64k", way: "whole", sizes: [MAIN] },
  { contender: "age", way: "whole", sizes: [...SMALL, MAIN] },
  { contender: "keyfold", way: "stream", sizes: [...SMALL, MAIN, GIB] },
  { contender: "raw-warm", way: "stream", sizes: [...SMALL, MAIN, GIB] },
  { contender: "aws", way: "stream", sizes: [...SMALL, MAIN, GIB] },
  { contender: "aws-16k", way: "stream", sizes: [MAIN] },
  { contender: "aws-64k", way: "stream", sizes: [...SMALL, MAIN, GIB] },
  { contender: "aws-256k", way: "stream", sizes: [MAIN] },
  { contender: "aws-1m", way: "stream", sizes: [MAIN] },
  { contender: "secretstream", way: "stream", sizes: [...SMALL, MAIN, GIB] },
  { contender: "age", way: "stream", sizes: [...SMALL, MAIN, GIB] },
  { contender: "keyfold", way: "file", sizes: [MAIN, GIB] },
  { contender: "aws-64k", way: "file", sizes: [MAIN, GIB] },
  { contender: "age", way: "file", sizes: [MAIN, GIB] },
];

export interface BulkPlan {
  readonly rounds: number;
  /** Sizes from this on are measured in so many rounds, and by the first pass alone: it takes long. */
  readonly longFrom: number;
  readonly longRounds: number;
  /** Smaller and larger sizes are left out. */
  readonly from: number;
  readonly upTo: number;
  /** How many turns a round, and milliseconds of processor time in each. A turn is one pass over the data at least. */
  readonly turns: number;
  readonly turn: number;
  /** Milliseconds of the same before the first turn. */
  readonly warmUp: number;
}

/** What one contender took for one operation in a round. */
export interface BulkRound extends BulkJob {
  readonly round: number;
  readonly operation: Operation;
  /** Milliseconds of processor time for all of the bytes, of all the process's threads. */
  readonly millis: number;
  /** Milliseconds that passed. */
  readonly wall: number;
  readonly passes: number;
  /** Bytes by which the process grew at most during the first pass; the input is not counted, the result is. */
  readonly peak: number;
}

/** One operation of one contender. */
interface Entry {
  readonly job: BulkJob;
  readonly operation: Operation;
  readonly child: TurnTaker<BulkTurn, BulkTook>;
  readonly first: BulkTook;
  /** Passes in a turn. */
  readonly passes: number;
}

export async function runBulk(plan: BulkPlan, say: (line: string) => void): Promise<BulkRound[]> {
  const found: BulkRound[] = [];
  for (let round = 1; round <= plan.rounds; round++) {
    say(`much data, round ${round} of ${plan.rounds}`);
    for (const jobs of shuffled(groupsOf(plan, round))) {
      for (const sample of await runGroup(jobs, plan)) found.push({ round, ...sample });
    }
  }
  return found;
}

/** Those that are compared with one another: one way, one size. */
function groupsOf({ from, upTo, longFrom, longRounds }: BulkPlan, round: number): BulkJob[][] {
  const jobs = offered.flatMap(({ contender, way, sizes }) =>
    sizes
      .filter((bytes) => bytes >= from && bytes <= upTo && (bytes < longFrom || round <= longRounds))
      .map((bytes) => ({ contender, way, bytes })),
  );
  return Object.values(Object.groupBy(jobs, ({ way, bytes }) => `${way} ${bytes}`)).map(
    (group) => group ?? [],
  );
}

async function runGroup(jobs: readonly BulkJob[], plan: BulkPlan): Promise<Omit<BulkRound, "round">[]> {
  const entries: Entry[] = [];
  const children: Entry["child"][] = [];
  for (const job of shuffled(jobs)) {
    const child = await startTurns<BulkTurn, BulkTook>("bulk", job, thisNode);
    children.push(child);
    for (const operation of OPERATIONS) entries.push(await begin(child, job, operation, plan));
  }
  const isLong = jobs.some(({ bytes }) => bytes >= plan.longFrom);
  const found = isLong
    ? entries.map((entry) => sampleOf(entry, entry.first, 1))
    : await takeTurns(entries, plan);
  for (const child of children) await child.end();
  return found;
}

async function begin(
  child: Entry["child"],
  job: BulkJob,
  operation: Operation,
  { longFrom, warmUp, turn }: BulkPlan,
): Promise<Entry> {
  const first = await child.take({ operation, passes: 1 });
  if (job.bytes >= longFrom) return { job, operation, child, first, passes: 1 };
  const passes = Math.ceil(warmUp / first.cpu);
  const { cpu } = await child.take({ operation, passes });
  return { job, operation, child, first, passes: Math.max(1, Math.round((turn * passes) / cpu)) };
}

/** All of them take the first turn, then all the second, in an order drawn anew. */
async function takeTurns(
  entries: readonly Entry[],
  { turns }: BulkPlan,
): Promise<Omit<BulkRound, "round">[]> {
  const times = new Map<Entry, Spent>(entries.map((entry) => [entry, NOTHING]));
  for (let i = 0; i < turns; i++) {
    for (const entry of shuffled(entries)) {
      const took = await entry.child.take({ operation: entry.operation, passes: entry.passes });
      times.set(entry, addSpent(times.get(entry) ?? NOTHING, took));
    }
  }
  return [...times].map(([entry, spent]) => sampleOf(entry, spent, entry.passes * turns));
}

function sampleOf({ job, operation, first }: Entry, { cpu, wall }: Spent, passes: number) {
  return { ...job, operation, millis: cpu / passes, wall: wall / passes, passes, peak: first.peak ?? 0 };
}
