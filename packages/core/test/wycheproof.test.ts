import { describe, expect, test } from "vitest";
import { openMessage, sealMessage } from "../src/cobblestone.ts";
import type { KeyfoldErrorCode } from "../src/errors.ts";
import type { ByteRange } from "../src/index.ts";
import { openRangeWith, plaintextLengthWith } from "../src/ranges.ts";
import { rejection } from "./support/behaviour.ts";
import { codeOf } from "./support/refusal.ts";
import { enveloped, openingStreamWith, resealingStream, through } from "./support/streaming.ts";
import {
  messageKeys,
  readWycheproof,
  refusalOfCase,
  sha512,
  type WycheproofCase,
} from "./support/vectors.ts";

/** What each invalid case must be refused with, by its number. */
const refused: Readonly<Partial<Record<KeyfoldErrorCode, readonly number[]>>> = {
  ERR_MESSAGE_ALTERED: [11, 12, 13, 14, 15, 18, 32, 33, 34, 35],
  ERR_MESSAGE_TRUNCATED: [16, 17, 19, 20, 27, 28, 29, 30, 31],
  ERR_CONTEXT_MISMATCH: [21, 22, 25, 26],
  ERR_INVALID_ARGUMENT: [23, 24],
};

const wycheproof = readWycheproof();

