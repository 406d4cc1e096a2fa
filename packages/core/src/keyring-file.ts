/** A keyring in a file. Node only. */

import { createHash } from "node:crypto";
import { constants, type FSWatcher, realpathSync, type Stats, statSync, watch } from "node:fs";
import { type FileHandle, open, realpath, rename } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { type Bytes, copyOf, decodeUtf8, encodeUtf8 } from "./bytes.ts";
import { KeyfoldError, requireArgument } from "./errors.ts";
import { type FileLock, type LockSettings, type LockStep, withFileLock } from "./file-lock.ts";
import { OWNER_ONLY, resemble, syncDirectory, systemCode } from "./file-system.ts";
import { MAX_KEYRING_CHARACTERS } from "./keyring-document.ts";
import type { KeyringStore } from "./keyring-store.ts";

/** Where a process may be killed while it saves: tests stop there. */
export type SaveStep =
  | LockStep
  | "compared"
  | "temporary-created"
  | "temporary-written"
  | "temporary-synced"
  | "renamed"
  | "directory-synced";

export interface FileStoreSettings extends LockSettings {
  readonly reached: (step: SaveStep) => Promise<void>;
}

const SETTINGS: FileStoreSettings = { lease: 10_000, fence: 5_000, reached: async () => {} };
/** Without it, opening a FIFO waits for a writer. Windows has neither. */
const READ_WITHOUT_WAITING = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
/** A save touches several files of the directory at once. */
const SETTLING_MS = 50;

/**
 * Keeps a keyring in a file, which may be kept in git: it holds no key in the clear, and is formatted to be compared line by line.
 *
 * `save` is atomic and durable: it writes a temporary file beside the keyring, fsyncs it, renames it, and fsyncs the directory.
 * Whenever the process is killed, the file holds the old text or the new one. A new file has mode 0600; one that exists keeps its
 * mode and its owner. Where `path` is a symbolic link, the file that it leads to is replaced, and the link stays.
 *
 * Processes that save at the same time take turns by a lock file, `path` and `.lock`. One that a killed process left behind is removed
 * by the next who saves, with the temporary file: at once where that process can be seen to be gone, else after 10 seconds. Over NFS the lock is as good as the server's O_EXCL, and a client may see
 * the present file some seconds late, as its cache allows: then prefer a database. The version is a hash of the contents.
 *
 * `watch` watches the directory, and does nothing where the system offers no more watches.
 *
 * | code | when |
 * | --- | --- |
 * | `ERR_KEYRING_CONFLICT` | the file is not the expected one, is there already, or is there no more |
 * | `ERR_KEYRING_INVALID` | it is over 4 MiB, or not UTF-8 |
 * | `ERR_IO` | the file system refuses, with its error as `cause`; it is no regular file |
 *
 * @param path relative to the working directory at the time of this call
 * @throws `ERR_INVALID_ARGUMENT` for what is no path
 */
export function fileKeyringStore(path: string): KeyringStore {
  return fileKeyringStoreWith(path, SETTINGS);
}

/** {@link fileKeyringStore}, for it and for tests. */
export function fileKeyringStoreWith(path: string, settings: Partial<FileStoreSettings>): KeyringStore {
  requireArgument(
    typeof path === "string" && path !== "" && !path.includes("\0"),
    "The path of a keyring file must be a string that is not empty.",
  );
  return new FileKeyringStore(resolve(path), { ...SETTINGS, ...settings });
}

class FileKeyringStore implements KeyringStore {
  readonly #path: string;
  readonly #settings: FileStoreSettings;

  constructor(path: string, settings: FileStoreSettings) {
    this.#path = path;
    this.#settings = settings;
  }

