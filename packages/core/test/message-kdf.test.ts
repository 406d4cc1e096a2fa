/** The message's key expansion, against the general one of node:crypto's HMAC. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expandInto } from "../src/hkdf.ts";
import { MessageKdf } from "../src/message-kdf.ts";

const bytes = (least: number, most: number) =>
  fc.uint8Array({ minLength: least, maxLength: most, size: "max" });
const key = bytes(32, 32);
const salt = bytes(24, 24);

describe.each([{ leavesNothing: true }, { leavesNothing: false }])(
  "the expansion of a message's keys: %o",
  (options) => {
    test("is HKDF-Expand, whatever was expanded before, and for contexts that outgrow its room", () => {
      const label = new TextEncoder().encode("a label\0");
      const kdf = new MessageKdf(label, options);
      fc.assert(
        fc.property(
          key,
          salt,
          bytes(0, 9_000),
          fc.integer({ min: 65, max: 128 }),
          (key, salt, context, length) => {
            const mine = Buffer.alloc(length);
            const theirs = new Uint8Array(length);
            kdf.expandInto(mine, key, salt, context);
            expandInto(theirs, key, label, salt, context);
            expect(new Uint8Array(mine)).toEqual(theirs);
          },
        ),
      );
    });

    test("leaves key, salt and context as they were", () => {
      const kdf = new MessageKdf(new Uint8Array(7), options);
      const [key, salt, context] = [32, 24, 50].map((length) => new Uint8Array(length).fill(0xa5)) as [
        Uint8Array,
        Uint8Array,
        Uint8Array,
      ];
      kdf.expandInto(Buffer.alloc(76), key, salt, context);
      for (const input of [key, salt, context])
        expect(input).toEqual(new Uint8Array(input.length).fill(0xa5));
    });
  },
);
