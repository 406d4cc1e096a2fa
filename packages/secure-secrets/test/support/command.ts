/** The command as a process. */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { MASTER_SECRET, PROJECT } from "./material.ts";

/** The source runs as it is; what a user gets is the same, compiled. */
export const bin: string = fileURLToPath(new URL("../../src/command/bin.ts", import.meta.url));

/** What the environment of every run says; the master key is that of a variable. */
export const commandEnv: Readonly<Record<string, string>> = {
  KEYFOLD_MASTER_KEY: "env:MASTER_KEY",
  MASTER_KEY: Buffer.alloc(32, 7).toString("base64"),
  SECURE_SECRETS_MASTER_KEY: MASTER_SECRET,
};

export interface Ended {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A run of `secure-secrets migrate --project …`, whose stdin is open until it is ended. */
export function startMigrate(
  args: readonly string[],
  cwd: string,
): { child: ChildProcessWithoutNullStreams; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [bin, "migrate", "--project", PROJECT, ...args], {
    cwd,
    env: { ...process.env, ...commandEnv },
  });
  // A run that ends before it has read all is what is tested.
  child.stdin.on("error", () => undefined);
  return { child, ended: endOf(child) };
}

async function endOf(child: ChildProcessWithoutNullStreams): Promise<Ended> {
  const [stdout, stderr, [status, signal]] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr),
    once(child, "close"),
  ]);
  return { status, signal, stdout, stderr };
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
