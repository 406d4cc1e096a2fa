/** The file store beyond what every store must keep: modes, links, errors, locks that were left behind, and the watch. */

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { KeyfoldError } from "../src/errors.ts";
import { fileKeyringStore, fileKeyringStoreWith, type SaveStep } from "../src/keyring-file.ts";
import { codeOf, refusalOf } from "./support/refusal.ts";

const folders: string[] = [];
let folder = "";
let path = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "keyfold-file-"));
  folders.push(folder);
  path = join(folder, "keyring.json");
});

afterAll(async () => {
  for (const each of folders) await rm(each, { recursive: true, force: true });
});

/** The `KeyfoldError` that a promise is rejected with. */
async function rejection(promise: Promise<unknown>): Promise<KeyfoldError> {
  const [outcome] = await Promise.allSettled([promise]);
  if (outcome.status === "rejected" && outcome.reason instanceof KeyfoldError) return outcome.reason;
  throw new Error(`No KeyfoldError: ${outcome.status === "rejected" ? outcome.reason : "it was fulfilled"}.`);
}

async function modeOf(file: string): Promise<string> {
  return ((await stat(file)).mode & 0o7777).toString(8);
}

/** Runs as an unprivileged user: root may do everything. */
const isRoot = process.getuid?.() === 0;

describe("the file", () => {
  test("holds the text, and its version is the SHA-256 of it", async () => {
    const version = await fileKeyringStore(path).save("é\n", undefined);
    expect(await readFile(path)).toEqual(Buffer.from("é\n"));
    expect(version).toBe(createHash("sha256").update("é\n").digest("hex"));
  });

  test("has mode 0600 where it is new, whatever the umask", async () => {
    const before = process.umask(0);
    try {
      await fileKeyringStore(path).save("1", undefined);
    } finally {
      process.umask(before);
    }
    expect(await modeOf(path)).toBe("600");
  });

  test.each(["644", "660", "440"])("keeps mode %s where it has that", async (mode) => {
    const store = fileKeyringStore(path);
    const version = await store.save("1", undefined);
    await chmod(path, Number.parseInt(mode, 8));
    await store.save("2", version);
    expect(await modeOf(path)).toBe(mode);
  });

  test.runIf(isRoot)("keeps its owner, where another may change it (as root)", async () => {
    await writeFile(path, "1");
    await chown(path, 12_345, 54_321);
    await chmod(path, 0o640);
    const store = fileKeyringStore(path);
    await store.save("2", (await store.load())?.version);
    expect(await stat(path)).toMatchObject({ uid: 12_345, gid: 54_321 });
    expect(await modeOf(path)).toBe("640");
  });

  test("is alone in its folder after a save and after a conflict", async () => {
    const store = fileKeyringStore(path);
    await store.save("1", undefined);
    expect((await rejection(store.save("2", undefined))).code).toBe("ERR_KEYRING_CONFLICT");
    expect((await rejection(store.save("2", "0"))).code).toBe("ERR_KEYRING_CONFLICT");
    expect(await readdir(folder)).toEqual(["keyring.json"]);
  });

  test("is replaced behind a symbolic link, which stays", async () => {
    await mkdir(join(folder, "real"));
    const link = join(folder, "link.json");
    await writeFile(join(folder, "real", "keyring.json"), "1");
    await symlink("real/keyring.json", link);
    const store = fileKeyringStore(link);
    await store.save("2", (await store.load())?.version);
    expect(await readlink(link)).toBe("real/keyring.json");
    expect(await readFile(join(folder, "real", "keyring.json"), "utf8")).toBe("2");
    expect((await lstat(join(folder, "real", "keyring.json"))).isFile()).toBe(true);
    expect(await readdir(join(folder, "real"))).toEqual(["keyring.json"]);
  });

  test("is found from the working directory at the time of the call", async () => {
    const store = fileKeyringStore(relative(process.cwd(), path));
    await store.save("1", undefined);
    expect(await readFile(path, "utf8")).toBe("1");
  });

  test("that another edits has another version, and is not overwritten", async () => {
    const store = fileKeyringStore(path);
    const version = await store.save("1", undefined);
    await writeFile(path, "by hand");
    expect((await rejection(store.save("2", version))).code).toBe("ERR_KEYRING_CONFLICT");
    expect((await store.load())?.text).toBe("by hand");
  });

  test("that another removes is gone, and is not made again by the way", async () => {
    const store = fileKeyringStore(path);
    const version = await store.save("1", undefined);
    await rm(path);
    expect((await rejection(store.save("2", version))).code).toBe("ERR_KEYRING_CONFLICT");
    expect(await store.load()).toBeUndefined();
  });
});

