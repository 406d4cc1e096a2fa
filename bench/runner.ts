/** Runs a measurement in a child process of its own, on one core where the system can do that. */

import { execFile, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const child = fileURLToPath(new URL("child.ts", import.meta.url));
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

/**
 * What the child printed.
 *
 * @param options further ones for Node
 */
export async function measure<R>(
  kind: string,
  job: unknown,
  node: Runtime = thisNode,
  options: readonly string[] = [],
): Promise<R> {
  const common = ["--expose-gc", "--disable-warning=ExperimentalWarning"];
  const args = [...common, ...options, child, kind, JSON.stringify(job)];
  const command =
    core === undefined ? [node.path, ...args] : ["taskset", "-c", String(core), node.path, ...args];
  const [file, ...rest] = command as [string, ...string[]];
  const { stdout } = await run(file, rest, { maxBuffer: 2 ** 26, timeout: TIMEOUT_MS });
  return JSON.parse(stdout);
}
