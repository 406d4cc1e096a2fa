import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";

const example = fileURLToPath(new URL("..", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "keyfold-per-environment-"));

afterAll(() => rmSync(directory, { recursive: true, force: true }));

function run(args: readonly string[], env: Record<string, string> = {}) {
  const options = {
    cwd: directory,
    env: { ...process.env, ...env },
    encoding: "utf8",
    timeout: 60_000,
  } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, args, options);
  return { status, stdout, stderr };
}

test("the demonstration prints what the README shows", () => {
  const { status, stdout, stderr } = run([join(example, "demo.ts")]);
  expect([status, stderr]).toEqual([0, ""]);
  const shown = /```text\n([\s\S]*?)```/.exec(readFileSync(join(example, "README.md"), "utf8"))?.[1];
  expect(withoutIds(stdout)).toBe(withoutIds(shown ?? ""));
});

test("the program says what to set where no master key is named", () => {
  const { status, stderr } = run([join(example, "main.ts")], { KEYFOLD_MASTER_KEY: "" });
  expect(status).toBe(1);
  expect(stderr).toContain("ERR_INVALID_ARGUMENT");
  expect(stderr).toContain("Set the variable");
});

/** Keys are made anew in each run. */
function withoutIds(text: string): string {
  return text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}|local:[0-9a-f]{32}/g, "ID").trim();
}