if ("absent" in wycheproof) {
  const { absent, required } = wycheproof;
  test.skipIf(!required)(`Wycheproof's 35 cases of Cobblestone-256: ${absent}`, () => {
    throw new Error(absent);
  });
} else {
  describe("Wycheproof's cases of Cobblestone-256", () => {
    const { cases } = wycheproof;
    const [valid, invalid] = (["valid", "invalid"] as const).map((wanted) =>
      cases.filter(({ result }) => result === wanted),
    ) as [WycheproofCase[], WycheproofCase[]];
    const derived = cases.flatMap(({ keys, ...one }) => (keys === undefined ? [] : [{ ...one, keys }]));

    test("are 35: 10 valid, and 25 invalid, each with its code", () => {
      expect(cases.map(({ tcId }) => tcId)).toEqual(Array.from({ length: 35 }, (_, i) => i + 1));
      expect(valid).toHaveLength(10);
      const ids = Object.values(refused).flat();
      expect(ids.toSorted((a, b) => a - b)).toEqual(invalid.map(({ tcId }) => tcId));
    });

    test.each(valid)("$tcId opens: $comment", ({ key, context, message, length, sha512: digest }) => {
      const plaintext = openMessage(key, context, message);
      expect([plaintext.length, sha512(plaintext)]).toEqual([length, digest]);
    });

    test.each(valid)("$tcId is sealed to the same bytes: $comment", ({ key, context, message }) => {
      const again = new Uint8Array(message.length);
      sealMessage(key, message.subarray(0, 24), context, openMessage(key, context, message), again);
      expect(sha512(again)).toBe(sha512(message));
    });

    test.each(derived)(
      "$tcId gives its AEAD key and base nonce: $comment",
      ({ key, context, message, keys }) => {
        expect(messageKeys(key, message.subarray(0, 24), context)).toMatchObject(keys);
      },
    );

    for (const [code, ids = []] of Object.entries(refused)) {
      test.each(invalid.filter(({ tcId }) => ids.includes(tcId)))(
        `$tcId is refused with ${code}: $comment`,
        (one) => {
          expect(codeOf(() => openMessage(one.key, one.context, one.message))).toBe(code);
          expect(refusalOfCase(one), "by its flags and its length").toBe(code);
        },
      );
    }

    describe.each([
      ["in one piece", [10_000_000]],
      ["in writes that straddle chunks", [16_383, 16_402]],
      ["byte by byte", [1]],
    ])("streamed %s", (_name, lengths) => {
      test.each(valid)(
        "$tcId is opened: $comment",
        async ({ key, context, message, length, sha512: digest }) => {
          const { bytes, failure } = await through(
            openingStreamWith(key, context),
            enveloped(message),
            lengths,
          );
          expect([failure, bytes.length, sha512(bytes)]).toEqual([undefined, length, digest]);
        },
      );

      test.each(valid)("$tcId is sealed to the same bytes: $comment", async ({ key, context, message }) => {
        const plaintext = openMessage(key, context, message);
        const { bytes, failure } = await through(resealingStream(key, message, context), plaintext, lengths);
        expect([failure, sha512(bytes)]).toEqual([undefined, sha512(message)]);
      });

      test.each(invalid)("$tcId fails, behind its valid prefix if it has one: $comment", async (one) => {
        const { key, context, message, flags, length, sha512: digest } = one;
        const stream = openingStreamWith(key, context);
        const { bytes, failure } = await through(stream, enveloped(message), lengths);
        expect(failure?.code).toBe(refusalOfCase(one));
        const prefix = flags.includes("PartialPlaintext") ? [length, digest] : [0, sha512(new Uint8Array(0))];
        expect([bytes.length, sha512(bytes)]).toEqual(prefix);
      });
    });

    describe("by range", () => {
      const lengthOf = ({ key, context, message }: WycheproofCase) =>
        plaintextLengthWith(async () => key.slice(), sourceOf(enveloped(message)), context);
      const openRange = ({ key, context, message }: WycheproofCase, range: ByteRange) =>
        openRangeWith(async () => key.slice(), sourceOf(enveloped(message)), context, range);
      const [withFinal, withoutFinal] = [true, false].map((has) =>
        invalid.filter(({ flags }) => flags.includes("ValidFinalChunk") === has),
      ) as [WycheproofCase[], WycheproofCase[]];

      test.each(valid)("$tcId has its length, and opens by parts: $comment", async (one) => {
        const { key, context, message, length = 0 } = one;
        const plaintext = openMessage(key, context, message);
        expect(await lengthOf(one)).toBe(length);
        const middle = Math.floor(length / 2);
        const parts = [{ start: 0 }, { start: middle }, { start: middle, end: length - 1 }, { last: 5 }];
        for (const range of length === 0 ? [{ start: 0 }, { last: 5 }] : parts) {
          const start = "last" in range ? Math.max(0, length - (range.last ?? 0)) : range.start;
          const opened = await openRange(one, range as ByteRange);
          expect(sha512(opened)).toBe(sha512(plaintext.subarray(start, "end" in range ? range.end : length)));
        }
      });

      test.each(withFinal)("$tcId has a length, and does not open whole: $comment", async (one) => {
        expect(await lengthOf(one)).toBe(sizeOf(one));
        expect((await rejection(openRange(one, { start: 0 }))).code).toBe("ERR_MESSAGE_ALTERED");
      });

      test.each(withoutFinal)("$tcId has no length, and nothing at its end: $comment", async (one) => {
        const code = refusalOfCase(one);
        expect((await rejection(lengthOf(one))).code).toBe(code);
        expect((await rejection(openRange(one, { last: 1 }))).code).toBe(code);
        expect((await rejection(openRange(one, { start: 0 }))).code).toBe(code);
      });

      const partial = invalid.filter(({ flags }) => flags.includes("PartialPlaintext"));
      test.each(partial)("$tcId opens as far as it is valid, if its size is one: $comment", async (one) => {
        const { length = 0, sha512: digest } = one;
        const whole = refusalOfCase(one);
        if (whole === "ERR_MESSAGE_TRUNCATED") {
          expect((await rejection(openRange(one, { start: 0, end: 1 }))).code).toBe(whole);
          return;
        }
        const before = await openRange(one, { start: 0, end: length - 1 });
        const rest = openRange(one, { start: length - 1, end: length });
        // Where the valid part is all that the size promises, its last byte touches the end, which is not valid.
        if (length === sizeOf(one)) expect((await rejection(rest)).code).toBe("ERR_MESSAGE_ALTERED");
        else expect(sha512(Buffer.concat([before, await rest]))).toBe(digest);
      });

      test("four have a valid final chunk, nine a valid prefix", () => {
        expect([withFinal.length, partial.length]).toEqual([4, 9]);
      });
    });
  });
}

/** The length of the plaintext that the length of the message promises. */
function sizeOf({ message }: WycheproofCase): number {
  const chunks = message.length - 56;
  return chunks - 16 * Math.ceil(chunks / 16_400);
}

function sourceOf(bytes: Uint8Array) {
  return {
    size: bytes.length,
    read: async (offset: number, length: number) => bytes.subarray(offset, offset + length),
  };
}
