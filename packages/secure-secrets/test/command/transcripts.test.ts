/**
 * The transcripts next to this file: each is a session at a shell, run again. A line "$ …" is a command, and what stands
 * below it is what it prints, stdout and stderr, and "[status n]" where it is not 0. Random text is shown as "…".
 * After a change that is meant, `vitest run -u` writes them anew.
 */

import { spawnSync } from "node:child_process";
import { chmodSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { basename, delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { bin, commandEnv } from "../support/command.ts";
import { lineOf, recordsOf, temporaryDirectory } from "../support/material.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const transcripts = globSync("transcripts/*.txt", { cwd: here }).sort();

test("there are transcripts", () => {
  expect(transcripts.length).toBeGreaterThanOrEqual(4);
});

test.each(transcripts.map((path) => [basename(path, ".txt"), path]))(
  "%s",
  async (_, path) => {
    const directory = await newSession();
    const [title = "", ...commands] = readFileSync(join(here, path), "utf8").split(/^(?=\$ )/m);
    const played = commands.map((step) => {
      const [command = ""] = step.slice(2).split("\n", 1);
      return `$ ${command}\n${play(command, directory)}\n`;
    });
    await expect(`${[title, ...played].join("").trimEnd()}\n`).toMatchFileSnapshot(path);
  },
  180_000,
);

/** A directory with five records, records.jsonl, and the command on the path. */
async function newSession(): Promise<string> {
  const directory = temporaryDirectory();
  const records = await recordsOf(["first", "second", "third", "fourth", "fifth"]);
  writeFileSync(join(directory, "records.jsonl"), records.map((record) => lineOf(record)).join(""));
  const command = join(directory, "secure-secrets");
  writeFileSync(command, `#!/bin/sh\nexec "${process.execPath}" "${bin}" "$@"\n`);
  chmodSync(command, 0o755);
  return directory;
}

function play(command: string, directory: string): string {
  const path = `${directory}${delimiter}${process.env["PATH"]}`;
  const { status, stdout } = spawnSync("sh", ["-c", `exec 2>&1\n${command}`], {
    cwd: directory,
    env: { ...process.env, ...commandEnv, PATH: path },
    encoding: "utf8",
  });
  const shown = stdout
    .replaceAll(/kf1\.[\w-]+/g, "kf1.…")
    .replaceAll(/gAAAAA[\w=-]+/g, "gAAAAA…")
    .replaceAll(/"salt":"[^"]+"/g, '"salt":"…"');
  return shown + (status === 0 ? "" : `[status ${status}]\n`);
}
