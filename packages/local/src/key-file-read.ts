/** Reads a key file from the file system, and refuses one that others can read. */

import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { keyFileError } from "./checks.ts";
import { type KeyFileEntry, MAX_KEY_FILE_BYTES, parseKeyFile } from "./key-file.ts";

const GROUP_READ = 0o040;
const GROUP_AND_OTHERS = 0o077;
const PERMISSIONS = 0o777;
/** Without it, opening a FIFO waits for a writer. Windows has neither. */
const READ_WITHOUT_WAITING = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/**
 * The keys of the file at `path`, and its state. Synchronous, because `recognizes` is; a file is at most 1 MiB. Follows
 * symbolic links (a Kubernetes volume is made of them), and judges the file that it opened, never a path.
 *
 * @throws `ERR_KEY_FILE` for whatever is wrong with the file; the message names the path and says how to mend it
 */
export function readKeyFile(
  path: string,
  allowGroupRead: boolean,
): { readonly entries: readonly KeyFileEntry[]; readonly stats: Stats } {
  const { bytes, stats } = readBytes(path, allowGroupRead);
  try {
    return { entries: parseKeyFile(bytes, path), stats };
  } finally {
    bytes.fill(0);
  }
}

/** The failure of the file system at `path` as `ERR_KEY_FILE`. */
export function unreadable(path: string, error: unknown): Error {
  const code = systemCode(error);
  if (code === "ENOENT") {
    return keyFileError(
      `There is no key file ${path}. Correct the path, or make the file with createLocalKeyFile.`,
      error,
    );
  }
  if (code === "EACCES" || code === "EPERM") {
    return keyFileError(
      `This process may not read the key file ${path}. Run \`chown USER ${quoted(path)}\` with the user that the process runs as.`,
      error,
    );
  }
  return keyFileError(
    `The key file ${path} cannot be read (${code ?? "see cause"}). Put a readable regular file there.`,
    error,
  );
}

/** The code of an error of the file system, "ENOENT" for instance; undefined for any other error. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("syscall" in error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

function readBytes(path: string, allowGroupRead: boolean): { bytes: Uint8Array; stats: Stats } {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, READ_WITHOUT_WAITING);
    const stats = fstatSync(descriptor);
    requirePrivateFile(path, stats, allowGroupRead);
    return { bytes: readWhole(path, descriptor, stats.size), stats };
  } catch (error) {
    throw systemCode(error) === undefined ? error : unreadable(path, error);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function requirePrivateFile(path: string, stats: Stats, allowGroupRead: boolean): void {
  if (!stats.isFile()) {
    throw keyFileError(`The key file ${path} is no regular file. Put a regular file there.`);
  }
  if (stats.size > MAX_KEY_FILE_BYTES) {
    throw keyFileError(`The key file ${path} is over 1 MiB, so it is no key file. Correct the path.`);
  }
  const tooOpen = stats.mode & GROUP_AND_OTHERS & ~(allowGroupRead ? GROUP_READ : 0);
  // Windows has access lists instead; Node makes the mode up there.
  if (tooOpen !== 0 && process.platform !== "win32") throw accessible(path, stats.mode, allowGroupRead);
}

function accessible(path: string, mode: number, allowGroupRead: boolean): Error {
  const octal = (mode & PERMISSIONS).toString(8).padStart(4, "0");
  const chmod = `chmod ${allowGroupRead ? "640" : "600"} ${quoted(path)}`;
  const onlyGroupReads = (mode & GROUP_AND_OTHERS) === GROUP_READ;
  const orAllow = onlyGroupReads
    ? ", or pass allowGroupRead: true where the whole group may have the keys"
    : "";
  return keyFileError(`Others can access the key file ${path} (mode ${octal}). Run \`${chmod}\`${orAllow}.`);
}

/** One byte more than the file had is asked for, so that one which grows meanwhile is not taken for whole. */
function readWhole(path: string, descriptor: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size + 1);
  let length = 0;
  let read: number;
  do {
    read = readSync(descriptor, bytes, length, bytes.length - length, null);
    length += read;
  } while (read > 0 && length < bytes.length);
  if (length === size) return bytes.subarray(0, size);
  bytes.fill(0);
  throw keyFileError(
    `The key file ${path} changed while it was read. Replace it by a rename, and try again.`,
  );
}

/** For a shell; most paths need nothing. */
function quoted(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
