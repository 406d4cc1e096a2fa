/** Whole files: the target is the old file or the new one, whole, whatever happens. */

import { execFile, execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { chmod, chown, open, readlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";
import { type FileStep, openFileWith, rewrapFileWith, sealFileWith } from "../src/files.ts";
import type { Keyfold } from "../src/index.ts";
import { fileSource, openFile, rewrapFile, sealFile } from "../src/node.ts";
import { context, keyfoldWith, rejection } from "./support/behaviour.ts";
import { hex } from "./support/hex.ts";
import { MemoryKms } from "./support/memory-kms.ts";
import { sha256 } from "./support/vectors.ts";

const TIMES = 6;
const steps: readonly FileStep[] = [
  "begun",
  "created",
  "writing",
  "written",
  "synced",
  "renamed",
  "directory-synced",
];
const TEMPORARY = /^\.keyfold-[0-9a-f]{32}\.tmp$/;
const isWindows = process.platform === "win32";

const base = mkdtempSync(join(tmpdir(), "keyfold-files-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

let folders = 0;
/** A folder of its own with these files in it, and how to get at them. */
function folderWith(files: Readonly<Record<string, Uint8Array | string>>) {
  const folder = join(base, `${folders++}`);
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return {
    path: (name: string) => join(folder, name),
    read: (name: string) => new Uint8Array(readFileSync(join(folder, name))),
    mode: (name: string) => statSync(join(folder, name)).mode & 0o7777,
    names: () => readdirSync(folder).sort(),
  };
}

function plaintextOfLength(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
}

/** Opens with any of these master keys, and seals under the last. */
async function opens(sealed: Uint8Array, ...masterKeys: readonly MemoryKms[]): Promise<string> {
  return sha256(await keyfoldWith({ masterKeys }).open(sealed, context));
}

describe("sealFile and openFile", () => {
  test.each([0, 1, 16_383, 16_384, 262_144, 1_000_000])("a file of %d bytes and back", async (size) => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const plaintext = plaintextOfLength(size);
    const { path, read, names } = folderWith({ plain: plaintext });
    await sealFile(keyfold, path("plain"), path("sealed"), context);
    expect(sha256(await keyfold.open(read("sealed"), context))).toBe(sha256(plaintext));
    await openFile(keyfold, path("sealed"), path("opened"), context);
    expect(sha256(read("opened"))).toBe(sha256(plaintext));
    expect(sha256(read("plain"))).toBe(sha256(plaintext));
    expect(names()).toEqual(["opened", "plain", "sealed"]);
  });

  test("in place", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const plaintext = plaintextOfLength(500_000);
    const { path, read, names } = folderWith({ file: plaintext });
    await sealFile(keyfold, path("file"), path("file"), context);
    expect(sha256(await keyfold.open(read("file"), context))).toBe(sha256(plaintext));
    await openFile(keyfold, path("file"), path("file"), context);
    expect([sha256(read("file")), names()]).toEqual([sha256(plaintext), ["file"]]);
  });

  test("openFile leaves the target alone unless the whole file authenticates", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const sealed = await keyfold.seal(plaintextOfLength(200_000), context);
    const altered = sealed.with(sealed.length - 20, (sealed.at(-20) ?? 0) ^ 1);
    const cases = [
      [altered, context, "ERR_MESSAGE_ALTERED"],
      [sealed.subarray(0, -1_000), context, "ERR_MESSAGE_ALTERED"],
      [sealed.subarray(0, -3_408), context, "ERR_MESSAGE_TRUNCATED"],
      [sealed, { name: "other" }, "ERR_CONTEXT_MISMATCH"],
      ["no envelope", context, "ERR_NOT_AN_ENVELOPE"],
      ["", context, "ERR_NOT_AN_ENVELOPE"],
    ] as const;
    for (const [content, inContext, code] of cases) {
      const { path, read, names } = folderWith({ sealed: content, there: "as it was" });
      for (const target of ["there", "sealed", "new"]) {
        const opening = openFile(keyfold, path("sealed"), path(target), inContext);
        expect((await rejection(opening)).code).toBe(code);
      }
      expect(Buffer.from(read("there")).toString()).toBe("as it was");
      expect(sha256(read("sealed"))).toBe(sha256(Buffer.from(content)));
      expect(names()).toEqual(["sealed", "there"]);
    }
  });

  test.skipIf(isWindows)(
    "modes: what is there keeps its own, and a plaintext is its owner's alone",
    async () => {
      const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
      const { path, mode } = folderWith({ plain: "secret", there: "" });
      await chmod(path("there"), 0o640);
      await sealFile(keyfold, path("plain"), path("there"), context);
      await sealFile(keyfold, path("plain"), path("new"), context);
      expect([mode("there"), mode("new")]).toEqual([0o640, 0o666 & ~process.umask()]);
      await rewrapFile(keyfold, path("there"));
      expect(mode("there")).toBe(0o640);
      await chmod(path("plain"), 0o644);
      await openFile(keyfold, path("there"), path("plain"), context);
      await openFile(keyfold, path("there"), path("opened"), context);
      expect([mode("plain"), mode("opened")]).toEqual([0o600, 0o600]);
    },
  );

  test.skipIf(process.getuid?.() !== 0)("owners: what is there keeps its own", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const { path } = folderWith({ plain: "secret", there: "" });
    const [uid, gid] = [12_345, 23_456];
    await chown(path("there"), uid, gid);
    await chmod(path("there"), 0o4640);
    await sealFile(keyfold, path("plain"), path("there"), context);
    expect(statSync(path("there"))).toMatchObject({ uid, gid, mode: 0o104640 });
    await rewrapFile(keyfold, path("there"));
    expect(statSync(path("there"))).toMatchObject({ uid, gid, mode: 0o104640 });
  });

  test.skipIf(isWindows)("a temporary plaintext is its owner's alone from the beginning", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const sealed = await keyfold.seal(plaintextOfLength(500_000), context);
    const { path, names, mode } = folderWith({ sealed });
    const seen: number[] = [];
    const look = () => {
      for (const name of names()) if (TEMPORARY.test(name)) seen.push(mode(name));
    };
    await openFileWith(look, keyfold, path("sealed"), path("opened"), context);
    expect([...new Set(seen)]).toEqual([0o600]);
    expect(seen.length).toBeGreaterThan(4);
  });

  test.skipIf(isWindows)("replace what a symbolic link leads to, and the link stays", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const { path, read } = folderWith({ plain: "secret", real: "" });
    symlinkSync("real", path("link"));
    await sealFile(keyfold, path("plain"), path("link"), context);
    await rewrapFile(keyfold, path("link"));
    expect(await keyfold.openText(read("real"), context)).toBe("secret");
    expect(await readlink(path("link"))).toBe("real");
  });

  test.skipIf(isWindows)("sealFile reads a FIFO to its end", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const { path, read } = folderWith({});
    execFileSync("mkfifo", [path("fifo")]);
    const sealing = sealFile(keyfold, path("fifo"), path("sealed"), context);
    const writing = await open(path("fifo"), "w");
    await writing.writeFile(plaintextOfLength(200_000));
    await writing.close();
    await sealing;
    expect(sha256(await keyfold.open(read("sealed"), context))).toBe(sha256(plaintextOfLength(200_000)));
  });
});

