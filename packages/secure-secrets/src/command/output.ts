/** Where the envelopes go: standard output, a new file, or the file of a run that was interrupted. */

import { createReadStream, createWriteStream, type WriteStream } from "node:fs";
import { open, truncate } from "node:fs/promises";
import type { Keyfold } from "@keyfold/core";
import { CommandError, FAILED, wrongUsage } from "./io.ts";
import { linesOf } from "./lines.ts";
import { idOf, nameOf, objectOf, type RecordId, RefusedLine } from "./records.ts";

export function outputLine(id: RecordId, envelope: string): string {
  return `${JSON.stringify({ id, envelope })}\n`;
}

/** What every output line begins with. A half line that does not was not written here. */
const BEGINNING = '{"id":';

/** A new file that its owner alone may read. On its end it is on the disk. @throws `CommandError` where there is one */
export async function newFile(path: string): Promise<WriteStream> {
  try {
    const handle = await open(path, "wx", 0o600);
    return handle.createWriteStream({ flush: true });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    throw wrongUsage("The output file exists. --resume goes on with it; it is never overwritten.");
  }
}

/** Goes on at the end of a file: after its last whole line, once {@link linesDone} has found that. */
export async function continuedFile(path: string, wholeBytes: number): Promise<WriteStream> {
  await truncate(path, wholeBytes);
  return createWriteStream(path, { flags: "a", flush: true });
}

/** What an earlier run has written. */
export interface Done {
  readonly names: ReadonlySet<string>;
  /** Bytes up to the end of the last whole line. */
  readonly wholeBytes: number;
}

/**
 * Reads the file of an earlier run, and changes nothing.
 *
 * @returns undefined where there is no file
 * @throws `CommandError` for a file that this command did not write
 */
export async function linesDone(path: string, keyfold: Keyfold): Promise<Done | undefined> {
  const names = new Set<string>();
  let wholeBytes = 0;
  try {
    for await (const line of linesOf(createReadStream(path))) {
      if (line.isWhole) {
        names.add(nameOf(idOfOutput(objectOf(line), keyfold)));
        wholeBytes += line.bytes.length + 1;
      } else requireHalfLine(line.bytes);
    }
    return { names, wholeBytes };
  } catch (error) {
    if (error instanceof RefusedLine) throw notOurs(path);
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

function idOfOutput(object: Readonly<Record<string, unknown>>, keyfold: Keyfold): RecordId {
  if (!keyfold.isSealed(object["envelope"])) throw new RefusedLine("The line holds no envelope.");
  return idOf(object);
}

function requireHalfLine(bytes: Uint8Array): void {
  const start = Buffer.from(bytes.subarray(0, BEGINNING.length)).toString("latin1");
  if (!BEGINNING.startsWith(start)) throw new RefusedLine("The line was not written here.");
}

function notOurs(path: string): CommandError {
  return new CommandError(
    FAILED,
    `${path} holds lines that this command did not write. It was left as it is: give another --output.`,
  );
}
