/** What fast-check draws: documents within the format's limits. */

import fc from "fast-check";
import type { KdkState, KeyringDocument, KeyringEntry } from "../../src/keyring-document.ts";
import { bytesOf, smallWraps, wrapsOf } from "./arbitraries.ts";

/** 1970-01-01T00:00:00Z to 9999-12-31T23:59:59Z. */
export const unixSeconds: fc.Arbitrary<number> = fc.integer({ min: 0, max: 253_402_300_799 });

const state = fc.constantFrom<KdkState>("active", "retired", "destroyed");

export const entry: fc.Arbitrary<KeyringEntry> = fc
  .record({ id: bytesOf(16), created: unixSeconds, state, sealed: bytesOf(60) })
  .map((each) => (each.state === "destroyed" ? { ...each, sealed: new Uint8Array(0) } : each));

const shortText = fc.string({ unit: "binary", maxLength: 24 });
const ownContext = fc
  .dictionary(
    shortText.filter((key) => key !== "" && !key.startsWith("keyfold:")),
    shortText,
    { maxKeys: 5 },
  )
  .map((context) => Object.fromEntries(Object.entries(context)));

/** 1 to 255 bytes: at most four of UTF-8 for each of 63. */
const project = fc.string({ unit: "binary", minLength: 1, maxLength: 63 });

export const keyringDocument: fc.Arbitrary<KeyringDocument> = fc.record({
  project,
  id: bytesOf(16),
  sequence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  kmsContext: ownContext,
  wraps: fc.oneof(smallWraps, wrapsOf({ min: 1, max: 16 })),
  keys: fc.uniqueArray(entry, {
    selector: ({ id }) => Buffer.from(id).toString("hex"),
    minLength: 1,
    maxLength: 12,
  }),
  mac: bytesOf(32),
});
