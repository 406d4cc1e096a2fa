/** Runs that end in the middle, and the runs that go on after them. */

import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createKeyfold, masterKeysFromUri } from "@keyfold/core";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { commandEnv, type Ended, startMigrate } from "../support/command.ts";
import { lineOf, PROJECT, recordsOf, temporaryDirectory } from "../support/material.ts";

const COUNT = 400;
const args = ["--context", "name=secret {id}", "--output", "new.jsonl", "--resume"];
const texts = Array.from({ length: COUNT }, (_, i) => `secret ${i} ü`);
let lines: readonly string[];

beforeAll(async () => {
  lines = (await recordsOf(texts)).map((record) => lineOf(record));
});

describe("a run that is killed", () => {
  test("in the middle loses nothing: the next one goes on, and all is there, each once", async () => {
    const directory = temporaryDirectory();
    const first = await endInTheMiddle(directory, "SIGKILL");
    expect(first.signal).toBe("SIGKILL");
    const before = linesIn(directory);
    expect(before.length).toBeGreaterThanOrEqual(100);
    expect(before.length).toBeLessThan(COUNT);
    const second = await run(directory, lines);
    expect([second.status, second.stderr]).toEqual([
      0,
      `${COUNT - before.length} migrated, 0 refused, ${before.length} done before.\n`,
    ]);
    await expectAll(directory);
    expect(linesIn(directory).slice(0, before.length)).toEqual(before);
  });

  test("twice, and with half a line at the end, loses nothing either", async () => {
    const directory = temporaryDirectory();
    await endInTheMiddle(directory, "SIGKILL");
    truncateSync(join(directory, "new.jsonl"), readFileSync(join(directory, "new.jsonl")).length - 30);
    const done = linesIn(directory).length;
    await endInTheMiddle(directory, "SIGKILL", done + 100);
    const { status } = await run(directory, lines);
    expect(status).toBe(0);
    await expectAll(directory);
  });

  test("may leave its file at any length", async () => {
    const whole = temporaryDirectory();
    const few = lines.slice(0, 3);
    await run(whole, few);
    const bytes = readFileSync(join(whole, "new.jsonl"));
    const lengths = [0, 1, 5, 6, 7, 8, 20, bytes.length - 2, bytes.length - 1, bytes.length];
    const firstLine = bytes.indexOf(0x0a);
    for (const length of [...lengths, firstLine, firstLine + 1, firstLine + 2]) {
      const directory = temporaryDirectory();
      writeFileSync(join(directory, "new.jsonl"), bytes.subarray(0, length));
      const { status } = await run(directory, few);
      expect(status, `cut at ${length}`).toBe(0);
      await expectAll(directory, few.length);
    }
  }, 180_000);
});

describe.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s", (signal, status) => {
  test("ends a run in good order: whole lines, a status, and what to do", async () => {
    const directory = temporaryDirectory();
    const ended = await endInTheMiddle(directory, signal);
    const done = linesIn(directory);
    expect(ended).toEqual({
      status,
      signal: null,
      stdout: "",
      stderr: `Interrupted.\n${done.length} migrated, 0 refused, 0 done before.\nThe same command with --resume goes on.\n`,
    });
    expect(readFileSync(join(directory, "new.jsonl"), "utf8")).toMatch(/\n$/);
    expect((await run(directory, lines)).status).toBe(0);
    await expectAll(directory);
  });
});

/** Ends a run by a signal, once 100 lines are out and while its input is still open. */
async function endInTheMiddle(directory: string, signal: NodeJS.Signals, least = 100): Promise<Ended> {
  const { child, ended } = startMigrate(args, directory);
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  child.stdin.write(lines.slice(0, COUNT - 50).join(""));
  while (linesIn(directory).length < least && child.exitCode === null) await sleep(5);
  child.kill(signal);
  return ended;
}

async function run(directory: string, input: readonly string[]): Promise<Ended> {
  const { child, ended } = startMigrate(args, directory);
  child.stdin.end(input.join(""));
  return ended;
}

/** The whole lines of the output. */
function linesIn(directory: string): string[] {
  try {
    return readFileSync(join(directory, "new.jsonl"), "utf8").split("\n").slice(0, -1);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Every record is there once, and opens to its secret in its context. */
async function expectAll(directory: string, count: number = COUNT): Promise<void> {
  process.env["MASTER_KEY"] = commandEnv["MASTER_KEY"];
  const masterKeys = await masterKeysFromUri(commandEnv["KEYFOLD_MASTER_KEY"]);
  const keyfold = createKeyfold({ project: PROJECT, masterKeys });
  const entries = linesIn(directory).map((line) => JSON.parse(line) as { id: number; envelope: string });
  expect(entries.map(({ id }) => id).sort((a, b) => a - b)).toEqual([...Array(count).keys()]);
  for (const { id, envelope } of entries) {
    expect(await keyfold.openText(envelope, { name: `secret ${id}` })).toBe(texts[id]);
  }
  await keyfold.close();
}
