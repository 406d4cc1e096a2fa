/**
 * The child process of a measurement: `node child.ts KIND JOB`, the job as JSON. Some kinds print their result as JSON and
 * end; those that take turns are given them one by one over the channel to the parent, and end when they are told to.
 */

import type { TurnTaker } from "./runner.ts";

const measurements = {
  kms: async (job) => (await import("./kms.ts")).measureKms(job),
  memory: async (job) => (await import("./memory.ts")).measureMemory(job),
  many: async (job) => (await import("./many.ts")).measureMany(job),
} satisfies Record<string, (job: never) => Promise<unknown>>;

const turnTakers = {
  small: async (job) => (await import("./small.ts")).startSmall(job),
  bulk: async (job) => (await import("./bulk.ts")).startBulk(job),
} satisfies Record<string, (job: never) => Promise<TurnTaker<never, unknown>>>;

const [kind = "", job = ""] = process.argv.slice(2);
if (kind in measurements) {
  const found = await measurements[kind as keyof typeof measurements](JSON.parse(job) as never);
  process.stdout.write(JSON.stringify(found));
} else if (kind in turnTakers) {
  takeTurns(await turnTakers[kind as keyof typeof turnTakers](JSON.parse(job) as never));
} else {
  throw new Error(`There is no measurement "${kind}".`);
}

/** A failed turn rejects, which ends the process with the reason on standard error. */
function takeTurns(taker: TurnTaker<never, unknown>): void {
  process.on("message", async (turn) => {
    if (turn === "end") {
      await taker.end();
      process.disconnect?.();
    } else process.send?.(await taker.take(turn as never));
  });
  process.send?.("ready");
}
