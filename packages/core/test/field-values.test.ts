/** Values of fields as bytes. docs/spec/fields-v1.md, "Values". */

import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeFieldValue, encodeFieldValue, type FieldValue } from "../src/field-values.ts";
import { hex, unhex } from "./support/hex.ts";
import { codeOf, refusalOf } from "./support/refusal.ts";

const encode = (value: unknown) => encodeFieldValue(value, "field");
const decode = (bytes: Uint8Array) => decodeFieldValue(bytes, "field");

const jsonText = (text: string) => `07${Buffer.from(text).toString("hex")}`;

/** Values with the bytes that the specification gives them. */
const table: readonly (readonly [FieldValue, string])[] = [
  [null, "00"],
  [false, "0100"],
  [true, "0101"],
  [0, "020000000000000000"],
  [-0, "028000000000000000"],
  [1, "023ff0000000000000"],
  [0.1, "023fb999999999999a"],
  [Number.NaN, "027ff8000000000000"],
  [Number.POSITIVE_INFINITY, "027ff0000000000000"],
  [Number.NEGATIVE_INFINITY, "02fff0000000000000"],
  [Number.MIN_VALUE, "020000000000000001"],
  [Number.MAX_SAFE_INTEGER, "02433fffffffffffff"],
  [0n, "0300"],
  [-1n, "03ff"],
  [127n, "037f"],
  [128n, "030080"],
  [-128n, "0380"],
  [-129n, "03ff7f"],
  [2n ** 64n, "03010000000000000000"],
  [-(2n ** 63n), "038000000000000000"],
  ["", "04"],
  ["é\u{1f511}", "04c3a9f09f9491"],
  ["\ufeffBOM", "04efbbbf424f4d"],
  [new Uint8Array(0), "05"],
  [Uint8Array.of(0, 255), "0500ff"],
  [new Date(0), "060000000000000000"],
  [new Date("2026-01-01T00:00:00.123Z"), "060000019b76daa87b"],
  [new Date(-1), "06ffffffffffffffff"],
  [new Date(8.64e15), "06001eb208c2dc0000"],
  [new Date(-8.64e15), "06ffe14df73d240000"],
  [{}, jsonText("{}")],
  [[], jsonText("[]")],
  [
    [1, -0, 1e21, 0.5, null, true, "\ud800", { "": [] }],
    jsonText('[1,-0,1e+21,0.5,null,true,"\\ud800",{"":[]}]'),
  ],
  [{ b: 1, a: { c: "é" } }, jsonText('{"b":1,"a":{"c":"é"}}')],
];

describe("every kind of value", () => {
  test.each(table)("%o has its bytes, and comes back from them", (value, bytes) => {
    expect(hex(encode(value))).toBe(bytes);
    const back = decode(unhex(bytes));
    expect(back).toStrictEqual(value);
    expect(Object.is(back, value) || typeof value === "object").toBe(true);
  });

  test("a Buffer comes back as a Uint8Array, and what comes back is in memory of its own", () => {
    const encoded = encode(Buffer.from("key"));
    const back = decode(encoded);
    expect(Object.getPrototypeOf(back)).toBe(Uint8Array.prototype);
    encoded.fill(0);
    expect(back).toEqual(new Uint8Array(Buffer.from("key")));
  });

  test("values of another realm are what they are here", () => {
    expect(hex(encode(runInNewContext("new Date(0)")))).toBe("060000000000000000");
    expect(hex(encode(runInNewContext("Uint8Array.of(1)")))).toBe("0501");
    expect(hex(encode(runInNewContext("({ a: [1] })")))).toBe(jsonText('{"a":[1]}'));
  });

  test("objects of no prototype are JSON too", () => {
    expect(hex(encode(Object.assign(Object.create(null), { a: 1 })))).toBe(jsonText('{"a":1}'));
  });

  test("a key named __proto__ comes back as a key", () => {
    const value = JSON.parse('{"__proto__": {"a": 1}}');
    const back = decode(encode(value));
    expect(Object.keys(back as object)).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(back)).toBe(Object.prototype);
  });
});