describe("refused", () => {
  test.each([undefined, null, 7, "", "a\0b", Buffer.from("x"), new URL("file:///x")])(
    "a path like %o",
    (other) => {
      expect(codeOf(() => fileKeyringStore(other as string))).toBe("ERR_INVALID_ARGUMENT");
      expect(refusalOf(() => fileKeyringStore(other as string)).message).toContain("path of a keyring file");
    },
  );

  test("text that is ill-formed", async () => {
    expect((await rejection(fileKeyringStore(path).save("\ud800", undefined))).code).toBe(
      "ERR_INVALID_ARGUMENT",
    );
    expect(await readdir(folder)).toEqual([]);
  });

  test("a file that is not UTF-8", async () => {
    await writeFile(path, Buffer.from([0x7b, 0xff, 0x7d]));
    const { code, message } = await rejection(fileKeyringStore(path).load());
    expect(code).toBe("ERR_KEYRING_INVALID");
    expect(message).toContain(path);
  });

  test("a file over 4 MiB, and not one of 4 MiB", async () => {
    await writeFile(path, " ".repeat(4 * 1024 * 1024));
    expect((await fileKeyringStore(path).load())?.text.length).toBe(4 * 1024 * 1024);
    await writeFile(path, " ".repeat(4 * 1024 * 1024 + 1));
    expect((await rejection(fileKeyringStore(path).load())).code).toBe("ERR_KEYRING_INVALID");
  });

  test("what is no regular file, without waiting for it", async () => {
    for (const make of [() => mkdir(path), () => promisify(execFile)("mkfifo", [path])]) {
      await make();
      const store = fileKeyringStore(path);
      for (const call of [store.load(), store.save("1", undefined)]) {
        const { code, message } = await rejection(call);
        expect(code).toBe("ERR_IO");
        expect(message).toContain(path);
      }
      await rm(path, { recursive: true });
    }
  });

  test("a folder that is not there, when saving: to load is to find nothing", async () => {
    const store = fileKeyringStore(join(folder, "none", "keyring.json"));
    expect(await store.load()).toBeUndefined();
    const { code, message, cause } = await rejection(store.save("1", undefined));
    expect(code).toBe("ERR_IO");
    expect(message).toContain("cannot be saved (ENOENT)");
    expect(cause).toMatchObject({ code: "ENOENT", syscall: "open" });
  });

  test("a path through a file", async () => {
    await writeFile(path, "1");
    const { code, message, cause } = await rejection(fileKeyringStore(join(path, "x")).load());
    expect(code).toBe("ERR_IO");
    expect(message).toContain("cannot be loaded (ENOTDIR)");
    expect(cause).toMatchObject({ code: "ENOTDIR" });
  });

  test.skipIf(isRoot)("a folder that may not be written (skipped as root)", async () => {
    await chmod(folder, 0o500);
    const { code, cause } = await rejection(fileKeyringStore(path).save("1", undefined));
    await chmod(folder, 0o700);
    expect(code).toBe("ERR_IO");
    expect(cause).toMatchObject({ code: "EACCES" });
  });

  test("a lock that cannot be had, because something else is in its place", async () => {
    await mkdir(`${path}.lock`);
    const { code, cause } = await rejection(fileKeyringStore(path).save("1", undefined));
    expect(code).toBe("ERR_IO");
    expect(cause).toMatchObject({ code: "EISDIR" });
  });
});

/** A lock file as a process would have written it. */
async function lockedBy(parts: Partial<Record<"pid" | "started" | "place", string>>): Promise<string> {
  const [pid = "", started = "", place = ""] = (await ownLock()).split(" ");
  const line = [parts.pid ?? pid, parts.started ?? started, parts.place ?? place, "5a".repeat(16)].join(" ");
  return `${line}\n`;
}

/** What this process writes into a lock file. */
async function ownLock(): Promise<string> {
  let line = "";
  const elsewhere = join(folder, "elsewhere.json");
  const reached = async (step: SaveStep) => {
    if (step === "locked") line = await readFile(`${elsewhere}.lock`, "latin1");
  };
  await fileKeyringStoreWith(elsewhere, { reached }).save("1", undefined);
  await rm(elsewhere);
  return line;
}

/** The pid of a process that has ended. */
async function endedPid(): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ["-e", "console.log(process.pid)"]);
  return stdout.trim();
}