describe("rewrapFile", () => {
  test("gives the file another header, and its message as it was", async () => {
    const [old, next] = [new MemoryKms("memory:old"), new MemoryKms("memory:new")];
    const plaintext = plaintextOfLength(900_000);
    const sealed = await keyfoldWith({ masterKeys: old }).seal(plaintext, context);
    const { path, read, names } = folderWith({ sealed });
    const keyfold = keyfoldWith({ masterKeys: next, openWith: old });
    await rewrapFile(keyfold, path("sealed"));
    const [before, after] = [keyfold.inspect(sealed), keyfold.inspect(read("sealed"))];
    expect(after.masterKeys).toEqual(["memory:new"]);
    expect(sha256(read("sealed").subarray(after.headerBytes))).toBe(
      sha256(sealed.subarray(before.headerBytes)),
    );
    expect(await opens(read("sealed"), next)).toBe(sha256(plaintext));
    expect([names(), keyfold.stats().rewraps]).toEqual([["sealed"], 1]);
  });

  test("takes a header of 64 KiB", async () => {
    const masterKeys = Array.from({ length: 16 }, (_, i) => new MemoryKms(`memory:${i}`));
    for (const kms of masterKeys.slice(1))
      kms.wrapKey = async () => ({ masterKey: kms.uri, ciphertext: new Uint8Array(4_300) });
    const sealed = await keyfoldWith({ masterKeys }).seal("secret", context);
    const { path, read } = folderWith({ sealed });
    const next = new MemoryKms("memory:new");
    await rewrapFile(keyfoldWith({ masterKeys: next, openWith: masterKeys }), path("sealed"));
    expect(await opens(read("sealed"), next)).toBe(sha256(Buffer.from("secret")));
  });

  test("refuses what is no envelope or is cut, and leaves it as it was", async () => {
    const kms = new MemoryKms();
    const keyfold = keyfoldWith({ masterKeys: kms });
    const sealed = await keyfold.seal("secret", context);
    const header = keyfold.inspect(sealed).headerBytes;
    for (const size of [0, 3, 20, 40, header - 1, header, header + 71, -1]) {
      const content =
        size < 0
          ? Buffer.from("no envelope, but long enough for one to be there, and a header")
          : sealed.subarray(0, size);
      const { path, read, names } = folderWith({ file: content });
      const { code } = await rejection(keyfold.rewrap(content));
      expect((await rejection(rewrapFile(keyfold, path("file")))).code).toBe(code);
      expect([names(), sha256(read("file"))]).toEqual([["file"], sha256(content)]);
    }
    kms.failing = "ERR_MASTER_KEY_DENIED";
    const { path, read, names } = folderWith({ file: sealed });
    const denied = rewrapFile(keyfoldWith({ masterKeys: kms }), path("file"));
    expect((await rejection(denied)).code).toBe("ERR_MASTER_KEY_DENIED");
    expect([names(), sha256(read("file"))]).toEqual([["file"], sha256(sealed)]);
  });
});

