/** What a command is given of the process that runs it. */

import type { Readable, Writable } from "node:stream";

export interface CommandIo {
  /** What stands behind the command's name. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable & { readonly isTTY?: boolean };
  /** Aborts when the run is to end in good order. */
  readonly signal: AbortSignal;
}

/** Ends a command with a message and a status. */
export class CommandError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Statuses of the process; 130 and 143 are those of its signals. */
export const DONE = 0;
export const SOME_REFUSED = 1;
export const WRONG_USAGE = 2;
export const FAILED = 3;

/** The message of a wrong argument, with where to read on. */
export function wrongUsage(message: string): CommandError {
  return new CommandError(WRONG_USAGE, `${message}\nTry: secure-secrets migrate --help`);
}
