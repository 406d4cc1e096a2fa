/**
 * `npm run bench`: measures everything side by side, and writes results.json, RESULTS.md and results.svg beside this file.
 * With `--quick` it does a little of everything, to see that it works, and keeps nothing.
 */

import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, release, tmpdir, type } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { BULK_WARM_UP_MS, type BulkPlan, runBulk } from "./bulk-rounds.ts";
import { chart } from "./chart.ts";
import { type Footprint, footprintPackages, measureFootprint } from "./footprint.ts";
import type { KmsJob, KmsSample } from "./kms.ts";
import type { ManyJob, ManySample } from "./many.ts";
import type { MemorySample } from "./memory.ts";
import { report } from "./report.ts";
import type { Results } from "./results.ts";
import { core, measure, otherNode, thisNode } from "./runner.ts";
import { runSmall, SMALL_SIZES, type SmallPlan, type SmallRound } from "./small-rounds.ts";
import { outcomes } from "./targets.ts";

const here = dirname(fileURLToPath(import.meta.url));
const MIB = 2 ** 20;
/**
 * V8's young generation grows to 48 MiB in the course of a million items, whoever makes them. Held to 12, what a batch keeps
 * of each item would show.
 */
const YOUNG = "--max-semi-space-size=4";

interface Plan {
  readonly small: SmallPlan;
  readonly otherNodes: readonly string[];
  readonly otherRounds: number;
  readonly bulk: BulkPlan;
  readonly kms: readonly KmsJob[];
  readonly memoryBytes: number;
  readonly many: readonly ManyJob[];
  readonly importRounds: number;
}

const full: Plan = {
  small: { rounds: 7, sizes: SMALL_SIZES, turns: 10, turn: 40, warmUp: 3_000 },
  otherNodes: ["22.23.3", "24.21.0"],
  otherRounds: 2,
  bulk: {
    rounds: 5,
    longFrom: 1_024 * MIB,
    longRounds: 3,
    from: 0,
    upTo: 1_024 * MIB,
    turns: 10,
    turn: 40,
    warmUp: BULK_WARM_UP_MS,
  },
  kms: [
    { contender: "keyfold", contexts: "each", operations: 100_000, opener: "same" },
    { contender: "keyfold", contexts: "one", operations: 100_000, opener: "same" },
    { contender: "keyfold", contexts: "each", operations: 100_000, opener: "other" },
    { contender: "aws-cache", contexts: "each", operations: 1_000, opener: "same" },
    { contender: "aws-cache", contexts: "one", operations: 1_000, opener: "same" },
  ],
  memoryBytes: 1_024 * MIB,
  many: [
    { operation: "open", envelopes: 100_000, damaged: 100 },
    { operation: "open", envelopes: 1_000_000, damaged: 1_000 },
    { operation: "rewrap", envelopes: 100_000, damaged: 100 },
    { operation: "rewrap", envelopes: 1_000_000, damaged: 1_000 },
  ],
  importRounds: 7,
};

const quick: Plan = {
  small: { rounds: 1, sizes: [32, 16_384], turns: 1, turn: 5, warmUp: 10 },
  otherNodes: [],
  otherRounds: 0,
  bulk: { rounds: 1, longFrom: 2 * MIB, longRounds: 1, from: MIB, upTo: MIB, turns: 1, turn: 1, warmUp: 1 },
  kms: [
    { contender: "keyfold", contexts: "each", operations: 50, opener: "same" },
    { contender: "aws-cache", contexts: "each", operations: 10, opener: "same" },
  ],
  memoryBytes: 16 * MIB,
  many: [
    { operation: "open", envelopes: 2_000, damaged: 20 },
    { operation: "rewrap", envelopes: 2_000, damaged: 20 },
  ],
  importRounds: 1,
};

const { values } = parseArgs({ options: { quick: { type: "boolean", default: false } } });
const results = await runAll(values.quick ? quick : full);
if (values.quick) await tryToWrite(results);
else await keep(results);

async function runAll(plan: Plan): Promise<Results> {
  return {
    ...machine(),
    small: await smallOnEveryNode(plan),
    bulk: await runBulk(plan.bulk, say),
    kms: await inTurn(plan.kms, (job) => measure<KmsSample>("kms", job)),
    memory: [await measure<MemorySample>("memory", { bytes: plan.memoryBytes })],
    many: await inTurn(plan.many, (job) => measure<ManySample>("many", job, [YOUNG])),
    footprint: await inTurn(
      footprintPackages,
      (names): Promise<Footprint> => measureFootprint(names, plan.importRounds),
    ),
  };
}

async function smallOnEveryNode({ small, otherNodes, otherRounds }: Plan): Promise<Results["small"]> {
  const found: Record<string, readonly SmallRound[]> = {
    [thisNode.version]: await runSmall(thisNode, small, say),
  };
  for (const version of otherNodes) {
    found[version] = await runSmall(otherNode(version), { ...small, rounds: otherRounds }, say);
  }
  return found;
}

async function inTurn<J, R>(jobs: readonly J[], run: (job: J) => Promise<R>): Promise<R[]> {
  const found: R[] = [];
  for (const job of jobs) {
    say(JSON.stringify(job));
    found.push(await run(job));
  }
  return found;
}

function machine() {
  const git = (...args: string[]) => execFileSync("git", args, { cwd: here, encoding: "utf8" }).trim();
  const changed =
    git("status", "--porcelain", "--", "../packages", ".", ":!results.*", ":!RESULTS.md") !== "";
  const processors = cpus();
  return {
    commit: `${git("rev-parse", "HEAD")}${changed ? "+" : ""}`,
    date: new Date().toISOString(),
    cpu: processors[0]?.model.trim() ?? "unknown",
    cores: processors.length,
    pinnedTo: core ?? null,
    system: `${type()} ${release()}`,
    node: thisNode.version,
  };
}

async function keep(found: Results): Promise<void> {
  await write(found, here);
  for (const { what, bound, reached, met } of outcomes(found, found.node)) {
    console.log(`${met ? "met " : "MISS"} ${reached.toFixed(2).padStart(8)} (${bound}) ${what}`);
  }
}

/** The report's own code is tried as well; the numbers of so short a run say nothing. */
async function tryToWrite(found: Results): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "keyfold-bench-"));
  await write(found, folder);
  await rm(folder, { recursive: true });
  const samples = (found.small[found.node]?.length ?? 0) + found.bulk.length;
  console.log(`The harness works: ${samples} samples, every contender took part.`);
}

/** The table and the chart show what results.json says, to its last digit. */
async function write(found: Results, folder: string): Promise<void> {
  const json = toJson(found);
  const kept: Results = JSON.parse(json);
  await writeFile(join(folder, "results.json"), json);
  await writeFile(join(folder, "RESULTS.md"), await report(kept));
  await writeFile(join(folder, "results.svg"), chart(kept));
}

/** A sample a line, so that two runs can be compared by a diff. Six digits of what was measured; counts are whole. */
function toJson(found: Results): string {
  const lines = JSON.stringify(found, (_key, value) =>
    typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value,
  );
  return `${lines.replaceAll("},{", "},\n{").replaceAll(":[{", ":[\n{")}\n`;
}

function say(line: string): void {
  console.error(`${new Date().toISOString().slice(11, 19)} ${line}`);
}