type Operation = "sealFile" | "openFile" | "rewrapFile";
const operations: readonly Operation[] = ["sealFile", "openFile", "rewrapFile"];

function run(
  operation: Operation,
  keyfold: Keyfold,
  from: string,
  to: string,
  options?: { signal?: AbortSignal; reached?: (step: FileStep) => void },
): Promise<void> {
  const reached = options?.reached ?? (() => {});
  if (operation === "sealFile") return sealFileWith(reached, keyfold, from, to, context, options);
  if (operation === "openFile") return openFileWith(reached, keyfold, from, to, context, options);
  return rewrapFileWith(reached, keyfold, to, options);
}

describe.each(operations)("%s", (operation) => {
  test("says ERR_IO with the file system's error for what it refuses", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const { path, names } = folderWith({ sealed: await keyfold.seal("secret", context) });
    mkdirSync(path("folder"));
    const missing = await rejection(run(operation, keyfold, path("missing"), path("missing")));
    expect(missing).toMatchObject({ code: "ERR_IO", cause: { code: "ENOENT" } });
    const nowhere = await rejection(run(operation, keyfold, path("sealed"), path("no/folder")));
    expect(nowhere).toMatchObject({ code: "ERR_IO", cause: { code: "ENOENT" } });
    const folder = await rejection(run(operation, keyfold, path("sealed"), path("folder")));
    expect(folder.code).toBe("ERR_IO");
    expect(names()).toEqual(["folder", "sealed"]);
  });

  test.skipIf(isWindows || process.getuid?.() === 0)(
    "leaves a folder alone that it may not write",
    async () => {
      const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
      const sealed = await keyfold.seal("secret", context);
      const { path, names } = folderWith({ sealed });
      await chmod(path(""), 0o500);
      const refused = await rejection(run(operation, keyfold, path("sealed"), path("sealed")));
      await chmod(path(""), 0o700);
      expect(refused).toMatchObject({ code: "ERR_IO", cause: { code: "EACCES" } });
      expect(names()).toEqual(["sealed"]);
    },
  );

  test("ends at its signal, at whatever step, without a trace", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const sealed = await keyfold.seal(plaintextOfLength(300_000), context);
    for (const fatal of steps.slice(0, steps.indexOf("renamed"))) {
      const { path, read, names } = folderWith({ sealed });
      const aborting = new AbortController();
      const reason = new Error("enough");
      const reached = (step: FileStep) => {
        if (step === fatal) aborting.abort(reason);
      };
      const { signal } = aborting;
      const ended = await rejection(
        run(operation, keyfold, path("sealed"), path("sealed"), { signal, reached }),
      );
      expect(ended, fatal).toMatchObject({ code: "ERR_ABORTED", cause: reason });
      expect([names(), sha256(read("sealed"))]).toEqual([["sealed"], sha256(sealed)]);
    }
  });

  test("fails as the disk fails in the middle, without a trace", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const sealed = await keyfold.seal(plaintextOfLength(300_000), context);
    const full = Object.assign(new Error("ENOSPC: no space left on device, write"), {
      code: "ENOSPC",
      syscall: "write",
    });
    for (const fatal of steps.slice(1, steps.indexOf("renamed"))) {
      const { path, read, names } = folderWith({ sealed });
      const reached = (step: FileStep) => {
        if (step === fatal) throw full;
      };
      const failed = await rejection(run(operation, keyfold, path("sealed"), path("sealed"), { reached }));
      expect(failed, fatal).toMatchObject({ code: "ERR_IO", cause: full });
      expect([names(), sha256(read("sealed"))]).toEqual([["sealed"], sha256(sealed)]);
    }
  });

  test("refuses what is no path, and a signal that has aborted", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const { path } = folderWith({ sealed: await keyfold.seal("secret", context) });
    for (const wrong of ["", "a\0b", 5, undefined] as string[]) {
      const refused = await rejection(run(operation, keyfold, path("sealed"), wrong));
      expect(refused.code).toBe("ERR_INVALID_ARGUMENT");
    }
    const signal = AbortSignal.abort();
    const aborted = await rejection(run(operation, keyfold, path("sealed"), path("sealed"), { signal }));
    expect(aborted.code).toBe("ERR_ABORTED");
  });
});

