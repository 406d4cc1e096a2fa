/** Rounds of small secrets: every contender in every mode once a round or a few times, in an order drawn anew. */

import type { Mode } from "./contender.ts";
import { type ContenderId, contenderIds, loadContender } from "./contenders/index.ts";
import { measure, type Runtime } from "./runner.ts";
import type { SmallJob, SmallSample } from "./small.ts";
import { shuffled } from "./statistics.ts";

export const SMALL_SIZES: readonly number[] = [32, 256, 1_024, 16_384];

/** Their ratios are close to 1, so that they take more samples than others for the same certainty. */
const CLOSE: readonly ContenderId[] = ["keyfold", "bare"];

export interface SmallPlan {
  readonly rounds: number;
  /** How often {@link CLOSE} contenders take part in a round. */
  readonly closeTimes: number;
  readonly sizes: readonly number[];
  /** Milliseconds, as in {@link SmallJob}. */
  readonly warmUp: number;
  readonly measure: number;
}

export interface SmallRound extends SmallSample {
  readonly round: number;
}

export async function runSmall(
  node: Runtime,
  plan: SmallPlan,
  say: (line: string) => void,
): Promise<SmallRound[]> {
  const entries = (await everyMode()).flatMap((entry) =>
    Array.from({ length: CLOSE.includes(entry.contender) ? plan.closeTimes : 1 }, () => entry),
  );
  const found: SmallRound[] = [];
  for (let round = 1; round <= plan.rounds; round++) {
    say(`small secrets on Node ${node.version}, round ${round} of ${plan.rounds}`);
    for (const { contender, mode } of shuffled(entries)) {
      const { sizes, warmUp, measure: milliseconds } = plan;
      const job: SmallJob = { contender, mode, sizes, warmUp, measure: milliseconds };
      for (const sample of await measure<SmallSample[]>("small", job, node)) found.push({ round, ...sample });
    }
  }
  return found;
}

async function everyMode(): Promise<{ contender: ContenderId; mode: Mode }[]> {
  const each = contenderIds.map(async (contender) =>
    (await loadContender(contender)).modes.map((mode) => ({ contender, mode })),
  );
  return (await Promise.all(each)).flat();
}
