/** Runs Python programs beside secure_secrets.py. */

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));

/** What the program writes to stdout, as JSON. `input` comes to it as JSON on stdin. */
export function python<T>(program: string, input: unknown = null): T {
  const { status, stdout, stderr } = spawnSync("python3", ["-c", program], {
    input: JSON.stringify(input),
    encoding: "utf8",
    env: { ...process.env, PYTHONPATH: here, PYTHONDONTWRITEBYTECODE: "1", PYTHONUTF8: "1" },
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`Python ended with status ${status}:\n${stderr}`);
  return JSON.parse(stdout);
}