describe("fileSource", () => {
  test("serves ranges of a file, by its path or open", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const plaintext = plaintextOfLength(200_000);
    const { path } = folderWith({ sealed: await keyfold.seal(plaintext, context) });
    const file = await open(path("sealed"));
    for (const from of [path("sealed"), file]) {
      await using source = await fileSource(from);
      expect(await keyfold.plaintextLength(source, context)).toBe(200_000);
      const opened = await keyfold.openRange(source, context, { start: 100_000, end: 150_000 });
      expect(sha256(opened)).toBe(sha256(plaintext.subarray(100_000, 150_000)));
      await source.close();
      await source.close();
    }
    expect((await file.stat()).size, "what was given open stays open").toBeGreaterThan(0);
    await file.close();
  });

  test("says ERR_IO for what is missing, is no file, is closed, or is cut while it is read", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const { path } = folderWith({ sealed: await keyfold.seal(plaintextOfLength(50_000), context) });
    expect(await rejection(fileSource(path("missing")))).toMatchObject({
      code: "ERR_IO",
      cause: { code: "ENOENT" },
    });
    expect((await rejection(fileSource(path("")))).code).toBe("ERR_IO");
    expect((await rejection(fileSource(""))).code).toBe("ERR_INVALID_ARGUMENT");
    const source = await fileSource(path("sealed"));
    writeFileSync(path("sealed"), "");
    expect((await rejection(keyfold.plaintextLength(source, context))).code).toBe("ERR_IO");
    await source.close();
    expect((await rejection(keyfold.plaintextLength(source, context))).code).toBe("ERR_IO");
  });
});

