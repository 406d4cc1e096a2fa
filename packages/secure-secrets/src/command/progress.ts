/** How far a run is: a line that changes on a terminal, and nothing at all anywhere else. */

import type { CommandIo } from "./io.ts";

/** Milliseconds between two states of the line. */
const INTERVAL = 100;
const CLEAR = "\r\u001b[K";

export class Progress {
  readonly #stderr: CommandIo["stderr"];
  readonly #started = performance.now();
  #shown = Number.NEGATIVE_INFINITY;

  constructor(stderr: CommandIo["stderr"]) {
    this.#stderr = stderr;
  }

  /** So many are migrated by now. */
  show(migrated: number): void {
    const now = performance.now();
    if (this.#stderr.isTTY !== true || now - this.#shown < INTERVAL) return;
    this.#shown = now;
    const rate = Math.round((migrated / Math.max(now - this.#started, 1)) * 1_000);
    this.#stderr.write(`${CLEAR}${decimal(migrated)} migrated, ${decimal(rate)} a second`);
  }

  /** A line that stays, above the one that changes. */
  say(line: string): void {
    if (this.#shown > Number.NEGATIVE_INFINITY) this.#stderr.write(CLEAR);
    this.#shown = Number.NEGATIVE_INFINITY;
    this.#stderr.write(`${line}\n`);
  }
}

export function decimal(count: number): string {
  return count.toLocaleString("en-US");
}
