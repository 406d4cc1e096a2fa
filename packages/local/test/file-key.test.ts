/** A key file on the disk: which ones are read, and which are refused with what advice. */

import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { refusalOf, rejectionOf } from "../../../test/support/refusal.ts";
import { type LocalKeyFileOptions, localKeyFile } from "../src/file-key.ts";
import { MAX_KEY_FILE_BYTES } from "../src/key-file.ts";
import { entryOf, hex, keyFileOf, operation, secret, temporaryDirectory } from "./support/material.ts";

const first = entryOf(1);
const source = new URL("../src/key-file-read.ts", import.meta.url);
const onWindows = process.platform === "win32";

describe("the first key wraps and every key unwraps", () => {
  test("of a file with two", async () => {
    const both = localKeyFile(fileWith(keyFileOf(1, 2)));
    const alone = localKeyFile(fileWith(keyFileOf(2)));
    expect((await both.wrapKey(secret, operation())).masterKey).toBe(first.masterKey);
    const wrapped = await alone.wrapKey(secret, operation());
    expect(wrapped.masterKey).toBe(entryOf(2).masterKey);
    expect(wrapped.ciphertext).toHaveLength(61);
    expect(hex(await both.unwrapKey(wrapped, operation()))).toBe(hex(secret));
  });

  test("and wrapping twice gives two wraps", async () => {
    const provider = localKeyFile(fileWith(keyFileOf(1)));
    const [one, other] = [
      await provider.wrapKey(secret, operation()),
      await provider.wrapKey(secret, operation()),
    ];
    expect(hex(one.ciphertext)).not.toBe(hex(other.ciphertext));
    expect(hex(await provider.unwrapKey(one, operation()))).toBe(hex(secret));
    expect(hex(await provider.unwrapKey(other, operation()))).toBe(hex(secret));
  });

  test("and a wrap under a key that is not in it is refused", async () => {
    const alone = localKeyFile(fileWith(keyFileOf(1)));
    const wrapped = await localKeyFile(fileWith(keyFileOf(2))).wrapKey(secret, operation());
    expect(alone.recognizes(wrapped.masterKey)).toBe(false);
    expect((await rejectionOf(alone.unwrapKey(wrapped, operation()))).code).toBe("ERR_MASTER_KEY_REJECTED");
  });
});

describe("a key file is read", () => {
  test.skipIf(onWindows).each([
    [0o600, false],
    [0o400, false],
    [0o700, false],
    [0o600, true],
    [0o640, true],
    [0o440, true],
  ])("of mode %o, with allowGroupRead %s", async (mode, allowGroupRead) => {
    expect(await use(fileWith(keyFileOf(1), mode), { allowGroupRead })).toBe(first.masterKey);
  });

  test("through symbolic links, as a Kubernetes volume has them", async () => {
    const path = fileWith(keyFileOf(1));
    symlinkSync(dirname(path), join(dirname(path), "..data"));
    const link = join(dirname(path), "link");
    symlinkSync(join("..data", basename(path)), link);
    expect(await use(link)).toBe(first.masterKey);
  });

  test("of 1 MiB exactly", async () => {
    const bytes = new Uint8Array(MAX_KEY_FILE_BYTES).fill(0x20);
    bytes.set(keyFileOf(1));
    expect(await use(fileWith(bytes))).toBe(first.masterKey);
  });

  test("at a path relative to the working directory at the time of the call", async () => {
    const inWorkingDirectory = mkdtempSync(".key-file-");
    onTestFinished(() => rmSync(inWorkingDirectory, { recursive: true, force: true }));
    writeFileSync(join(inWorkingDirectory, "master.key"), keyFileOf(1), { mode: 0o600 });
    const provider = localKeyFile(`./${inWorkingDirectory}/master.key`);
    expect(provider.name).toBe(`file:./${inWorkingDirectory}/master.key`);
    expect((await provider.wrapKey(secret, operation())).masterKey).toBe(first.masterKey);
  });

  test("not before it is needed, and then, once it was mended, without a new provider", async () => {
    const path = join(temporaryDirectory(), "late.key");
    const provider = localKeyFile(path);
    expect((await rejectionOf(provider.wrapKey(secret, operation()))).code).toBe("ERR_KEY_FILE");
    writeFileSync(path, keyFileOf(1), { mode: 0o600 });
    expect((await provider.wrapKey(secret, operation())).masterKey).toBe(first.masterKey);
  });

  test("and stays in use when it is gone", async () => {
    const path = fileWith(keyFileOf(1));
    const provider = localKeyFile(path);
    const wrapped = await provider.wrapKey(secret, operation());
    rmSync(path);
    expect(hex(await provider.unwrapKey(wrapped, operation()))).toBe(hex(secret));
  });
});

