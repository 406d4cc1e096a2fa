/** Every bit of a sealed envelope flipped, and every truncation of it: which code each opener refuses it with. */

import { describe, expect, test } from "vitest";
import type { KeyfoldErrorCode } from "../src/errors.ts";
import type { Keyfold } from "../src/keyfold.ts";
import { context, keyfoldWith, rejection, sealedBy } from "./support/behaviour.ts";
import { MemoryKms } from "./support/memory-kms.ts";

const PLAINTEXT = "a secret of 24 bytes ...";

/**
 * What a flipped bit of each field is refused with, without the ERR_. A cold opener has nothing in memory; a warm one has
 * opened the envelope before. A key that was tried alone gives its own code, several give UNWRAP_FAILED.
 *
 * A length that differs is always malformed: that the random bytes of a wrapped key happen to read as another wrap, and
 * the block to end where that one does, has a chance of less than 2^-28.
 */
const table = rowsOf(`
  field                     | one wrap, cold      | one wrap, warm      | three, cold         | three, warm
  magic                     | NOT_AN_ENVELOPE     | NOT_AN_ENVELOPE     | NOT_AN_ENVELOPE     | NOT_AN_ENVELOPE
  version                   | UNSUPPORTED_VERSION | UNSUPPORTED_VERSION | UNSUPPORTED_VERSION | UNSUPPORTED_VERSION
  flag of embedded wraps    | NO_USABLE_WRAP      | HEADER_REJECTED     | NO_USABLE_WRAP      | HEADER_REJECTED
  other flags               | UNSUPPORTED_VERSION | UNSUPPORTED_VERSION | UNSUPPORTED_VERSION | UNSUPPORTED_VERSION
  kdkId                     | KEY_MISMATCH        | KEY_MISMATCH        | UNWRAP_FAILED       | UNWRAP_FAILED
  salt                      | HEADER_REJECTED     | HEADER_REJECTED     | HEADER_REJECTED     | HEADER_REJECTED
  length of the wraps       | MALFORMED_ENVELOPE  | MALFORMED_ENVELOPE  | MALFORMED_ENVELOPE  | MALFORMED_ENVELOPE
  count of the wraps        | MALFORMED_ENVELOPE  | MALFORMED_ENVELOPE  | MALFORMED_ENVELOPE  | MALFORMED_ENVELOPE
  length of a URI           | MALFORMED_ENVELOPE  | MALFORMED_ENVELOPE  | MALFORMED_ENVELOPE  | MALFORMED_ENVELOPE
  URI, to another URI       | NO_USABLE_WRAP      | HEADER_REJECTED     | HEADER_REJECTED     | HEADER_REJECTED
  URI, to no URI            | MALFORMED_ENVELOPE  | MALFORMED_ENVELOPE  | MALFORMED_ENVELOPE  | MALFORMED_ENVELOPE
  length of a wrapped key   | MALFORMED_ENVELOPE  | MALFORMED_ENVELOPE  | MALFORMED_ENVELOPE  | MALFORMED_ENVELOPE
  wrapped key               | MASTER_KEY_REJECTED | HEADER_REJECTED     | HEADER_REJECTED     | HEADER_REJECTED
  nonce                     | HEADER_REJECTED     | HEADER_REJECTED     | HEADER_REJECTED     | HEADER_REJECTED
  sealed DEK                | HEADER_REJECTED     | HEADER_REJECTED     | HEADER_REJECTED     | HEADER_REJECTED
  message salt              | CONTEXT_MISMATCH    | CONTEXT_MISMATCH    | CONTEXT_MISMATCH    | CONTEXT_MISMATCH
  commitment                | CONTEXT_MISMATCH    | CONTEXT_MISMATCH    | CONTEXT_MISMATCH    | CONTEXT_MISMATCH
  ciphertext                | MESSAGE_ALTERED     | MESSAGE_ALTERED     | MESSAGE_ALTERED     | MESSAGE_ALTERED
  tag                       | MESSAGE_ALTERED     | MESSAGE_ALTERED     | MESSAGE_ALTERED     | MESSAGE_ALTERED
`);

const openers = ["one wrap, cold", "one wrap, warm", "three, cold", "three, warm"].map((name) => {
  const uris = name.startsWith("one") ? ["memory:one"] : ["memory:one", "memory:two", "memory:three"];
  return { name, masterKeys: uris.map((uri) => new MemoryKms(uri)), warm: name.endsWith("warm") };
});

