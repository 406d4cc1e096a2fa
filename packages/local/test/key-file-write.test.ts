/** Making and rotating key files: whole or not at all, and no key is ever lost. */

import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { rejectionOf } from "../../../test/support/refusal.ts";
import { localKeyFile } from "../src/file-key.ts";
import { formatKeyFile, MAX_KEY_FILE_BYTES, newEntry, parseKeyFile } from "../src/key-file.ts";
import { createLocalKeyFile, rotateLocalKeyFile } from "../src/key-file-write.ts";
import { hex, keyFileOf, operation, secret, temporaryDirectory } from "./support/material.ts";

const onWindows = process.platform === "win32";
const URI = /^local:[0-9a-f]{32}$/;

describe("createLocalKeyFile", () => {
  test("makes a file of one key, which wraps, and returns its URI", async () => {
    const path = newPath();
    const uri = await createLocalKeyFile(path);
    expect(uri).toMatch(URI);
    expect(urisOf(path)).toEqual([uri]);
    expect((await localKeyFile(path).wrapKey(secret, operation())).masterKey).toBe(uri);
  });

  test.skipIf(onWindows).each([0o000, 0o277])("makes it for its owner alone, with umask %o", async (mask) => {
    const path = newPath();
    const before = process.umask(mask);
    onTestFinished(() => void process.umask(before));
    await createLocalKeyFile(path);
    expect(modeOf(path)).toBe(0o600);
  });

  test("leaves nothing else behind", async () => {
    const path = newPath();
    await createLocalKeyFile(path);
    expect(readdirSync(dirname(path))).toEqual(["master.key"]);
  });

  test.each([
    ["a file", (path: string) => writeFileSync(path, "mine")],
    ["an empty file", (path: string) => writeFileSync(path, "")],
    ["a directory", (path: string) => mkdirSync(path)],
    ["a link to nowhere", (path: string) => symlinkSync("nowhere", path)],
  ])("refuses to overwrite %s, and leaves nothing behind", async (_, make) => {
    const path = newPath();
    make(path);
    const before = lstatSync(path);
    const refusal = await rejectionOf(createLocalKeyFile(path));
    expect(refusal.code).toBe("ERR_KEY_FILE");
    expect(refusal.message).toBe(
      `There is a file at ${path} already, and createLocalKeyFile refuses to overwrite one. Choose another path, or give the file a new key with rotateLocalKeyFile.`,
    );
    expect(readdirSync(dirname(path))).toEqual(["master.key"]);
    const { ino, size, mode } = lstatSync(path);
    expect({ ino, size, mode }).toEqual({ ino: before.ino, size: before.size, mode: before.mode });
  });

  test("makes one file when it is called many times at once", async () => {
    const path = newPath();
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => createLocalKeyFile(path)));
    const made = outcomes.filter(({ status }) => status === "fulfilled");
    expect(made).toHaveLength(1);
    expect(urisOf(path)).toEqual(made.map((outcome) => "value" in outcome && outcome.value));
    for (const code of codesOf(outcomes)) expect(code).toBe("ERR_KEY_FILE");
    expect(readdirSync(dirname(path))).toEqual(["master.key"]);
  });

  test("needs the directory", async () => {
    const directory = temporaryDirectory();
    const path = join(directory, "missing", "master.key");
    const refusal = await rejectionOf(createLocalKeyFile(path));
    expect(refusal.code).toBe("ERR_IO");
    expect(refusal.message).toContain(`The key file ${path} cannot be written.`);
    expect(refusal.cause).toMatchObject({ code: "ENOENT" });
    expect(readdirSync(directory)).toEqual([]);
  });

  test.each([[""], [undefined], ["a\0b"]])("rejects the path %j", async (path) => {
    // @ts-expect-error Some are no strings.
    expect((await rejectionOf(createLocalKeyFile(path))).code).toBe("ERR_INVALID_ARGUMENT");
  });
});

