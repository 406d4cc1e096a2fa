import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const example = new URL("../", import.meta.url);

test("the example prints what the README shows", () => {
  const options = { encoding: "utf8", timeout: 60_000 } as const;
  const main = fileURLToPath(new URL("main.ts", example));
  const { status, stdout, stderr } = spawnSync(process.execPath, [main], options);
  expect([status, stderr]).toEqual([0, ""]);
  const shown = /```text\n([\s\S]*?)```/.exec(readFileSync(new URL("README.md", example), "utf8"))?.[1];
  expect(withoutIds(stdout)).toBe(withoutIds(shown ?? ""));
});

/** The master key is made anew in each run. */
function withoutIds(text: string): string {
  return text.replaceAll(/local:[0-9a-f]{32}/g, "local:ID").trim();
}
