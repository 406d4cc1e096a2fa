import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

test("the example prints what its README shows", () => {
  const main = fileURLToPath(new URL("../main.ts", import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [main], {
    encoding: "utf8",
    timeout: 60_000,
  });
  expect([status, stderr]).toEqual([0, ""]);
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  expect(stdout.trim()).toBe(/```text\n([\s\S]*?)```/.exec(readme)?.[1]?.trim());
});