  load: KeyringStore["load"] = () =>
    this.#translated("loaded", async () => {
      const present = await readPresent(this.#path);
      if (present === undefined) return undefined;
      const text = decodeUtf8(present.bytes);
      if (text === undefined) {
        throw new KeyfoldError("ERR_KEYRING_INVALID", `The keyring file ${this.#path} is not UTF-8.`);
      }
      return { text, version: versionOf(present.bytes) };
    });

  save: KeyringStore["save"] = (text, expected) =>
    this.#translated("saved", async () => {
      const bytes = encodeUtf8(text);
      requireArgument(bytes !== undefined, "The text of a keyring is ill-formed (a lone surrogate).");
      const target = await targetOf(this.#path);
      // Most losers of a race are told without a lock.
      await requireVersion(target, expected);
      await withFileLock(`${target}.lock`, this.#settings, (lock) =>
        this.#replace(target, expected, bytes, lock),
      );
      await syncDirectory(dirname(target));
      await this.#settings.reached("directory-synced");
      return versionOf(bytes);
    });

  watch: NonNullable<KeyringStore["watch"]> = (changed) => watchFile(this.#path, changed);

  async #replace(target: string, expected: string | undefined, bytes: Bytes, lock: FileLock): Promise<void> {
    const { reached } = this.#settings;
    const present = await requireVersion(target, expected);
    await reached("compared");
    await this.#writeNew(lock.temporary, bytes, present?.stats);
    await lock.requireHeld();
    await rename(lock.temporary, target);
    await reached("renamed");
  }

  async #writeNew(path: string, bytes: Bytes, present: Stats | undefined): Promise<void> {
    const { reached } = this.#settings;
    const handle = await open(path, "wx", OWNER_ONLY);
    try {
      if (present !== undefined) await resemble(handle, present);
      await reached("temporary-created");
      await handle.writeFile(bytes);
      await reached("temporary-written");
      await handle.sync();
    } finally {
      await handle.close();
    }
    await reached("temporary-synced");
  }

  async #translated<T>(done: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      const code = systemCode(cause);
      if (code === undefined) throw cause;
      throw new KeyfoldError("ERR_IO", `The keyring file ${this.#path} cannot be ${done} (${code}).`, {
        cause,
      });
    }
  }
}

interface Present {
  readonly bytes: Bytes;
  readonly stats: Stats;
}

/** The file as it is, whole: it is replaced by rename, so what was opened does not change. */
async function readPresent(path: string): Promise<Present | undefined> {
  const handle = await openPresent(path);
  if (handle === undefined) return undefined;
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new KeyfoldError("ERR_IO", `The keyring file ${path} is no regular file.`);
    if (stats.size > MAX_KEYRING_CHARACTERS) {
      throw new KeyfoldError("ERR_KEYRING_INVALID", `The keyring file ${path} is over 4 MiB.`);
    }
    return { bytes: copyOf(await handle.readFile()), stats };
  } finally {
    await handle.close();
  }
}

async function openPresent(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, READ_WITHOUT_WAITING);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function requireVersion(path: string, expected: string | undefined): Promise<Present | undefined> {
  const present = await readPresent(path);
  const version = present === undefined ? undefined : versionOf(present.bytes);
  if (version !== expected) throw new KeyfoldError("ERR_KEYRING_CONFLICT");
  return present;
}

function versionOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** What is to be replaced: where symbolic links lead to, or the path itself where nothing is there yet. */
async function targetOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return path;
    throw error;
  }
}

/** Directories, not the file: a rename ends a file, and a Kubernetes volume swaps a directory that links lead through. */
function watchFile(path: string, changed: () => void): () => void {
  let seen = signature(path);
  let timer: NodeJS.Timeout | undefined;
  const look = () => {
    timer = undefined;
    const now = signature(path);
    if (now === seen) return;
    seen = now;
    changed();
  };
  const stir = () => {
    timer ??= setTimeout(look, SETTLING_MS).unref();
  };
  const watchers = directoriesOf(path).flatMap((directory) => watchDirectory(directory, stir));
  stir();
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}

function watchDirectory(directory: string, stir: () => void): FSWatcher[] {
  try {
    const watcher = watch(directory, { persistent: false }, stir);
    watcher.on("error", () => watcher.close());
    return [watcher];
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return [];
  }
}

/** That of the path, and that of the file which it leads to. */
function directoriesOf(path: string): string[] {
  const directory = dirname(path);
  return [
    ...new Set([directory, dirname(orNothing(() => realpathSync(path)) ?? join(directory, basename(path)))]),
  ];
}

/** What changes whenever the file is another one. */
function signature(path: string): string {
  const stats = orNothing(() => statSync(path, { bigint: true }));
  return stats === undefined ? "" : `${stats.ino} ${stats.size} ${stats.mtimeNs}`;
}

function orNothing<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return undefined;
  }
}
