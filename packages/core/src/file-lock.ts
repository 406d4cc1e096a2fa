/**
 * A lock between processes that may be killed at any moment: a file that is made with O_EXCL, since Node offers no lock of the
 * kernel's (flock). It says who made it, so that the next one who needs it sees whether that process still runs.
 *
 * A file of a process that is gone is removed at once; that is exact. Where it cannot be told (another machine, another
 * container, a process that was killed between making the file and writing into it), the file is removed once it has
 * not changed for `lease`. A holder that comes back from a longer pause finds out by `requireHeld`, which counts `fence`,
 * half as long, on both clocks. What remains is a pause that begins between that check and the system call after it, on
 * a machine that the others cannot see.
 *
 * A holder has a temporary file of its own, named after the one time that it holds. Who removes a lock removes this too, so
 * none is left behind, and no two ever write into one.
 *
 * Over NFS, O_EXCL is atomic from version 3 on. A kernel lock would not cover two clients there either way.
 */

import { readFileSync, readlinkSync } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { toHex } from "./bytes.ts";
import { elapsed, type Instant, instant, systemClock } from "./clock.ts";
import { KeyfoldError } from "./errors.ts";
import { OWNER_ONLY, systemCode } from "./file-system.ts";
import { jitter, randomBytes } from "./random.ts";

/** Where a process may be killed: tests stop there. */
export type LockStep = "lock-created" | "locked" | "breaking" | "broken" | "unlocked";

export interface LockSettings {
  /** Milliseconds without a change after which a lock whose holder cannot be judged is removed. */
  readonly lease: number;
  /** Milliseconds after which a holder no longer believes that it holds. */
  readonly fence: number;
  readonly reached: (step: LockStep) => Promise<void>;
}

const LONGEST_WAIT_MS = 50;
const TOKEN_BYTES = 16;

/** A lock that is held. */
export class FileLock {
  /** A path beside the lock for this holder alone. Whatever is there when the lock ends is removed. */
  readonly temporary: string;
  readonly #path: string;
  readonly #holder: string;
  readonly #fence: number;
  readonly #since: Instant = instant(systemClock);

  constructor(path: string, holder: string, fence: number) {
    this.temporary = `${path}.${tokenOf(holder)}`;
    this.#path = path;
    this.#holder = holder;
    this.#fence = fence;
  }

  /** `ERR_KEYRING_CONFLICT` where it was held for too long, or was taken away for that. */
  async requireHeld(): Promise<void> {
    const late = elapsed(this.#since, instant(systemClock)) >= this.#fence;
    if (late || (await observe(this.#path))?.holder !== this.#holder) {
      throw new KeyfoldError(
        "ERR_KEYRING_CONFLICT",
        "This process was paused for so long that its lock on the keyring no longer counts.",
      );
    }
  }

  async release(): Promise<void> {
    await rm(this.temporary, { force: true });
    if ((await observe(this.#path))?.holder === this.#holder) await rm(this.#path, { force: true });
  }
}

/** Does `work` while no other process that asks for the lock at `path` does its own. */
export async function withFileLock<T>(
  path: string,
  settings: LockSettings,
  work: (lock: FileLock) => Promise<T>,
): Promise<T> {
  const lock = await acquire(path, settings);
  try {
    await settings.reached("locked");
    return await work(lock);
  } finally {
    await lock.release();
    await settings.reached("unlocked");
  }
}

async function acquire(path: string, settings: LockSettings): Promise<FileLock> {
  const holder = describeHolder();
  let unchanged = { state: "", since: 0 };
  for (let attempt = 0; !(await create(path, holder, settings)); attempt++) {
    const found = await observe(path);
    if (found === undefined) continue;
    if (found.state !== unchanged.state) unchanged = { state: found.state, since: performance.now() };
    if (isGone(found.holder) || performance.now() - unchanged.since > settings.lease) {
      await breakLock(path, found, settings);
    } else {
      await delay(Math.min(2 ** attempt, LONGEST_WAIT_MS) * (0.5 + jitter()));
    }
  }
  return new FileLock(path, holder, settings.fence);
}

/**
 * Removes a lock file that was seen. Whoever removes a file that is not its own holds a second lock, and looks
 * again under it: of two who saw the same dead holder, the slower must not remove the new lock of the faster.
 */
async function breakLock(path: string, { state, holder }: Observed, settings: LockSettings): Promise<void> {
  await withFileLock(`${path}.break`, settings, async () => {
    await settings.reached("breaking");
    if ((await observe(path))?.state === state) {
      const token = tokenOf(holder);
      if (token !== undefined) await rm(`${path}.${token}`, { force: true });
      await rm(path, { force: true });
    }
    await settings.reached("broken");
  });
}

/** Whether the lock file was made, by this call. */
async function create(path: string, holder: string, { reached }: LockSettings): Promise<boolean> {
  const handle = await openNew(path);
  if (handle === undefined) return false;
  try {
    await reached("lock-created");
    await handle.writeFile(holder);
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  return true;
}

async function openNew(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "wx", OWNER_ONLY);
  } catch (error) {
    if (systemCode(error) === "EEXIST") return undefined;
    throw error;
  }
}

interface Observed {
  /** Names this very file, in this state. */
  readonly state: string;
  /** What its maker wrote; empty as long as it has not. */
  readonly holder: string;
}

async function observe(path: string): Promise<Observed | undefined> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    const { ino, mtimeNs } = await handle.stat({ bigint: true });
    const holder = await handle.readFile("latin1");
    return { state: `${ino} ${mtimeNs} ${holder}`, holder };
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  } finally {
    await handle?.close();
  }
}

/** `pid started place token`: a process, the number space that its pid is from, and the one time that it asks. */
function describeHolder(): string {
  const token = randomBytes(TOKEN_BYTES);
  return `${process.pid} ${stateOf(process.pid)?.started ?? "-"} ${placeOfPids()} ${toHex(token)}\n`;
}

/** What ends a holder's line; undefined where the file is not of that form. It becomes part of a path. */
function tokenOf(holder: string): string | undefined {
  return / ([0-9a-f]{32})\n$/.exec(holder)?.[1];
}

/** Whether that process surely runs no more. */
function isGone(holder: string): boolean {
  const [pid = "", started = "", place = ""] = holder.split(" ");
  if (tokenOf(holder) === undefined || place !== placeOfPids() || !/^[1-9]\d*$/.test(pid)) return false;
  if (!exists(Number(pid))) return true;
  const state = stateOf(Number(pid));
  return state !== undefined && started !== "-" && (state.ended || state.started !== started);
}

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    if (systemCode(error) === "ESRCH") return false;
    if (systemCode(error) === "EPERM") return true;
    throw error;
  }
}

/** On Linux, from proc(5): when the process began, in ticks since the boot, and whether it is but a zombie. */
function stateOf(pid: number): { readonly started: string; readonly ended: boolean } | undefined {
  const stat = readProc(() => readFileSync(`/proc/${pid}/stat`, "latin1"));
  const [state, ...fields] = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? [];
  const started = fields[18];
  return started === undefined ? undefined : { started, ended: state === "Z" || state === "X" };
}

/** Where a pid means a process: on Linux one boot and one pid namespace, which a container has of its own; elsewhere the host. */
function placeOfPids(): string {
  const boot = readProc(() => readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim());
  const namespace = readProc(() => readlinkSync("/proc/self/ns/pid"));
  return boot === undefined || namespace === undefined ? hostname() : `${boot}/${namespace}`;
}

function readProc(read: () => string): string | undefined {
  try {
    return read();
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return undefined;
  }
}
