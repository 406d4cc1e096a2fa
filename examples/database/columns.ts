/** Columns of Drizzle that are sealed in the database. Drizzle converts values synchronously, and so do these. */

import type { Keyfold } from "@keyfold/core";
import { customType } from "drizzle-orm/sqlite-core";

/** What every value of a column is bound to. */
export interface Place {
  readonly table: string;
  readonly column: string;
}

/**
 * A column whose values are plain text in the program. It is bound to its table and its column and, as Drizzle shows a
 * custom type the value alone, not to the row: whoever can write to the database can swap two rows' values unnoticed.
 */
export function sealedText(keyfold: Keyfold, place: Place) {
  return customType<{ data: string; driverData: string }>({
    dataType: () => "text",
    toDriver: (text) => keyfold.sealTextSync(text, { ...place }),
    fromDriver: (envelope) => keyfold.openTextSync(envelope, { ...place }),
  });
}

/** A value that is bound to its row too: it is still sealed when Drizzle gives it out, and opens with the row's id. */
export class SealedCell {
  readonly envelope: string;
  readonly #open: (envelope: string, id: string) => string;

  constructor(envelope: string, open: (envelope: string, id: string) => string) {
    this.envelope = envelope;
    this.#open = open;
  }

  /** @param id of the row that it stands in; of any other row it is `ERR_CONTEXT_MISMATCH` */
  open(id: string): string {
    return this.#open(this.envelope, id);
  }
}

/** A column of such values: the type for the schema, and what seals a value for a row. */
export function sealedCell(keyfold: Keyfold, place: Place) {
  const open = (envelope: string, id: string) => keyfold.openTextSync(envelope, { ...place, id });
  const type = customType<{ data: SealedCell; driverData: string }>({
    dataType: () => "text",
    toDriver: ({ envelope }) => envelope,
    fromDriver: (envelope) => new SealedCell(envelope, open),
  });
  const seal = (text: string, id: string) =>
    new SealedCell(keyfold.sealTextSync(text, { ...place, id }), open);
  return { type, seal };
}
