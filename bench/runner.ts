/** Runs measurements in child processes, each contender in one of its own, on one core where the system can do that. */

import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const childFile = fileURLToPath(new URL("child.ts", import.meta.url));
/** Far over what the longest measurement takes. */
const TIMEOUT_MS = 900_000;

export interface Runtime {
  /** As `process.versions.node`. */
  readonly version: string;
  readonly path: string;
}

export const thisNode: Runtime = { version: process.versions.node, path: process.execPath };

/** A Node of another version, from the registry. */
export function otherNode(version: string): Runtime {
  const command = ["--yes", "-p", `node@${version}`, "node", "-p", "process.execPath"];
  const { stdout, status, stderr } = spawnSync("npx", command, { encoding: "utf8" });
  if (status !== 0) throw new Error(`Node ${version} could not be had: ${stderr}`);
  return { version, path: stdout.trim() };
}

/** The core that children are held to: the last that this process may use; undefined where `taskset` is not there. */
export const core: number | undefined = pinnableCore();

function pinnableCore(): number | undefined {
  if (spawnSync("taskset", ["-V"]).status !== 0) return undefined;
  const allowed = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return allowed === undefined ? undefined : Number(/\d+$/.exec(allowed)?.[0]);
}

/** What measures a little whenever it is its turn: in a child, and for the parent a child itself. */
export interface TurnTaker<T, R> {
  take(turn: T): Promise<R>;
  /** After the last turn. */
  end(): Promise<void>;
}

/**
 * What the child printed.
 *
 * @param options further ones for Node
 */
export async function measure<R>(kind: string, job: unknown, options: readonly string[] = []): Promise<R> {
  const [file, ...args] = commandOf(thisNode, kind, job, options);
  const { stdout } = await run(file, args, { maxBuffer: 2 ** 26, timeout: TIMEOUT_MS });
  return JSON.parse(stdout);
}

/** A child that takes turns. Several that are there at once share the good and the bad moments of a machine. */
export async function startTurns<T, R>(kind: string, job: unknown, node: Runtime): Promise<TurnTaker<T, R>> {
  const [file, ...args] = commandOf(node, kind, job, []);
  const child = spawn(file, args, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  await answerOf(child, kind, job);
  return {
    take: async (turn) => {
      child.send(turn as object);
      return (await answerOf(child, kind, job)) as R;
    },
    end: async () => {
      const exit = once(child, "exit");
      child.send("end");
      const [code] = await exit;
      if (code !== 0) throw new Error(`${kind} ${JSON.stringify(job)} ended with ${code}.`);
    },
  };
}

async function answerOf(child: ChildProcess, kind: string, job: unknown): Promise<unknown> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const settled = new AbortController();
  const options = { signal: AbortSignal.any([signal, settled.signal]) };
  const exit = once(child, "exit", options).then(([code]) => {
    throw new Error(`${kind} ${JSON.stringify(job)} ended early, with ${code}.`);
  });
  try {
    const [answer] = await Promise.race([once(child, "message", options), exit]);
    return answer;
  } finally {
    settled.abort();
  }
}

function commandOf(
  node: Runtime,
  kind: string,
  job: unknown,
  options: readonly string[],
): [string, ...string[]] {
  const common = ["--expose-gc", "--disable-warning=ExperimentalWarning"];
  const command = [node.path, ...common, ...options, childFile, kind, JSON.stringify(job)] as [
    string,
    ...string[],
  ];
  return core === undefined ? command : ["taskset", "-c", String(core), ...command];
}
