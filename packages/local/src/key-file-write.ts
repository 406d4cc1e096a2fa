/** Makes and rotates key files, so that at no moment a file is half there or a key is lost. */

import { randomUUID } from "node:crypto";
import type { Stats } from "node:fs";
import { type FileHandle, link, open, realpath, rename, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { KeyfoldError } from "@keyfold/core";
import { keyFileError, requirePath } from "./checks.ts";
import { formatKeyFile, type KeyFileEntry, MAX_KEY_FILE_BYTES, newEntry } from "./key-file.ts";
import { readKeyFile, systemCode, unreadable } from "./key-file-read.ts";

const OWNER_ONLY = 0o600;
const PERMISSIONS = 0o777;

/**
 * Writes a new key file with one random 32-byte key, mode 0600. The file appears whole or not at all: it is written and
 * synced beside `path` and then linked to it, and the directory is synced. Nothing of a failed attempt is left behind.
 *
 * @param path must not exist yet; its directory must. Relative to the working directory
 * @returns the URI of the new key: `local:` and 32 hex digits. It is no secret: every wrap carries it
 * @throws `ERR_KEY_FILE` if there is anything at `path`, a symbolic link included: a key is never overwritten; `ERR_IO`,
 *   with the file system's error as `cause`; `ERR_INVALID_ARGUMENT`
 */
export async function createLocalKeyFile(path: string): Promise<string> {
  requirePath(path);
  const target = resolve(path);
  const entry = newEntry();
  await translated(`The key file ${path} cannot be written.`, () => writeNew(target, path, [entry]));
  return entry.masterKey;
}

/**
 * Puts a new random key first in a key file: it wraps from now on, and the others still unwrap. The file is replaced by
 * a rename, synced before and after; owner, group and mode stay. Of a symbolic link its target is replaced, so the link
 * stays too. A provider that has the file open sees the new key when it first meets a wrap under it.
 *
 * The new content is written to `<file>.lock`, which is the lock as well: of two rotations at once one is refused, and
 * no key is lost. After a crash the lock stays, and the message says which file to delete.
 *
 * @returns the URI of the new key: `local:` and 32 hex digits
 * @throws `ERR_KEY_FILE` if another rotation runs or was interrupted, and for whatever {@link localKeyFile} refuses
 *   (but group read is allowed); `ERR_IO`, with the file system's error as `cause`; `ERR_INVALID_ARGUMENT`
 */
export async function rotateLocalKeyFile(path: string): Promise<string> {
  requirePath(path);
  const target = await resolveLinks(path);
  const entry = newEntry();
  await translated(`The key file ${target} cannot be rotated.`, () => putFirst(target, entry));
  return entry.masterKey;
}

async function writeNew(target: string, path: string, entries: readonly KeyFileEntry[]): Promise<void> {
  const temporary = `${target}.${randomUUID()}.tmp`;
  const handle = await open(temporary, "wx", OWNER_ONLY);
  try {
    await closing(handle, () => write(handle, entries));
    await linkNew(temporary, target, path);
  } finally {
    await rm(temporary, { force: true });
  }
  await syncDirectory(target);
}

/** A link and not a rename: it fails where there is a file already. */
async function linkNew(temporary: string, target: string, path: string): Promise<void> {
  try {
    await link(temporary, target);
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
    throw keyFileError(
      `There is a file at ${path} already, and createLocalKeyFile refuses to overwrite one. Choose another path, or give the file a new key with rotateLocalKeyFile.`,
      error,
    );
  }
}

async function putFirst(target: string, entry: KeyFileEntry): Promise<void> {
  const lock = `${target}.lock`;
  const handle = await takeLock(lock, target);
  try {
    await closing(handle, async () => {
      // Only now: what was read before the lock was taken may lack the key of a rotation that has just ended.
      const { entries, stats } = readKeyFile(target, true);
      await write(handle, [entry, ...entries], stats);
      await requireRoom(handle, target);
    });
    await rename(lock, target);
  } catch (error) {
    await rm(lock, { force: true });
    throw error;
  }
  // Outside of the try: after the rename, a file of the lock's name is another rotation's.
  await syncDirectory(target);
}

async function takeLock(lock: string, target: string): Promise<FileHandle> {
  try {
    return await open(lock, "wx", OWNER_ONLY);
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
    throw keyFileError(
      `Another rotation of the key file ${target} is running or was interrupted. Delete ${lock} if none is running.`,
      error,
    );
  }
}

/** Writes and syncs the file, with owner, group and mode as in `like`, or mode 0600. The keys are there before others may read. */
async function write(handle: FileHandle, entries: readonly KeyFileEntry[], like?: Stats): Promise<void> {
  const bytes = formatKeyFile(entries);
  try {
    await handle.writeFile(bytes);
  } finally {
    bytes.fill(0);
  }
  if (like !== undefined) await giveTo(handle, like);
  // Said again after open: the umask may have taken from it.
  await handle.chmod((like?.mode ?? OWNER_ONLY) & PERMISSIONS);
  await handle.sync();
}

/** Asked for only where it changes something: nobody but root may give a file away. */
async function giveTo(handle: FileHandle, { uid, gid }: Stats): Promise<void> {
  const own = await handle.stat();
  if (own.uid !== uid || own.gid !== gid) await handle.chown(uid, gid);
}

/** A file that grew beyond what is read would be lost with all its keys. */
async function requireRoom(handle: FileHandle, target: string): Promise<void> {
  if ((await handle.stat()).size <= MAX_KEY_FILE_BYTES) return;
  throw keyFileError(
    `With another key the key file ${target} would be over 1 MiB. Delete the oldest keys from its end, once nothing is wrapped under them.`,
  );
}

async function resolveLinks(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    throw systemCode(error) === undefined ? error : unreadable(path, error);
  }
}

/** Makes the new name as durable as the file. Windows opens no directory, and its journal does it. */
async function syncDirectory(target: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(dirname(target), "r");
  await closing(handle, () => handle.sync());
}

async function closing(handle: FileHandle, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } finally {
    await handle.close();
  }
}

async function translated(what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw systemCode(error) === undefined ? error : new KeyfoldError("ERR_IO", what, { cause: error });
  }
}
