/**
 * 20 processes change one keyring file as fast as they can while others seal and open: nothing that was sealed becomes
 * unreadable, no KDK is lost, and every item opens at the end. `node test/keyring-stress/stress.ts 30` runs it for 30 s.
 */

import { type ChildProcess, fork } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createKeyfold, createKeyring, openKeyring } from "@keyfold/core";
import { fileKeyringStore } from "@keyfold/core/node";
import { createLocalKeyFile, localKeyFile } from "@keyfold/local";

const WRITERS = 20;
const USERS = 4;

const project = "stress";
const context = { by: "the stress test" };

/** What all of them did together. */
export interface StressReport {
  readonly conflicts: number;
  readonly changes: number;
  readonly rotations: number;
  readonly seals: number;
  readonly opens: number;
  readonly sequence: number;
  readonly keys: number;
  readonly refusals: Readonly<Record<string, number>>;
}

type Did = Omit<StressReport, "sequence" | "keys">;

/** @throws where anything was lost */
export async function stress(seconds: number): Promise<StressReport> {
  const directory = mkdtempSync(join(tmpdir(), "keyfold-stress-"));
  try {
    await prepare(directory);
    const processes = await Promise.all([
      ...Array.from({ length: WRITERS }, (_, i) => begin("change", `writer-${i}`, directory)),
      ...Array.from({ length: USERS }, (_, i) => begin("use", `user-${i}`, directory)),
    ]);
    const until = Date.now() + 1_000 * seconds;
    const total = (await Promise.all(processes.map((process) => finish(process, until)))).reduce(sum);
    return { ...total, ...(await examine(directory, total)) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function prepare(directory: string): Promise<void> {
  for (const file of ["first.key", "second.key"]) await createLocalKeyFile(join(directory, file));
  const masterKeys = [
    localKeyFile(join(directory, "first.key")),
    localKeyFile(join(directory, "second.key")),
  ];
  await createKeyring({ project, store: fileKeyringStore(join(directory, "keyring.json")), masterKeys });
}

/** A process that has opened the keyring and waits. */
async function begin(...args: readonly string[]): Promise<ChildProcess> {
  const process = fork(new URL("child.ts", import.meta.url), args, { execArgv: [] });
  await messageOf(process);
  return process;
}

function finish(process: ChildProcess, until: number): Promise<Did> {
  process.send(until);
  return messageOf(process) as Promise<Did>;
}

/** @throws where the process ends without one */
function messageOf(process: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    process.once("message", resolve);
    process.once("exit", (status) => reject(new Error(`A process ended with status ${status}.`)));
  });
}

function sum(a: Did, b: Did): Did {
  const codes = new Set([...Object.keys(a.refusals), ...Object.keys(b.refusals)]);
  return {
    conflicts: a.conflicts + b.conflicts,
    changes: a.changes + b.changes,
    rotations: a.rotations + b.rotations,
    seals: a.seals + b.seals,
    opens: a.opens + b.opens,
    refusals: Object.fromEntries(
      [...codes].map((code) => [code, (a.refusals[code] ?? 0) + (b.refusals[code] ?? 0)]),
    ),
  };
}

/** A process that starts afresh finds every KDK, opens every item, and counts one sequence for each change. */
async function examine(
  directory: string,
  { changes }: Did,
): Promise<Pick<StressReport, "sequence" | "keys">> {
  const masterKeys = localKeyFile(join(directory, "first.key"));
  const store = fileKeyringStore(join(directory, "keyring.json"));
  await using keyring = await openKeyring({ project, store, masterKeys });
  const { sequence, keys } = await keyring.show();
  const ids = new Set(keys.map(({ id }) => id));
  const made = linesOf(directory, "*.kdks");
  require(made.every((id) => ids.has(id)) && keys.length === made.length + 1, "A KDK is lost.");
  require(sequence === changes + 1, `${changes} changes gave the sequence ${sequence}.`);
  const keyfold = createKeyfold({ project, keyring });
  for (const sealed of linesOf(directory, "*.sealed")) await keyfold.openText(sealed, context);
  return { sequence, keys: keys.length };
}

function linesOf(directory: string, files: string): string[] {
  return globSync(files, { cwd: directory }).flatMap((file) =>
    readFileSync(join(directory, file), "utf8").split("\n").slice(0, -1),
  );
}

function require(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new Error(otherwise);
}

/** At most one change in ten may be a rotation, or the 4,096 keys are used up. */
function requireRightMix({ changes, rotations }: StressReport): void {
  require(rotations > 0 && rotations <= changes / 10, `${rotations} of ${changes} changes were rotations.`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const seconds = Number(process.argv[2] ?? "30");
  const report = await stress(seconds);
  console.log(JSON.stringify(report, undefined, 2));
  requireRightMix(report);
  const least = Number(process.argv[3] ?? "500");
  require(report.conflicts >= least, `Only ${report.conflicts} compare-and-swaps were lost.`);
}