describe("rotateLocalKeyFile", () => {
  test("puts a new key first, and what was wrapped still opens", async () => {
    const path = newPath();
    const old = await createLocalKeyFile(path);
    const wrapped = await localKeyFile(path).wrapKey(secret, operation());
    const uri = await rotateLocalKeyFile(path);
    expect(uri).toMatch(URI);
    expect(urisOf(path)).toEqual([uri, old]);
    const after = localKeyFile(path);
    expect((await after.wrapKey(secret, operation())).masterKey).toBe(uri);
    expect(hex(await after.unwrapKey(wrapped, operation()))).toBe(hex(secret));
  });

  test("leaves the old keys as they were, and nothing beside the file", async () => {
    const path = fileWith(keyFileOf(1, 2));
    await rotateLocalKeyFile(path);
    const [, ...rest] = parseKeyFile(readFileSync(path), path);
    expect(hex(formatKeyFile(rest))).toBe(hex(keyFileOf(1, 2)));
    expect(readdirSync(dirname(path))).toEqual(["master.key"]);
  });

  test.skipIf(onWindows).each([0o600, 0o400, 0o640, 0o440])("keeps mode %o", async (mode) => {
    const path = fileWith(keyFileOf(1), mode);
    await rotateLocalKeyFile(path);
    expect(modeOf(path)).toBe(mode);
    expect(urisOf(path)).toHaveLength(2);
  });

  test.skipIf(onWindows || process.getuid?.() !== 0)("keeps owner and group (as root)", async () => {
    const path = fileWith(keyFileOf(1), 0o640);
    chownSync(path, 1234, 4321);
    await rotateLocalKeyFile(path);
    const { uid, gid } = statSync(path);
    expect({ uid, gid }).toEqual({ uid: 1234, gid: 4321 });
  });

  test("keeps a symbolic link, and rotates what it leads to", async () => {
    const path = fileWith(keyFileOf(1));
    const link = join(temporaryDirectory(), "link.key");
    symlinkSync(path, link);
    const uri = await rotateLocalKeyFile(link);
    expect(readlinkSync(link)).toBe(path);
    expect(lstatSync(path).isFile()).toBe(true);
    expect(urisOf(path)[0]).toBe(uri);
    expect(readdirSync(dirname(link))).toEqual(["link.key"]);
  });

  test("is refused while there is a lock, which it names and leaves alone", async () => {
    const path = fileWith(keyFileOf(1));
    writeFileSync(`${path}.lock`, "another's");
    const refusal = await rejectionOf(rotateLocalKeyFile(path));
    expect(refusal.code).toBe("ERR_KEY_FILE");
    expect(refusal.message).toBe(
      `Another rotation of the key file ${path} is running or was interrupted. Delete ${path}.lock if none is running.`,
    );
    expect(readFileSync(`${path}.lock`, "utf8")).toBe("another's");
    expect(hex(readFileSync(path))).toBe(hex(keyFileOf(1)));
  });

  test("loses no key that reported success, of twenty at once", async () => {
    const path = newPath();
    const old = await createLocalKeyFile(path);
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => rotateLocalKeyFile(path)));
    const reported = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
    expect(reported.length).toBeGreaterThan(0);
    expect(urisOf(path).toSorted()).toEqual([old, ...reported].toSorted());
    expect(urisOf(path).at(-1)).toBe(old);
    for (const code of codesOf(outcomes)) expect(code).toBe("ERR_KEY_FILE");
    expect(existsSync(`${path}.lock`)).toBe(false);
  });

  test("loses none either when each is tried until it succeeds", async () => {
    const path = newPath();
    const old = await createLocalKeyFile(path);
    const uris = await Promise.all(Array.from({ length: 20 }, () => rotateUntilDone(path)));
    expect(urisOf(path).toSorted()).toEqual([old, ...uris].toSorted());
    expect(readdirSync(dirname(path))).toEqual(["master.key"]);
  });

  test("is refused where there is no file", async () => {
    const path = newPath();
    const refusal = await rejectionOf(rotateLocalKeyFile(path));
    expect(refusal.code).toBe("ERR_KEY_FILE");
    expect(refusal.message).toBe(
      `There is no key file ${path}. Correct the path, or make the file with createLocalKeyFile.`,
    );
    expect(readdirSync(dirname(path))).toEqual([]);
  });

  const refused: readonly (readonly [what: string, bytes: Uint8Array, mode: number, mend: string])[] = [
    ["malformed", new TextEncoder().encode("{}"), 0o600, "Correct it, or restore it from a copy."],
    ...(onWindows ? [] : [["open to others", keyFileOf(1), 0o644, "Run `chmod 640 "] as const]),
  ];
  test.each(refused)("refuses a file that is %s, and leaves it as it is", async (_, bytes, mode, mend) => {
    const path = fileWith(bytes, mode);
    const refusal = await rejectionOf(rotateLocalKeyFile(path));
    expect(refusal.code).toBe("ERR_KEY_FILE");
    expect(refusal.message).toContain(mend);
    expect(hex(readFileSync(path))).toBe(hex(bytes));
    expect(readdirSync(dirname(path))).toEqual(["master.key"]);
  });

  test("refuses to make a file that is too long to be read", async () => {
    const bytes = longestKeyFile();
    const path = fileWith(bytes);
    const refusal = await rejectionOf(rotateLocalKeyFile(path));
    expect(refusal.code).toBe("ERR_KEY_FILE");
    expect(refusal.message).toContain(`With another key the key file ${path} would be over 1 MiB.`);
    expect(refusal.message).toContain("Delete the oldest keys from its end");
    expect(Buffer.compare(readFileSync(path), bytes)).toBe(0);
    expect(readdirSync(dirname(path))).toEqual(["master.key"]);
  });

  test.each([[""], [undefined], ["a\0b"]])("rejects the path %j", async (path) => {
    // @ts-expect-error Some are no strings.
    expect((await rejectionOf(rotateLocalKeyFile(path))).code).toBe("ERR_INVALID_ARGUMENT");
  });
});

async function rotateUntilDone(path: string): Promise<string> {
  for (;;) {
    const outcome = await rotateLocalKeyFile(path).catch((error: unknown) => error);
    if (typeof outcome === "string") return outcome;
    expect(outcome).toMatchObject({ code: "ERR_KEY_FILE", message: expect.stringContaining(".lock") });
  }
}

/** As many keys as fit. */
function longestKeyFile(): Uint8Array {
  const one = formatKeyFile([newEntry()]).length;
  const each = formatKeyFile([newEntry(), newEntry()]).length - one;
  const count = 1 + Math.floor((MAX_KEY_FILE_BYTES - one) / each);
  return formatKeyFile(Array.from({ length: count }, newEntry));
}

function newPath(): string {
  return join(temporaryDirectory(), "master.key");
}

function fileWith(bytes: Uint8Array, mode = 0o600): string {
  const path = newPath();
  writeFileSync(path, bytes);
  chmodSync(path, mode);
  return path;
}

function urisOf(path: string): string[] {
  return parseKeyFile(readFileSync(path), path).map(({ masterKey }) => masterKey);
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}

function codesOf(outcomes: readonly PromiseSettledResult<unknown>[]): unknown[] {
  return outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason.code] : []));
}