describe("a lock that was left behind", () => {
  const patient = { lease: 600_000 };

  test("names the process, when it began, where its pid counts, and the one time", async () => {
    const line = await ownLock();
    expect(line).toMatch(/^[1-9]\d* \S+ \S+ [0-9a-f]{32}\n$/);
    expect(line.split(" ")[0]).toBe(String(process.pid));
    expect((await ownLock()).split(" ")[3]).not.toBe(line.split(" ")[3]);
    if (process.platform === "linux") expect(line).toMatch(/^\d+ \d+ [0-9a-f-]{36}\/pid:\[\d+\] /);
    else expect(line.split(" ").slice(1, 3)).toEqual(["-", hostname()]);
  });

  test("by a process that has ended is removed at once, with its temporary file", async () => {
    await writeFile(`${path}.lock`, await lockedBy({ pid: await endedPid() }));
    await writeFile(`${path}.lock.${"5a".repeat(16)}`, "half a keyr");
    await fileKeyringStoreWith(path, patient).save("1", undefined);
    expect(await readdir(folder)).toEqual(["keyring.json"]);
  });

  test.runIf(process.platform === "linux")("by a process whose pid another has now, likewise", async () => {
    await writeFile(`${path}.lock`, await lockedBy({ started: "1" }));
    await fileKeyringStoreWith(path, patient).save("1", undefined);
    expect(await readdir(folder)).toEqual(["keyring.json"]);
  });

  test("twice over, as of one that was killed while it removed another's, likewise", async () => {
    const pid = await endedPid();
    for (const end of [".lock", ".lock.break", ".lock.break.break"])
      await writeFile(path + end, await lockedBy({ pid }));
    await fileKeyringStoreWith(path, patient).save("1", undefined);
    expect(await readdir(folder)).toEqual(["keyring.json"]);
  });

  const unknown: readonly [what: string, content: () => Promise<string>][] = [
    ["without its holder's name", async () => ""],
    ["with half of a name", async () => (await ownLock()).slice(0, 20)],
    ["of another container or machine", async () => lockedBy({ pid: await endedPid(), place: "elsewhere" })],
    ["of a process that runs", async () => ownLock()],
    ["with a pid that is none", async () => lockedBy({ pid: "-1" })],
  ];

  test.each(unknown)("%s is removed after the lease, and not before", async (_, content) => {
    await writeFile(`${path}.lock`, await content());
    const started = performance.now();
    await fileKeyringStoreWith(path, { lease: 300 }).save("1", undefined);
    expect(performance.now() - started).toBeGreaterThan(290);
    expect(await readdir(folder)).toEqual(["keyring.json"]);
  });

  test("never has another file than its own temporary one removed", async () => {
    const victim = join(folder, "victim");
    await writeFile(victim, "");
    await writeFile(
      `${path}.lock`,
      (await lockedBy({ pid: await endedPid() })).replace(/\S+\n$/, "/../../victim\n"),
    );
    await mkdir(`${path}.lock.`);
    await fileKeyringStoreWith(path, { lease: 100 }).save("1", undefined);
    expect(await readdir(folder)).toContain("victim");
  });

  test("is removed by one of two that see it, and the other does not remove the new one", async () => {
    await writeFile(`${path}.lock`, await lockedBy({ pid: await endedPid() }));
    const { promise: secondBegan, resolve: begin } = Promise.withResolvers<void>();
    const held: string[][] = [];
    const reached = async (step: SaveStep) => {
      // The first waits until the second has seen the old lock too, and wants to remove it.
      if (step === "breaking") await secondBegan.then(() => delay(100));
      if (step !== "compared") return;
      const lock = () => readFile(`${path}.lock`, "latin1");
      const before = await lock();
      await delay(300);
      held.push([before, await lock()]);
    };
    const saves = ["one", "other"].map((text) =>
      fileKeyringStoreWith(path, { ...patient, reached }).save(text, undefined),
    );
    await delay(100);
    begin();
    const outcomes = await Promise.allSettled(saves);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(held.length).toBe(1);
    for (const [before, after] of held) expect(after).toBe(before);
    expect(await readdir(folder)).toEqual(["keyring.json"]);
  });

  test("that is released meanwhile is waited for, and no longer than needed", async () => {
    const content = await ownLock();
    await writeFile(`${path}.lock`, content);
    const saving = fileKeyringStoreWith(path, patient).save("1", undefined);
    await delay(100);
    expect(await readdir(folder)).toEqual(["keyring.json.lock"]);
    await rm(`${path}.lock`);
    await saving;
    expect(await readdir(folder)).toEqual(["keyring.json"]);
  });
});

