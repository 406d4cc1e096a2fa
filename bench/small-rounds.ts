/** Rounds of small secrets: every contender in every mode in child processes of its own, all taking turns. */

import type { Mode } from "./contender.ts";
import { type ContenderId, contenderIds, loadContender } from "./contenders/index.ts";
import type { Operation } from "./results.ts";
import { type Runtime, startTurns, type TurnTaker } from "./runner.ts";
import { addTimes, NO_TIME, type SmallJob, type SmallTimes, type SmallTurn } from "./small.ts";
import { shuffled } from "./statistics.ts";

export const SMALL_SIZES: readonly number[] = [32, 256, 1_024, 16_384];

/**
 * Those that come within some hundredths of one another have three processes each in a round: how memory is laid out and code
 * compiled differs from process to process by more than that.
 */
const CLOSE: ReadonlySet<ContenderId> = new Set(["bare", "keyfold"]);

export interface SmallPlan {
  readonly rounds: number;
  readonly sizes: readonly number[];
  /** For each size: how many turns a round, and milliseconds of processor time in each. */
  readonly turns: number;
  readonly turn: number;
  /** Milliseconds of the same before the first turn at any size. */
  readonly warmUp: number;
}

/** What one contender took for one operation in a round. */
export interface SmallRound extends SmallJob {
  readonly round: number;
  readonly size: number;
  readonly operation: Operation;
  /** Microseconds of processor time an operation, of all the process's threads: garbage collection is included. */
  readonly micros: number;
  /** Microseconds that passed. On a core of its own nearly the same; more where others want the core too. */
  readonly wall: number;
  readonly operations: number;
  /** Bytes stored over the plaintext's. */
  readonly overhead: number;
}

interface Entry extends SmallJob {
  readonly child: TurnTaker<SmallTurn, SmallTimes>;
}

export async function runSmall(
  node: Runtime,
  plan: SmallPlan,
  say: (line: string) => void,
): Promise<SmallRound[]> {
  const found: SmallRound[] = [];
  for (let round = 1; round <= plan.rounds; round++) {
    say(`small secrets on Node ${node.version}, round ${round} of ${plan.rounds}`);
    const entries = await startAll(node, plan);
    for (const size of shuffled(plan.sizes)) {
      for (const sample of await takeTurns(entries, size, plan)) found.push({ round, ...sample });
    }
    for (const { child } of entries) await child.end();
  }
  return found;
}

async function startAll(node: Runtime, { sizes, warmUp }: SmallPlan): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (const job of shuffled(await everyJob())) {
    const child = await startTurns<SmallTurn, SmallTimes>("small", job, node);
    for (const size of sizes) await child.take({ size, milliseconds: warmUp / sizes.length });
    entries.push({ ...job, child });
  }
  return entries;
}

/** All of them take the first turn, then all the second, in an order drawn anew; before, each has one that does not count. */
async function takeTurns(
  entries: readonly Entry[],
  size: number,
  { turns, turn }: SmallPlan,
): Promise<Omit<SmallRound, "round">[]> {
  const times = new Map<Entry, SmallTimes>();
  for (let i = 0; i <= turns; i++) {
    for (const entry of shuffled(entries)) {
      const took = await entry.child.take({ size, milliseconds: turn });
      times.set(entry, i === 0 ? NO_TIME : addTimes(times.get(entry) ?? NO_TIME, took));
    }
  }
  return [...times].flatMap(([{ contender, mode }, { seal, open, operations, overhead }]) =>
    [{ operation: "seal", spent: seal } as const, { operation: "open", spent: open } as const].map(
      ({ operation, spent: { cpu, wall } }) => ({
        contender,
        mode,
        size,
        operation,
        micros: (cpu / operations) * 1_000,
        wall: (wall / operations) * 1_000,
        operations,
        overhead,
      }),
    ),
  );
}

async function everyJob(): Promise<{ contender: ContenderId; mode: Mode }[]> {
  const each = contenderIds.map(async (contender) => {
    const jobs = (await loadContender(contender)).modes.map((mode) => ({ contender, mode }));
    return CLOSE.has(contender) ? [...jobs, ...jobs, ...jobs] : jobs;
  });
  return (await Promise.all(each)).flat();
}
