/** Whole files: sealed, opened and re-wrapped so that whatever happens, the target is the old file or the new one, whole. Node only. */

import type { Stats } from "node:fs";
import { type FileHandle, open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { concat, toHex } from "./bytes.ts";
import { type OperationOptions, requireNotAborted } from "./callers.ts";
import { plaintextBytes } from "./cobblestone.ts";
import type { EncryptionContext } from "./context.ts";
import { decodeHeader } from "./envelope.ts";
import { KeyfoldError, requireArgument } from "./errors.ts";
import { OWNER_ONLY, resemble, syncDirectory, systemCode, withFile } from "./file-system.ts";
import type { Keyfold } from "./keyfold.ts";
import { HEADER_START_BYTES, headerLength } from "./pieces.ts";
import { randomBytes } from "./random.ts";
import type { ByteSource } from "./ranges.ts";

/** Where a process may be killed: tests stop there. "writing" comes before each piece that is written. */
export type FileStep =
  | "begun"
  | "created"
  | "writing"
  | "written"
  | "synced"
  | "renamed"
  | "directory-synced";

export type Reached = (step: FileStep) => Promise<void> | void;

/** A file as a source of ranges. */
export interface FileSource extends ByteSource, AsyncDisposable {
  /** Closes the file, unless it was given open. Twice is fine. */
  close(): Promise<void>;
}

const READ_BYTES = 262_144;
/** More than a piece of a stream has, which is four sealed chunks and a header at most. */
const WRITE_BYTES = 262_144;
/** Less the process's umask. */
const AS_THE_UMASK_SAYS = 0o666;
const NO_STOP: Reached = () => {};

/**
 * Seals a file into another, or into itself, in memory of a few chunks.
 *
 * The envelope is written to a temporary file beside `to`, which is fsynced and renamed, and the directory fsynced. So `to` is at
 * every moment what it was before, or the whole envelope; `from` is only read. A process that is killed may leave the temporary
 * file behind: it is called `.keyfold-`, 32 hex digits and `.tmp`, holds nothing that is needed, and may be deleted once no
 * program is at work there. Any other failure removes it.
 *
 * A file that is there keeps its mode and its owner; a new one has the mode that the umask leaves of 0666. Where `to` is a symbolic link, the file
 * that it leads to is replaced, and the link stays.
 *
 * @param from anything that can be read to its end, a FIFO for instance
 * @param to a regular file, or nothing yet
 * @throws as `seal`; `ERR_IO` with the file system's error as `cause`; `ERR_ABORTED`
 */
export async function sealFile(
  keyfold: Keyfold,
  from: string,
  to: string,
  context: EncryptionContext,
  options?: OperationOptions,
): Promise<void> {
  return sealFileWith(NO_STOP, keyfold, from, to, context, options);
}

/** {@link sealFile}, for it and for tests. */
export async function sealFileWith(
  reached: Reached,
  ...[keyfold, from, to, context, options]: Parameters<typeof sealFile>
): Promise<void> {
  requirePaths(from, to);
  const sealing = keyfold.sealStream(context, options);
  await transform(from, sealing, { target: to, keeps: true, reached, options });
}

/**
 * Opens a sealed file into another, or into itself, as {@link sealFile} seals it: `to` changes once the whole envelope was
 * authenticated, and not at all where it is cut, altered or another's.
 *
 * The plaintext is never readable for others: the temporary file, and the file that becomes of it, have mode 0600,
 * whatever was there before.
 *
 * @throws as `openStream`; `ERR_IO`; `ERR_ABORTED`
 */
export async function openFile(
  keyfold: Keyfold,
  from: string,
  to: string,
  context: EncryptionContext,
  options?: OperationOptions,
): Promise<void> {
  return openFileWith(NO_STOP, keyfold, from, to, context, options);
}

/** {@link openFile}, for it and for tests. */
export async function openFileWith(
  reached: Reached,
  ...[keyfold, from, to, context, options]: Parameters<typeof openFile>
): Promise<void> {
  requirePaths(from, to);
  const opening = keyfold.openStream(context, options);
  await transform(from, opening, { target: to, keeps: false, reached, options });
}

/**
 * Gives a sealed file a new header under the present master keys, as `rewrap` does, and copies its message as it is. By temporary file and
 * rename, as {@link sealFile}; mode and owner stay. Needs no encryption context, so it does not verify the message.
 *
 * @throws as `rewrap`; `ERR_IO`; `ERR_ABORTED`
 */
export async function rewrapFile(keyfold: Keyfold, path: string, options?: OperationOptions): Promise<void> {
  return rewrapFileWith(NO_STOP, keyfold, path, options);
}

/** {@link rewrapFile}, for it and for tests. */
export async function rewrapFileWith(
  reached: Reached,
  ...[keyfold, path, options]: Parameters<typeof rewrapFile>
): Promise<void> {
  requirePaths(path);
  requireNotAborted(options);
  await replace({ target: path, keeps: true, reached, options }, (temporary) =>
    withFile(path, async (file) => {
      const header = await headerOf(file);
      await temporary.write(await keyfold.rewrap(header, { ...options, detached: true }));
      await copy(file, header.length, temporary);
    }),
  );
}

/**
 * A file for `openRange` and `plaintextLength`. Its size is taken once: a file that is replaced by rename meanwhile stays the one
 * that was opened.
 *
 * @param file a path, which is opened here and closed by `close`; or an open file, which stays its opener's
 * @throws `ERR_IO` where it cannot be opened, or is no regular file
 */
export async function fileSource(file: string | FileHandle): Promise<FileSource> {
  if (typeof file === "string") requirePaths(file);
  return translated(async () => {
    const handle = typeof file === "string" ? await open(file) : file;
    const close = async () => {
      if (typeof file === "string") await handle.close();
    };
    const { size } = await regular(handle).catch(async (error) => {
      await close();
      throw error;
    });
    const read = (offset: number, length: number) => translated(() => readAt(handle, offset, length));
    return { size, read, close, [Symbol.asyncDispose]: close };
  });
}

interface Replacing {
  readonly target: string;
  /** Whether what takes the place of a file has its mode and its owner. */
  readonly keeps: boolean;
  readonly reached: Reached;
  readonly options: OperationOptions | undefined;
}

/** What writes the new file. */
interface Temporary {
  write(bytes: Uint8Array): Promise<void>;
}

/** Puts what `write` writes in the place of the target, or changes nothing. */
async function replace(
  { target: path, keeps, reached, options }: Replacing,
  write: (temporary: Temporary) => Promise<void>,
): Promise<void> {
  await translated(async () => {
    const { target, present } = await presentAt(path);
    await reached("begun");
    const temporary = join(dirname(target), temporaryName());
    try {
      await writeNew(temporary, { present, keeps, reached }, write);
      requireNotAborted(options);
      await rename(temporary, target);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await reached("renamed");
    await syncDirectory(dirname(target));
    await reached("directory-synced");
  });
}

async function writeNew(
  path: string,
  { present, keeps, reached }: { present: Stats | undefined; keeps: boolean; reached: Reached },
  write: (temporary: Temporary) => Promise<void>,
): Promise<void> {
  const file = await open(path, "wx", keeps && present === undefined ? AS_THE_UMASK_SAYS : OWNER_ONLY);
  try {
    await reached("created");
    if (keeps && present !== undefined) await resemble(file, present);
    await write({
      write: async (bytes) => {
        await reached("writing");
        await file.writeFile(bytes);
      },
    });
    await reached("written");
    await file.sync();
    await reached("synced");
  } finally {
    await file.close();
  }
}

/** Puts what a stream makes of a file in the place of the target. */
async function transform(
  from: string,
  stream: TransformStream<Uint8Array, Uint8Array>,
  replacing: Replacing,
): Promise<void> {
  try {
    await replace(replacing, (temporary) => withFile(from, (file) => pump(file, stream, temporary)));
  } catch (error) {
    // One that nothing was written to would listen to the caller's signal for ever.
    await Promise.allSettled([stream.writable.abort(error)]);
    throw error;
  }
}

/** Both sides fail with one error, and both have stopped before this goes on. */
async function pump(
  file: FileHandle,
  { readable, writable }: TransformStream<Uint8Array, Uint8Array>,
  to: Temporary,
): Promise<void> {
  const sides = await Promise.allSettled([drain(readable, to), fill(file, writable)]);
  for (const side of sides) if (side.status === "rejected") throw side.reason;
}

async function fill(file: FileHandle, writable: WritableStream<Uint8Array>): Promise<void> {
  const writer = writable.getWriter();
  const buffer = new Uint8Array(READ_BYTES);
  try {
    for (let length = await next(); length > 0; length = await next())
      await writer.write(buffer.subarray(0, length));
    await writer.close();
  } catch (error) {
    await Promise.allSettled([writer.abort(error)]);
    throw error;
  } finally {
    buffer.fill(0);
  }

  async function next(): Promise<number> {
    return (await file.read(buffer, 0, buffer.length)).bytesRead;
  }
}

/** Writes what a stream gives, several pieces at a time, and wipes it. */
async function drain(readable: ReadableStream<Uint8Array>, to: Temporary): Promise<void> {
  const reader = readable.getReader();
  const buffer = new Uint8Array(WRITE_BYTES);
  let filled = 0;
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (filled + part.value.length > buffer.length) await flush();
      buffer.set(part.value, filled);
      filled += part.value.length;
      part.value.fill(0);
    }
    if (filled > 0) await flush();
  } catch (error) {
    await Promise.allSettled([reader.cancel(error)]);
    throw error;
  } finally {
    buffer.fill(0);
  }

  async function flush(): Promise<void> {
    await to.write(buffer.subarray(0, filled));
    filled = 0;
  }
}