/** What a killed process left under the target's name. */
type Left = "absent" | "the original" | "the finished file";

describe.skipIf(isWindows)(`killed with SIGKILL, ${TIMES} times at each step`, () => {
  const child = fileURLToPath(new URL("./support/child-files.ts", import.meta.url));
  const plaintext = plaintextOfLength(800_000);
  const old = new MemoryKms("memory:old");
  const next = new MemoryKms("memory:new");
  const compiled = folderWith({}).path("");

  function start(operation: Operation, step: string, nth: number, from: string, to: string) {
    const masterKeys = operation === "rewrapFile" ? [next, old] : [old];
    const keys = masterKeys.flatMap(({ uri, key }) => [uri, hex(key)]);
    const env = { ...process.env, NODE_COMPILE_CACHE: compiled };
    const args = [child, operation, step, `${nth}`, from, to, ...keys];
    return promisify(execFile)(process.execPath, args, { env });
  }

  test.each(operations)("%s finishes in that process where nothing kills it", async (operation) => {
    const sealed = await keyfoldWith({ masterKeys: old }).seal(plaintext, context);
    const { path, read } = folderWith({ source: operation === "sealFile" ? plaintext : sealed });
    const { stdout } = await start(operation, "none", 1, path("source"), path("source"));
    expect(stdout).toBe("It was not killed.\n");
    await expectFinished(operation, read("source"));
  });

  /** One run: in place, over a file that is there, or to a new name, in turn. */
  async function killed(operation: Operation, step: FileStep, turn: number): Promise<Left> {
    const sealed = await keyfoldWith({ masterKeys: old }).seal(plaintext, context);
    const source = operation === "sealFile" ? plaintext : sealed;
    const { path, read, names } = folderWith({ source, there: "as it was" });
    const to = operation === "rewrapFile" ? "source" : (["source", "there", "new"][turn % 3] ?? "");
    const before = names().includes(to) ? sha256(read(to)) : undefined;
    const nth = step === "writing" ? 1 + (turn % 3) : 1;
    const [outcome] = await Promise.allSettled([start(operation, step, nth, path("source"), path(to))]);
    expect(outcome).toMatchObject({ status: "rejected", reason: { signal: "SIGKILL" } });

    const others = names().filter((name) => !["source", "there", to].includes(name));
    expect(others.every((name) => TEMPORARY.test(name)) && others.length < 2, others.join()).toBe(true);
    if (to !== "source") expect(sha256(read("source"))).toBe(sha256(source));
    if (!names().includes(to)) return "absent";
    if (sha256(read(to)) === before) return "the original";
    await expectFinished(operation, read(to));
    return "the finished file";
  }

  async function expectFinished(operation: Operation, file: Uint8Array): Promise<void> {
    if (operation === "openFile") expect(sha256(file)).toBe(sha256(plaintext));
    else expect(await opens(file, operation === "rewrapFile" ? next : old)).toBe(sha256(plaintext));
  }

  test.each(operations)(
    "%s leaves the original or the finished file, whole",
    async (operation) => {
      const histogram: Record<string, Partial<Record<Left, number>>> = {};
      for (const step of steps) {
        const found: Partial<Record<Left, number>> = {};
        for (let turn = 0; turn < TIMES; turn++) {
          const left = await killed(operation, step, turn);
          found[left] = (found[left] ?? 0) + 1;
        }
        histogram[step] = found;
      }
      console.log(`${operation}, killed ${TIMES} times at each step, left:`);
      console.table(histogram);
      const before =
        operation === "rewrapFile"
          ? { "the original": TIMES }
          : { absent: TIMES / 3, "the original": (TIMES * 2) / 3 };
      for (const step of steps) {
        const isDone = step === "renamed" || step === "directory-synced";
        expect(histogram[step], step).toEqual(isDone ? { "the finished file": TIMES } : before);
      }
    },
    240_000,
  );
});
