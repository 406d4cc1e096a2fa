/** Every TypeScript block of a README runs as it stands there, in a process and a directory of its own. */

import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

interface Block {
  /** Where it begins: `README.md:12`. */
  readonly place: string;
  /** What stands behind "ts" on the fence. */
  readonly note: string;
  readonly code: string;
}

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "..");
const readmes = globSync(["README.md", "packages/*/README.md"], { cwd: root }).sort();
const blocks = readmes.flatMap((readme) =>
  typescriptBlocks(readme, readFileSync(join(root, readme), "utf8")),
);

describe("README blocks", () => {
  test("are found in the root and in core", () => {
    const places = blocks.map(({ place }) => place.replace(/:\d+$/, ""));
    expect(places).toEqual(expect.arrayContaining(["README.md", "packages/core/README.md"]));
  });

  test.each(blocks)("$place runs", ({ place, note, code }) => {
    expect(["", "no-run"], `${place}: a fence may say "ts" or "ts no-run"`).toContain(note);
    if (note === "no-run") return;
    const { status, output } = run(code);
    expect(status, `${place} ended with status ${status}:\n${output}`).toBe(0);
  });

  test("a block that fails is noticed, with what it printed", () => {
    const { status, output } = run('console.log("as far as here"); throw new Error("and no further");');
    expect(status).toBe(1);
    expect(output).toContain("as far as here");
    expect(output).toContain("and no further");
  });

  test("a block is found with its line, its note and its code", () => {
    const page = "# Title\n\n```ts\nconst a = 1;\n```\n\n```json\n{}\n```\n\n```ts no-run\nb();\n```\n";
    expect(typescriptBlocks("page.md", page)).toEqual([
      { place: "page.md:3", note: "", code: "const a = 1;\n" },
      { place: "page.md:11", note: "no-run", code: "b();\n" },
    ]);
  });
});

function typescriptBlocks(readme: string, page: string): Block[] {
  return [...page.matchAll(/^```ts\b *(.*)\n([\s\S]*?)^```$/gm)].map((match) => ({
    place: `${readme}:${page.slice(0, match.index).split("\n").length}`,
    note: match[1]?.trim() ?? "",
    code: match[2] ?? "",
  }));
}

/** Runs a block from a directory inside the workspace, so that the packages' names resolve as they do for a user. */
function run(code: string): { status: number | null; output: string } {
  const directory = mkdtempSync(join(here, ".readme-"));
  try {
    writeFileSync(join(directory, "block.ts"), code);
    const { status, stdout, stderr, error } = spawnSync(process.execPath, ["block.ts"], {
      cwd: directory,
      encoding: "utf8",
      timeout: 30_000,
    });
    return { status, output: `${stdout}${stderr}${error?.message ?? ""}` };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
