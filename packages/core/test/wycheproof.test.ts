import { describe, expect, test } from "vitest";
import { openMessage, sealMessage } from "../src/cobblestone.ts";
import type { KeyfoldErrorCode } from "../src/errors.ts";
import { codeOf } from "./support/refusal.ts";
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
  });
}
