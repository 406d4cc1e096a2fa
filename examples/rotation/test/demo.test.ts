import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const file = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const shown = /```text\n([\s\S]*?)```/.exec(readFileSync(file("README.md"), "utf8"))?.[1] ?? "";

test("the demonstration prints what the README shows", () => {
  const options = { encoding: "utf8", timeout: 60_000 } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [file("demo.ts")], options);
  expect([status, stderr]).toEqual([0, ""]);
  expect(stdout).toBe(shown);
});
