/** A process that is killed (SIGKILL) while it saves leaves the old keyring or the new one, and the next save goes through. */

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";
import { fileKeyringStore, fileKeyringStoreWith, type SaveStep } from "../src/keyring-file.ts";
import { changeOnce, readDocument } from "./support/keyring-changes.ts";
import { keyringVector, vectorText } from "./support/keyring-vector.ts";

const child = fileURLToPath(new URL("./support/child-save.ts", import.meta.url));
const FIRST = keyringVector.document.sequence;
const TIMES = 5;
/** Every process that is started takes long on a busy machine. */
const TIMEOUT = { timeout: 240_000 };

/** The phases of a save in their order, and what is there when it ends in that phase. */
const phases: readonly [step: SaveStep, left: "old" | "new"][] = [
  ["lock-created", "old"],
  ["locked", "old"],
  ["compared", "old"],
  ["temporary-created", "old"],
  ["temporary-written", "old"],
  ["temporary-synced", "old"],
  ["renamed", "new"],
  ["unlocked", "new"],
  ["directory-synced", "new"],
];

const folders: string[] = [];

afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

async function keyringFile(): Promise<{ folder: string; path: string }> {
  const folder = await mkdtemp(join(tmpdir(), "keyfold-crash-"));
  folders.push(folder);
  const path = join(folder, "keyring.json");
  await writeFile(path, vectorText);
  return { folder, path };
}

/** Runs a process that is killed at that step of its save. */
async function killedAt(path: string, step: SaveStep): Promise<void> {
  const [outcome] = await Promise.allSettled([promisify(execFile)(process.execPath, [child, path, step])]);
  expect(outcome, `the process that was to be killed at ${step}`).toMatchObject({
    status: "rejected",
    reason: { signal: "SIGKILL" },
  });
}

function repeated(body: () => Promise<void>): Promise<unknown> {
  return Promise.all(Array.from({ length: TIMES }, body));
}

/** What is there; anything else than a whole keyring, old or new, throws. */
async function whatIsLeft(path: string): Promise<"old" | "new"> {
  const { document } = await readDocument(fileKeyringStore(path));
  expect([FIRST, FIRST + 1]).toContain(document.sequence);
  return document.sequence === FIRST ? "old" : "new";
}

/** The next save goes through at the first try, and leaves nothing beside the keyring. */
async function expectUsable(folder: string, path: string, lease: number): Promise<void> {
  const store = fileKeyringStoreWith(path, { lease, fence: 5_000 });
  const { document } = await readDocument(store);
  expect(await changeOnce(store)).toBe(0);
  expect((await readDocument(store)).document.sequence).toBe(document.sequence + 1);
  expect(await readdir(folder)).toEqual(["keyring.json"]);
}

describe("killed while saving", () => {
  test.each(phases)(`at "%s", ${TIMES} times, it leaves the %s keyring`, TIMEOUT, async (step, left) => {
    const histogram = { old: 0, new: 0 };
    await repeated(async () => {
      const { folder, path } = await keyringFile();
      await killedAt(path, step);
      histogram[await whatIsLeft(path)]++;
      // Only a lock without its holder's name takes a lease: all others are seen to be left behind.
      await expectUsable(folder, path, step === "lock-created" ? 200 : 600_000);
    });
    expect(histogram).toEqual({ old: 0, new: 0, [left]: TIMES });
  });

  test.each<SaveStep>(["breaking", "broken"])(
    `at "%s", while it removes a lock that another left behind, ${TIMES} times`,
    TIMEOUT,
    async (step) => {
      await repeated(async () => {
        const { folder, path } = await keyringFile();
        await killedAt(path, "temporary-written");
        expect((await readdir(folder)).length).toBe(3);
        await killedAt(path, step);
        expect(await readdir(folder)).toContain("keyring.json.lock.break");
        expect(await whatIsLeft(path)).toBe("old");
        await changeOnce(fileKeyringStoreWith(path, { lease: 600_000 }));
        // What is left of the second lock, if anything, ends with the next one that has to be removed.
        await killedAt(path, "locked");
        await expectUsable(folder, path, 600_000);
      });
    },
  );

  test("at a random moment of many saves, 15 times", TIMEOUT, async () => {
    const { folder, path } = await keyringFile();
    const store = fileKeyringStoreWith(path, { lease: 200, fence: 5_000 });
    let last = FIRST;
    for (let i = 0; i < 15; i++) {
      const saver = spawn(process.execPath, [child, path, "", "1000000"], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const ended = once(saver, "exit");
      await once(saver.stdout, "data");
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 30));
      saver.kill("SIGKILL");
      await ended;
      const { document } = await readDocument(store);
      expect(document.sequence).toBeGreaterThan(last);
      expect(await changeOnce(store)).toBe(0);
      last = document.sequence + 1;
    }
    expect((await readDocument(store)).document.sequence).toBe(last);
    expect(await readdir(folder)).toEqual(["keyring.json"]);
  });
});

test("eight processes that change one file, while others are killed, lose no change", TIMEOUT, async () => {
  const { folder, path } = await keyringFile();
  const [writers, changes] = [8, 10];
  const writing = Array.from({ length: writers }, () =>
    promisify(execFile)(process.execPath, [child, path, "", String(changes)]),
  );
  const kills = 10;
  for (let i = 0; i < kills; i++) await killedAt(path, i % 2 === 0 ? "temporary-written" : "locked");
  const reports = await Promise.all(writing);
  const conflicts = reports.map(({ stdout }) => Number(/(\d+) conflicts\n$/.exec(stdout)?.[1]));
  const { document } = await readDocument(fileKeyringStore(path));
  expect(document.sequence).toBe(FIRST + writers * changes);
  expect(conflicts.reduce((sum, each) => sum + each, 0)).toBeGreaterThan(0);
  await expectUsable(folder, path, 600_000);
});
