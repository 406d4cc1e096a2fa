/** Gives every envelope of the table a header under the present master key. No row is decrypted, and no context is needed. */

import type { DatabaseSync } from "node:sqlite";
import type { Keyfold } from "@keyfold/core";

/** Rows that are read at a time, and written in one transaction. */
const PAGE = 500;

const columns = ["email", "token"] as const;

interface Cell {
  readonly id: string;
  readonly column: (typeof columns)[number];
  readonly envelope: string;
}

/** What became of the table. */
export interface Rewrapped {
  readonly rewrapped: number;
  /** The cells that were refused, and why; they stay as they are. */
  readonly refused: readonly string[];
}

export async function rewrapUsers(sqlite: DatabaseSync, keyfold: Keyfold): Promise<Rewrapped> {
  const refused: string[] = [];
  let rewrapped = 0;
  const cells: Cell[] = [];
  // The results come in the order of the envelopes, so that a queue is enough to know whose each is.
  async function* envelopes(): AsyncGenerator<string> {
    for (const cell of cellsOf(sqlite)) {
      cells.push(cell);
      yield cell.envelope;
    }
  }
  for await (const result of keyfold.rewrapMany(envelopes())) {
    const cell = cells.shift();
    if (cell === undefined) throw new Error("There are more results than envelopes.");
    if (!result.ok) refused.push(`${cell.column} of ${cell.id}: ${result.error.code}`);
    else rewrapped += replace(sqlite, cell, result.value);
  }
  return { rewrapped, refused };
}

/** Read page by page, so that no cursor is open while rows are written. */
function* cellsOf(sqlite: DatabaseSync): Generator<Cell> {
  const page = sqlite.prepare("select id, email, token from users where id > ? order by id limit ?");
  for (let last = ""; ; ) {
    const rows = page.all(last, PAGE) as unknown as { id: string; email: string; token: string }[];
    for (const row of rows) {
      for (const column of columns) yield { id: row.id, column, envelope: row[column] };
      last = row.id;
    }
    if (rows.length < PAGE) return;
  }
}

/** Not where somebody has written to the cell meanwhile: what they wrote is under the present key already. */
function replace(sqlite: DatabaseSync, { id, column, envelope }: Cell, rewrapped: string): number {
  const update = sqlite.prepare(`update users set ${column} = ? where id = ? and ${column} = ?`);
  return Number(update.run(rewrapped, id, envelope).changes);
}
