import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const file = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const shown = /```text\n([\s\S]*?)```/.exec(readFileSync(file("README.md"), "utf8"))?.[1] ?? "";

test("the demonstration with 10,000 envelopes prints what the README shows for 1,000,000", () => {
  const options = { encoding: "utf8", timeout: 60_000 } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [file("demo.ts"), "10000"], options);
  expect([status, stderr]).toEqual([0, ""]);
  expect(stdout).toBe(shown.replaceAll("1,000,000", "10,000").replaceAll("184,000,000", "1,840,000"));
});