/** The header of the envelope in a file. @throws as `rewrap` for what is no envelope, or cut */
async function headerOf(file: FileHandle): Promise<Uint8Array> {
  const { size } = await regular(file);
  const start = await readAt(file, 0, HEADER_START_BYTES);
  const rest = start.length < HEADER_START_BYTES ? 0 : headerLength(start) - start.length;
  const header = concat(start, await readAt(file, start.length, rest));
  plaintextBytes(size - decodeHeader(header).length);
  return header;
}

async function copy(file: FileHandle, from: number, to: Temporary): Promise<void> {
  for (let at = from; ; ) {
    const bytes = await readAt(file, at, READ_BYTES);
    if (bytes.length === 0) return;
    await to.write(bytes);
    at += bytes.length;
  }
}

/** Up to `length` bytes, fewer only where the file ends. */
async function readAt(file: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const { bytesRead } = await file.read(bytes, at, length - at, offset + at);
    if (bytesRead === 0) return bytes.subarray(0, at);
    at += bytesRead;
  }
  return bytes;
}

async function regular(file: FileHandle): Promise<Stats> {
  const stats = await file.stat();
  if (!stats.isFile()) throw notRegular();
  return stats;
}

/** What is to be replaced: where symbolic links lead to, or the path itself where nothing is there yet. */
async function presentAt(path: string): Promise<{ target: string; present: Stats | undefined }> {
  try {
    const target = await realpath(path);
    const present = await stat(target);
    if (!present.isFile()) throw notRegular();
    return { target, present };
  } catch (error) {
    if (systemCode(error) === "ENOENT") return { target: path, present: undefined };
    throw error;
  }
}

function notRegular(): KeyfoldError {
  return new KeyfoldError("ERR_IO", "This is no regular file.", { remedy: "Name one." });
}

function temporaryName(): string {
  return `.keyfold-${toHex(randomBytes(16))}.tmp`;
}

async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof Error) || systemCode(cause) === undefined) throw cause;
    throw new KeyfoldError("ERR_IO", `The file system refused: ${cause.message}.`, { cause });
  }
}

function requirePaths(...paths: readonly unknown[]): void {
  for (const path of paths) {
    requireArgument(
      typeof path === "string" && path !== "" && !path.includes("\0"),
      "The path of a file must be a string that is not empty.",
    );
  }
}
