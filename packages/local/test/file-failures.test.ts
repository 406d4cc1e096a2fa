/** What the file system does to a key file, and what is said of it and left behind. */

import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { refusalOf, rejectionOf } from "../../../test/support/refusal.ts";
import { readKeyFile, unreadable } from "../src/key-file-read.ts";
import { createLocalKeyFile, rotateLocalKeyFile } from "../src/key-file-write.ts";
import { localKey } from "../src/wrap.ts";
import { keyFileOf, temporaryDirectory } from "./support/material.ts";

test.each([
  ["EACCES", "Run `chown USER /etc/master.key` with the user that the process runs as."],
  ["EPERM", "Run `chown USER /etc/master.key` with the user that the process runs as."],
  ["EIO", "The key file /etc/master.key cannot be read (EIO). Put a readable regular file there."],
])("%s is said with its mend", (code, mend) => {
  const cause = Object.assign(new Error(code), { code, syscall: "open" });
  const refusal = refusalOf(() => {
    throw unreadable("/etc/master.key", cause);
  });
  expect(refusal.code).toBe("ERR_KEY_FILE");
  expect(refusal.message).toContain(mend);
  expect(refusal.cause).toBe(cause);
});

test.runIf(process.platform === "linux")("a file that holds more than its size says is refused", () => {
  // Mode 0400, size 0, and yet full: it stands for a file that grows while it is read.
  const refusal = refusalOf(() => readKeyFile("/proc/self/auxv", false));
  expect(refusal.code).toBe("ERR_KEY_FILE");
  expect(refusal.message).toContain("changed while it was read");
});

test.each([
  ["ENOTDIR", "file/master.key"],
  ["ENAMETOOLONG", "n".repeat(255)],
])("%s when a file is made is ERR_IO, and leaves nothing behind", async (code, name) => {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, "file"), "");
  const refusal = await rejectionOf(createLocalKeyFile(join(directory, name)));
  expect(refusal.code).toBe("ERR_IO");
  expect(refusal.cause).toMatchObject({ code });
  expect(readdirSync(directory)).toEqual(["file"]);
});

test("a lock that cannot be made is ERR_IO, and the file stays as it was", async () => {
  const directory = temporaryDirectory();
  // As long as a name may be, so that the name of its lock is too long.
  const path = join(directory, "n".repeat(255));
  writeFileSync(path, keyFileOf(1), { mode: 0o600 });
  const refusal = await rejectionOf(rotateLocalKeyFile(path));
  expect(refusal.code).toBe("ERR_IO");
  expect(refusal.cause).toMatchObject({ code: "ENAMETOOLONG" });
  expect(readdirSync(directory)).toEqual(["n".repeat(255)]);
  expect(readKeyFile(path, false).entries).toHaveLength(1);
});

test("bytes that become a key are wiped, and the key is theirs", () => {
  const bytes = new Uint8Array(32).fill(5);
  const { key } = localKey(bytes);
  expect(bytes).toEqual(new Uint8Array(32));
  expect(key.export().every((byte) => byte === 5)).toBe(true);
});