describe("a key file is refused", () => {
  test.skipIf(onWindows).each([
    [0o644, false, "chmod 600 PATH`."],
    [0o640, false, "chmod 600 PATH`, or pass allowGroupRead: true where the whole group may have the keys."],
    [0o660, false, "chmod 600 PATH`."],
    [0o604, false, "chmod 600 PATH`."],
    [0o601, false, "chmod 600 PATH`."],
    [0o620, true, "chmod 640 PATH`."],
    [0o650, true, "chmod 640 PATH`."],
    [0o644, true, "chmod 640 PATH`."],
    [0o666, true, "chmod 640 PATH`."],
  ])("of mode %o, with allowGroupRead %s", async (mode, allowGroupRead, mend) => {
    const path = fileWith(keyFileOf(1), mode);
    const octal = mode.toString(8).padStart(4, "0");
    expect(await refused(path, { allowGroupRead })).toBe(
      `Others can access the key file ${path} (mode ${octal}). Run \`${mend.replace("PATH", path)}`,
    );
  });

  test.skipIf(onWindows)("behind a symbolic link too", async () => {
    const path = fileWith(keyFileOf(1), 0o644);
    const link = join(dirname(path), "link");
    symlinkSync(path, link);
    expect(await refused(link)).toContain(`Run \`chmod 600 ${link}\`.`);
  });

  test.skipIf(onWindows)("with advice that a shell reads rightly", async () => {
    const path = join(temporaryDirectory(), "it's $(mine).key");
    writeFileSync(path, keyFileOf(1));
    chmodSync(path, 0o644);
    const command = /`(chmod.*)`/.exec(await refused(path))?.[1] ?? "false";
    expect(spawnSync("sh", ["-c", command]).status).toBe(0);
    expect(await use(path)).toBe(first.masterKey);
  });

  test("that is missing", async () => {
    const path = join(temporaryDirectory(), "missing.key");
    const refusal = await refusalIn(path);
    expect(refusal.message).toBe(
      `There is no key file ${path}. Correct the path, or make the file with createLocalKeyFile.`,
    );
    expect(refusal.cause).toMatchObject({ code: "ENOENT" });
  });

  test("behind a link to nowhere", async () => {
    const link = join(temporaryDirectory(), "link");
    symlinkSync("nowhere", link);
    expect(await refused(link)).toContain(`There is no key file ${link}.`);
  });

  test.skipIf(onWindows)("behind a link to itself", async () => {
    const link = join(temporaryDirectory(), "link");
    symlinkSync("link", link);
    expect(await refused(link)).toBe(
      `The key file ${link} cannot be read (ELOOP). Put a readable regular file there.`,
    );
  });

  test.skipIf(onWindows)("that is a directory", async () => {
    const path = join(temporaryDirectory(), "directory");
    mkdirSync(path, { mode: 0o700 });
    expect(await refused(path)).toBe(`The key file ${path} is no regular file. Put a regular file there.`);
  });

  test.skipIf(onWindows)("that is a FIFO, and nobody waits for its writer", () => {
    const path = join(temporaryDirectory(), "fifo");
    expect(spawnSync("mkfifo", ["-m", "600", path]).status).toBe(0);
    // In a process of its own: one that waits can only be killed.
    const program = `
      const { readKeyFile } = await import(${JSON.stringify(source.href)});
      try { readKeyFile(${JSON.stringify(path)}, false); } catch ({ code, message }) { console.log(code, message); }
    `;
    const args = ["--input-type=module", "--eval", program];
    const { stdout } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 30_000 });
    expect(stdout).toBe(`ERR_KEY_FILE The key file ${path} is no regular file. Put a regular file there.\n`);
  });

  test("of over 1 MiB", async () => {
    const bytes = new Uint8Array(MAX_KEY_FILE_BYTES + 1).fill(0x20);
    bytes.set(keyFileOf(1));
    const path = fileWith(bytes);
    expect(await refused(path)).toBe(
      `The key file ${path} is over 1 MiB, so it is no key file. Correct the path.`,
    );
  });

  test("that is malformed, without showing a byte of it", async () => {
    const path = fileWith(Uint8Array.of(...keyFileOf(1), 0x7d));
    expect(await refused(path)).toBe(
      `The key file ${path} is malformed: it is not JSON in UTF-8. Correct it, or restore it from a copy.`,
    );
  });

  test("for every local URI while it cannot be read, since it may hold the key", async () => {
    const provider = localKeyFile(join(temporaryDirectory(), "missing.key"));
    expect(provider.recognizes(first.masterKey)).toBe(true);
    expect(provider.recognizes("passphrase:")).toBe(false);
    const wrapped = { masterKey: first.masterKey, ciphertext: new Uint8Array(61) };
    expect((await rejectionOf(provider.unwrapKey(wrapped, operation()))).code).toBe("ERR_KEY_FILE");
  });
});