describe.each(openers)("$name:", ({ name, masterKeys, warm }) => {
  const rows = table.map((row) => ({ field: row["field"], code: `ERR_${row[name]}` }));

  test.each(rows)("a flipped bit of $field is refused with $code", async ({ field: wanted, code }) => {
    const envelope = await sealedBy(masterKeys, PLAINTEXT);
    const opener = await openerOf(envelope);
    const refused = new Map<string, number[]>();
    for (const { field, bit } of bitsOf(envelope)) {
      if (field !== wanted) continue;
      const by = await refusal(opener(), flipped(envelope, bit));
      refused.set(by, [...(refused.get(by) ?? []), bit]);
    }
    expect([...refused.keys()], JSON.stringify([...refused])).toEqual([code]);
    expect(await opener().openText(envelope, context)).toBe(PLAINTEXT);
  });

  test("every truncation is refused with the code of its length", async () => {
    const envelope = await sealedBy(masterKeys, PLAINTEXT);
    const opener = await openerOf(envelope);
    const header = envelope.length - (24 + 32 + PLAINTEXT.length + 16);
    for (let length = 0; length < envelope.length; length++) {
      const code = await refusal(opener(), envelope.slice(0, length));
      expect([length, code]).toEqual([length, codeOfCut(length, header)]);
    }
    expect(await opener().openText(envelope, context)).toBe(PLAINTEXT);
  });

  describe("a plaintext of a chunk and ten bytes", () => {
    const plaintext = "x".repeat(16_384 + 10);
    const chunks = 16_384 + 16 + 10 + 16;
    /** From the first chunk: the first and the last byte of each ciphertext and each tag. */
    const bytes = [0, 16_383, 16_384, 16_399, 16_400, 16_409, 16_410, 16_425];
    const lengths = [-1, 0, 15, 16, 16_399, 16_400, 16_415, 16_416, 16_425, 16_427, 32_799, 32_800, 32_816];

    test("is refused with ERR_MESSAGE_ALTERED where a bit at a chunk's border is flipped", async () => {
      const envelope = await sealedBy(masterKeys, plaintext);
      const opener = await openerOf(envelope);
      for (const offset of bytes) {
        const byte = envelope.length - chunks + offset;
        for (const bit of [8 * byte, 8 * byte + 7])
          expect([offset, await refusal(opener(), flipped(envelope, bit))]).toEqual([
            offset,
            "ERR_MESSAGE_ALTERED",
          ]);
      }
      expect(await opener().openText(envelope, context)).toBe(plaintext);
    });

    test("is refused with the code of its length where it is cut or extended near a chunk's border", async () => {
      const envelope = await sealedBy(masterKeys, plaintext);
      const opener = await openerOf(envelope);
      const first = envelope.length - chunks;
      for (const length of lengths.map((offset) => first + offset)) {
        const resized = new Uint8Array(length);
        resized.set(envelope.subarray(0, length));
        const code = await refusal(opener(), resized);
        expect([length - first, code]).toEqual([length - first, codeOfCut(length, first - 56)]);
      }
      expect(await opener().openText(envelope, context)).toBe(plaintext);
    });
  });

  /** Gives the keyfold for one attempt: a new one every time, or one that knows the envelope's keys. */
  async function openerOf(envelope: Uint8Array): Promise<() => Keyfold> {
    const make = () => keyfoldWith({ masterKeys, unwrapBudget: { burst: Number.POSITIVE_INFINITY } });
    if (!warm) return make;
    const keyfold = make();
    await keyfold.open(envelope, context);
    return () => keyfold;
  }
});

describe("the table", () => {
  test.each(openers)(
    "has a row for every bit of an envelope, and a bit for every row: $name",
    async ({ masterKeys }) => {
      const envelope = await sealedBy(masterKeys, PLAINTEXT);
      const bits = bitsOf(envelope);
      expect(bits.map(({ bit }) => bit)).toEqual(
        Array.from({ length: 8 * envelope.length }, (_, bit) => bit),
      );
      expect(new Set(bits.map(({ field }) => field))).toEqual(new Set(table.map(({ field }) => field)));
    },
  );
});

async function refusal(keyfold: Keyfold, envelope: Uint8Array): Promise<string> {
  return (await rejection(keyfold.open(envelope, context))).code;
}

/** Bit 8 × i is the lowest of byte i. */
function flipped(envelope: Uint8Array, bit: number): Uint8Array {
  const copy = envelope.slice();
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}

/** What an envelope that was cut or extended to `length` is refused with, by whichever opener. */
function codeOfCut(length: number, header: number): KeyfoldErrorCode {
  if (length < 4) return "ERR_NOT_AN_ENVELOPE";
  if (length < header) return "ERR_MALFORMED_ENVELOPE";
  const message = length - header;
  const isTruncated = message < 56 || (message - 56) % 16_400 < 16;
  return isTruncated ? "ERR_MESSAGE_TRUNCATED" : "ERR_MESSAGE_ALTERED";
}

interface Bit {
  readonly bit: number;
  readonly field: string;
}

/** Which field each bit of an envelope stands in, read from the envelope by the specification and nothing else. */
function bitsOf(envelope: Uint8Array): Bit[] {
  const fields: string[] = [];
  const take = (bytes: number, field: string | ((byte: number, bit: number) => string)) => {
    for (let i = 0; i < 8 * bytes; i++) {
      const byte = envelope[fields.length >> 3] ?? 0;
      fields.push(typeof field === "string" ? field : field(byte, i % 8));
    }
  };
  const lengthAt = (at: number) => 256 * (envelope[at] ?? 0) + (envelope[at + 1] ?? 0);
  const next = () => fields.length >> 3;

  take(2, "magic");
  take(1, "version");
  take(1, (_, bit) => (bit === 0 ? "flag of embedded wraps" : "other flags"));
  take(16, "kdkId");
  take(16, "salt");
  const wrapsEnd = next() + 2 + lengthAt(next());
  take(2, "length of the wraps");
  take(1, "count of the wraps");
  while (next() < wrapsEnd) {
    const uri = lengthAt(next());
    take(2, "length of a URI");
    take(uri, (byte, bit) => {
      const other = byte ^ (1 << bit);
      return other >= 0x21 && other <= 0x7e ? "URI, to another URI" : "URI, to no URI";
    });
    const wrapped = lengthAt(next());
    take(2, "length of a wrapped key");
    take(wrapped, "wrapped key");
  }
  take(12, "nonce");
  take(48, "sealed DEK");
  take(24, "message salt");
  take(32, "commitment");
  take(PLAINTEXT.length, "ciphertext");
  take(16, "tag");
  return fields.map((field, bit) => ({ field, bit }));
}

/** The rows of a table whose first line names its columns. */
function rowsOf(text: string): Record<string, string>[] {
  const [names = [], ...rows] = text
    .trim()
    .split("\n")
    .map((line) => line.split("|").map((cell) => cell.trim()));
  return rows.map((cells) => Object.fromEntries(cells.map((cell, i) => [names[i] ?? "", cell])));
}
