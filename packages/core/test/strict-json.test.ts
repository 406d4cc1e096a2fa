import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseStrictJson, type StrictJson, StrictJsonError } from "../src/strict-json.ts";

/** As `JSON.parse` would give it. */
function plain(value: StrictJson): unknown {
  if (value instanceof Map) return Object.fromEntries([...value].map(([name, item]) => [name, plain(item)]));
  return Array.isArray(value) ? value.map(plain) : value;
}

function refusal(text: string): string {
  try {
    parseStrictJson(text);
  } catch (error) {
    if (error instanceof StrictJsonError) return error.message;
    throw error;
  }
  return "nothing was refused";
}

const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.string({ unit: "grapheme" }),
    fc.maxSafeNat(),
    fc.array(tie("tree"), { maxLength: 4 }),
    fc.dictionary(fc.string({ unit: "binary" }), tie("tree"), { maxKeys: 4 }),
  ),
}));
const indent = fc.constantFrom("", " ", "\t", "    ");

describe("strict JSON", () => {
  test("reads what JSON.stringify writes, as JSON.parse does", () => {
    fc.assert(
      fc.property(tree, indent, (value, space) => {
        const text = JSON.stringify(value, null, space);
        expect(plain(parseStrictJson(text))).toEqual(JSON.parse(text));
      }),
    );
  });

  test("accepts nothing that JSON.parse refuses, and reads nothing otherwise", () => {
    const soup = fc.string({
      unit: fc.constantFrom(...'{}[]":,\\u0aA1.-e \t\n\rtruefalsn\u00a0\ufeff\0', "\u{1f511}"),
      maxLength: 12,
    });
    const near = fc.tuple(tree, fc.nat(), soup).map(([value, at, insert]) => {
      const text = JSON.stringify(value);
      return text.slice(0, at % (text.length + 1)) + insert + text.slice(at % (text.length + 1));
    });
    fc.assert(
      fc.property(fc.oneof(soup, near), (text) => {
        if (refusal(text) !== "nothing was refused") return;
        expect(plain(parseStrictJson(text))).toEqual(JSON.parse(text));
      }),
      { numRuns: 2_000 },
    );
  });

  test("reads every escape, and white space wherever it may be", () => {
    expect(parseStrictJson(' "\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\udd11" ')).toBe(
      '"\\/\b\f\n\r\té\u{1f511}',
    );
    expect(plain(parseStrictJson('\t{ "a" :\r\n[ 1 , 2 ] , "b" : { } }\n'))).toEqual({ a: [1, 2], b: {} });
    expect(parseStrictJson('"\\\\u001F"')).toBe("\\u001F");
  });

  test("keeps a member that is called __proto__", () => {
    expect(parseStrictJson('{"__proto__":"x"}')).toEqual(new Map([["__proto__", "x"]]));
  });

  test.each<[text: string, because: string]>([
    ['{"a":1,"a":1}', "A member occurs twice, at line 1, column 11."],
    ['{"a":1,"\\u0061":1}', "A member occurs twice, at line 1, column 16."],
    ['{\n  "a": {"b":1,\n "b":2}}', "A member occurs twice, at line 3, column 5."],
    ["1.0", "Neither text"],
    ["1e3", "Neither text"],
    ["1E3", "Neither text"],
    ["-1", "Neither text"],
    ["-0", "Neither text"],
    ["01", "Neither text"],
    ["9007199254740992", "Neither text"],
    ["true", "Neither text"],
    ["null", "Neither text"],
    ["", "Neither text"],
    ["[1,]", "Neither text"],
    ['{"a":1,}', "A string is missing"],
    ["{a:1}", "A string is missing"],
    ['{"a" 1}', "A colon is missing"],
    ["[1 2]", "A comma or a closing bracket is missing"],
    ["[1", "A comma or a closing bracket is missing"],
    ["1 1", "Something follows the end"],
    ['"a', "A string is missing"],
    ['"a\n"', "A string is malformed"],
    ['"\\x41"', "A string is malformed"],
    ['"\\u12"', "A string is malformed"],
    ['"\\u001F"', "An escape has capital digits"],
    ['"\\uAbcd"', "An escape has capital digits"],
    ['"a\\\\\\u00E9"', "An escape has capital digits"],
    ['"\\ud800"', "Text is ill-formed"],
    ['"\ud800"', "Text is ill-formed"],
    ["[".repeat(100_000), "Values are nested too deep"],
    ["\ufeff1", "Neither text"],
    ["\u00a01", "Neither text"],
    ["\v1", "Neither text"],
    ["1//", "Something follows the end"],
  ])("refuses %.30j", (text, because) => {
    expect(refusal(text)).toContain(because);
  });
});