describe("localKeyFile refuses at once", () => {
  test.each([[""], [undefined], [7], ["a\0b"]])("the path %j", (path) => {
    // @ts-expect-error Some are no strings.
    expect(refusalOf(() => localKeyFile(path)).code).toBe("ERR_INVALID_ARGUMENT");
  });

  test.each([[null], [true], [{ allowGroupRead: "yes" }], [{ allowGroupread: true }]])(
    "the options %j",
    (options) => {
      // @ts-expect-error None is what the type asks for.
      expect(refusalOf(() => localKeyFile("master.key", options)).code).toBe("ERR_INVALID_ARGUMENT");
    },
  );

  test("an option that it does not have, and says which it has", () => {
    // @ts-expect-error Misspelt.
    const { message } = refusalOf(() => localKeyFile("master.key", { allowGroupread: true }));
    expect(message).toContain('localKeyFile has no option "allowGroupread". Its options: allowGroupRead.');
  });
});

test("a replaced file is read when a key is met that was not in it", async () => {
  const path = fileWith(keyFileOf(1));
  const provider = localKeyFile(path);
  renameSync(fileWith(keyFileOf(2, 1)), path);
  const wrapped = await localKeyFile(path).wrapKey(secret, operation());
  expect(wrapped.masterKey).toBe(entryOf(2).masterKey);
  expect(provider.recognizes(wrapped.masterKey)).toBe(true);
  expect(hex(await provider.unwrapKey(wrapped, operation()))).toBe(hex(secret));
});

function fileWith(bytes: Uint8Array, mode = 0o600): string {
  const path = join(temporaryDirectory(), "master.key");
  writeFileSync(path, bytes);
  chmodSync(path, mode);
  return path;
}

/** The URI of the key that wraps. */
async function use(path: string, options?: LocalKeyFileOptions): Promise<string> {
  return (await localKeyFile(path, options).wrapKey(secret, operation())).masterKey;
}

async function refusalIn(path: string, options?: LocalKeyFileOptions) {
  const refusal = await rejectionOf(use(path, options));
  expect(refusal.code).toBe("ERR_KEY_FILE");
  return refusal;
}

async function refused(path: string, options?: LocalKeyFileOptions): Promise<string> {
  return (await refusalIn(path, options)).message;
}
