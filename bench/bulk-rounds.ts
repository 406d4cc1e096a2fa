/** Rounds of much data: every contender in every way and size once a round, in an order drawn anew. */

import type { Way } from "./bulk/contender.ts";
import type { BulkId } from "./bulk/index.ts";
import type { BulkJob, BulkSample } from "./bulk.ts";
import type { BulkRound } from "./results.ts";
import { measure, thisNode } from "./runner.ts";
import { shuffled } from "./statistics.ts";

const KIB = 1_024;
const MIB = 1_024 * KIB;
const GIB = 1_024 * MIB;
const SMALL: readonly number[] = [KIB, MIB];
/** What the targets are measured at. */
const MAIN = 64 * MIB;

interface Entry {
  readonly contender: BulkId;
  readonly way: Way;
  readonly sizes: readonly number[];
}

/** All of it in memory ends at 64 MiB for those that take many seconds for more. */
const entries: readonly Entry[] = [
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
  /** Sizes from this on are measured in so many rounds: their passes take long. */
  readonly longFrom: number;
  readonly longRounds: number;
  /** Smaller and larger sizes are left out. */
  readonly from: number;
  readonly upTo: number;
  /** Milliseconds, as in {@link BulkJob}. */
  readonly warmUp: number;
  readonly measure: number;
}

export async function runBulk(plan: BulkPlan, say: (line: string) => void): Promise<BulkRound[]> {
  const found: BulkRound[] = [];
  for (let round = 1; round <= plan.rounds; round++) {
    say(`much data, round ${round} of ${plan.rounds}`);
    for (const job of shuffled(jobsOf(plan, round))) {
      for (const sample of await measure<BulkSample[]>("bulk", job, thisNode))
        found.push({ round, ...sample });
    }
  }
  return found;
}

function jobsOf(plan: BulkPlan, round: number): BulkJob[] {
  const { warmUp, measure: milliseconds, from, upTo, longFrom, longRounds } = plan;
  return entries.flatMap(({ contender, way, sizes }) =>
    sizes
      .filter((bytes) => bytes >= from && bytes <= upTo && (bytes < longFrom || round <= longRounds))
      .map((bytes) => ({ contender, way, bytes, warmUp, measure: milliseconds })),
  );
}