describe("what would not come back as it was", () => {
  const circle: { self?: unknown } = {};
  circle.self = circle;
  const deep = (levels: number): unknown => (levels === 0 ? [] : [deep(levels - 1)]);
  class Money {
    cents = 5;
  }

  test.each<[string, unknown, string]>([
    ["undefined", undefined, '"field" is of the type undefined'],
    ["a symbol", Symbol("s"), '"field" is of the type symbol'],
    ["a function", () => 1, '"field" is of the type function'],
    ["ill-formed text", "\ud800", '"field" is ill-formed text'],
    ["an invalid date", new Date(Number.NaN), '"field" is an invalid date'],
    ["a map", new Map(), '"field" is an instance of a class'],
    ["a class's instance", new Money(), '"field" is an instance of a class'],
    ["a boxed string", Object("text"), '"field" is an instance of a class'],
    ["an ArrayBuffer", new ArrayBuffer(2), '"field" is an instance of a class'],
    ["other typed arrays", new Uint16Array(2), '"field" is an instance of a class'],
    ["undefined in JSON", { a: { b: undefined } }, '"field.a.b" is of the type undefined'],
    ["a hole in JSON", Array(1), '"field[0]" is of the type undefined'],
    ["NaN in JSON", { "a.b": [Number.NaN] }, '"field.a\\\\.b[0]" is NaN'],
    ["infinity in JSON", [Number.NEGATIVE_INFINITY], '"field[0]" is -Infinity'],
    ["a bigint in JSON", [1n], '"field[0]" is of the type bigint'],
    ["a date in JSON", { at: new Date(0) }, '"field.at" is an instance of a class'],
    ["bytes in JSON", { key: new Uint8Array(1) }, '"field.key" is an instance of a class'],
    ["toJSON", { toJSON: () => 5 }, '"field.toJSON" is of the type function'],
    ["a symbol for a key", { [Symbol("s")]: 1 }, '"field" is an instance of a class, or has symbols'],
    ["a circle", circle, "is in JSON of more than 500 levels, or in a circle"],
    ["501 levels", deep(501), "is in JSON of more than 500 levels, or in a circle"],
  ])("is ERR_FIELD with its path: %s", (_, value, named) => {
    const error = refusalOf(() => encode(value));
    expect(error.code).toBe("ERR_FIELD");
    expect(error.message).toContain(named);
  });

  test("500 levels are not too many", () => {
    const value = deep(500) as FieldValue;
    expect(decode(encode(value))).toEqual(value);
  });
});

describe("bytes that no value has are ERR_FIELD", () => {
  test.each([
    ["nothing", ""],
    ["an unknown type", "08"],
    ["an unknown type", "ff00"],
    ["null and more", "0000"],
    ["a boolean of no byte", "01"],
    ["a boolean of two", "010101"],
    ["a boolean that is neither", "0102"],
    ["a number cut short", "023ff00000000000"],
    ["a number and more", "023ff000000000000000"],
    ["another NaN", "027ff8000000000001"],
    ["a negative NaN", "02fff8000000000000"],
    ["a signalling NaN", "027ff0000000000001"],
    ["a bigint of no byte", "03"],
    ["a bigint with a zero too many", "03007f"],
    ["a bigint with a sign too many", "03ff80"],
    ["text that is not UTF-8", "04ff"],
    ["text with a surrogate", "04eda080"],
    ["a date cut short", "0600"],
    ["a date after the last", "06001eb208c2dc0001"],
    ["a date before the first", "06ffe14df73d23ffff"],
    ["JSON of nothing", "07"],
    ["JSON that is none", jsonText("{")],
    ["JSON of one value", jsonText("5")],
    ["JSON of a text", jsonText('"text"')],
    ["JSON of null", jsonText("null")],
    ["JSON that is not UTF-8", "07ff"],
  ])("%s", (_, bytes) => {
    expect(codeOf(() => decode(unhex(bytes)))).toBe("ERR_FIELD");
  });
});

describe("for any value", () => {
  const text = fc.string({ unit: "binary" });
  const json = fc.jsonValue({ noUnicodeString: false });
  const value = fc.oneof(
    fc.constant(null),
    fc.boolean(),
    fc.double(),
    fc.bigInt(),
    text,
    fc.uint8Array(),
    fc.date({ noInvalidDate: true }),
    fc.oneof(fc.array(json), fc.dictionary(fc.string(), json)),
  );

  test("what was encoded comes back, in the same type", () => {
    fc.assert(
      fc.property(value, (value) => {
        expect(decode(encode(value))).toEqual(value);
      }),
      { numRuns: 2_000 },
    );
  });

  test("two values have the same bytes only where they are one", () => {
    fc.assert(
      fc.property(value, value, (a, b) => {
        if (hex(encode(a)) === hex(encode(b))) expect(a).toEqual(b);
      }),
    );
  });

  test("bytes either are a value's own, or are refused; of JSON there may be another writing", () => {
    const bytes = fc.oneof(
      fc.uint8Array(),
      fc
        .tuple(fc.nat(8), fc.uint8Array({ maxLength: 9 }))
        .map(([type, rest]) => Uint8Array.of(type, ...rest)),
    );
    fc.assert(
      fc.property(bytes, (bytes) => {
        let value: FieldValue;
        try {
          value = decode(bytes);
        } catch (error) {
          expect(error).toMatchObject({ code: "ERR_FIELD" });
          return;
        }
        if (bytes[0] !== 7) expect(hex(encode(value))).toBe(hex(bytes));
      }),
      { numRuns: 5_000 },
    );
  });
});