describe("a holder that was paused for too long", () => {
  /** A save that stops at a step until it is told to go on. */
  function pausing(at: SaveStep, fence: number) {
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    const { promise: goOn, resolve: resume } = Promise.withResolvers<void>();
    const reached = async (step: SaveStep) => {
      if (step !== at) return;
      arrive();
      await goOn;
    };
    return {
      saved: fileKeyringStoreWith(path, { reached, fence }).save("paused", undefined),
      arrived,
      resume,
    };
  }

  const steps: readonly SaveStep[] = [
    "locked",
    "compared",
    "temporary-created",
    "temporary-written",
    "temporary-synced",
  ];

  test.each(steps)("at %s has lost its lock, and is told of a conflict", async (step) => {
    const { saved, arrived, resume } = pausing(step, 600_000);
    await arrived;
    const version = await fileKeyringStoreWith(path, { lease: 100 }).save("other", undefined);
    resume();
    expect((await rejection(saved)).code).toBe("ERR_KEYRING_CONFLICT");
    expect(await fileKeyringStore(path).load()).toEqual({ text: "other", version });
    expect(await readdir(folder)).toEqual(["keyring.json"]);
  });

  test.each(steps)("at %s does not touch what the next holder is at", async (step) => {
    const first = pausing(step, 600_000);
    await first.arrived;
    const { promise: secondArrived, resolve: arrive } = Promise.withResolvers<void>();
    const { promise: goOn, resolve: resume } = Promise.withResolvers<void>();
    const reached = async (at: SaveStep) => {
      if (at !== "temporary-written") return;
      arrive();
      await goOn;
    };
    const second = fileKeyringStoreWith(path, { reached, lease: 100 }).save("second", undefined);
    await secondArrived;
    first.resume();
    expect((await rejection(first.saved)).code).toBe("ERR_KEYRING_CONFLICT");
    resume();
    const version = await second;
    expect(await fileKeyringStore(path).load()).toEqual({ text: "second", version });
    expect(await readdir(folder)).toEqual(["keyring.json"]);
  });

  test("no longer believes that it holds, even if nobody took the lock yet", async () => {
    const { saved, arrived, resume } = pausing("temporary-synced", 50);
    await arrived;
    await delay(60);
    resume();
    expect((await rejection(saved)).code).toBe("ERR_KEYRING_CONFLICT");
    expect(await fileKeyringStore(path).load()).toBeUndefined();
    expect(await readdir(folder)).toEqual([]);
  });
});

describe("the watch", () => {
  /** Resolves once `changed` was called. */
  function told(file: string) {
    let calls = 0;
    const end = fileKeyringStore(file).watch?.(() => {
      calls++;
    });
    if (end === undefined) throw new Error("It has a watch.");
    const once = async () => {
      for (const limit = performance.now() + 10_000; calls === 0; await delay(10))
        if (performance.now() > limit) throw new Error("It was not told.");
      calls = 0;
    };
    return { end, once, calls: () => calls };
  }

  test("is told of a save, of a change by hand, and of a removal", async () => {
    const store = fileKeyringStore(path);
    const { once, end } = told(path);
    await store.save("1", undefined);
    await once();
    await writeFile(path, "22");
    await once();
    await rm(path);
    await once();
    end();
    end();
  });

  test("is not told of other files in the folder", async () => {
    await fileKeyringStore(path).save("1", undefined);
    const { end, calls, once } = told(path);
    await delay(200);
    const before = calls();
    await fileKeyringStore(join(folder, "other.json")).save("1", undefined);
    await delay(300);
    expect(calls()).toBe(before);
    await writeFile(path, "22");
    await once();
    end();
  });

  test("is told when links lead elsewhere, as a Kubernetes volume changes", async () => {
    for (const version of ["1", "2"]) {
      await mkdir(join(folder, `..${version}`));
      await writeFile(join(folder, `..${version}`, "keyring.json"), version);
    }
    await symlink("..1", join(folder, "..data"));
    await symlink("..data/keyring.json", path);
    const { once, end } = told(path);
    await symlink("..2", join(folder, "..data_tmp"));
    await rename(join(folder, "..data_tmp"), join(folder, "..data"));
    await once();
    expect((await fileKeyringStore(path).load())?.text).toBe("2");
    end();
  });

  test("of a folder that is not there does nothing", () => {
    const end = fileKeyringStore(join(folder, "none", "keyring.json")).watch?.(() => {});
    expect(() => end?.()).not.toThrow();
  });

  test("does not keep the process alive", async () => {
    const source = fileURLToPath(new URL("../src/keyring-file.ts", import.meta.url));
    const program = `
      const { fileKeyringStore } = await import(${JSON.stringify(source)});
      const store = fileKeyringStore(${JSON.stringify(path)});
      store.watch(() => {});
      await store.save("1", undefined);
      console.log("at the end");`;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], {
      timeout: 30_000,
    });
    expect(stdout).toBe("at the end\n");
  });
});
