import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type EncryptionContext,
  encodeApplicationContext,
  encodeContext,
  kmsContext,
} from "../src/context.ts";
import { hex } from "./support/hex.ts";
import { codeOf, refusalOf } from "./support/refusal.ts";
import { envelopeVectors, wrapVectors } from "./support/vectors.ts";

/** A context value that no message may ever hold. */
const VALUE = "hunter2-of-tenant-42";

/** Characters on both sides of every border at which the orders of UTF-8 and of UTF-16 part. */
const borders = ["a", "\u007f", "\u0080", "é", "e\u0301", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffee"];
const unit = fc.oneof(
  fc.constantFrom(...borders, "\uffff", "\u{10000}", "\u{10400}", "\u{10ffff}"),
  fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
);
const contextKey = fc.string({ unit, minLength: 1, maxLength: 6 });
const anyContext = fc.dictionary(contextKey, fc.string({ unit, maxLength: 6 }));

describe("the encoding of a context", () => {
  test.each(envelopeVectors)("is that of the vector $name", ({ context, encodedContext }) => {
    expect(hex(encodeContext(context))).toBe(encodedContext);
    expect(hex(encodeApplicationContext(context))).toBe(encodedContext);
  });

  test("is two zero bytes where there is none", () => {
    expect(hex(encodeContext({}))).toBe("0000");
  });

  test("is the count, then each pair with a length before key and value", () => {
    expect(hex(encodeContext({ k: "", é: "v" }))).toBe(
      ["0002", "00016b", "0000", "0002c3a9", "000176"].join(""),
    );
  });

  test("can be decoded, so no two contexts share one", () => {
    fc.assert(
      fc.property(anyContext, (context) => {
        expect(new Map(decode(encodeContext(context)))).toEqual(new Map(Object.entries(context)));
      }),
      { numRuns: 500 },
    );
  });

  test("does not depend on the order of the keys", () => {
    const shuffled = anyContext.chain((context) =>
      fc.tuple(
        fc.constant(context),
        fc.shuffledSubarray(Object.entries(context), { minLength: Object.keys(context).length }),
      ),
    );
    fc.assert(
      fc.property(shuffled, ([context, entries]) => {
        expect(hex(encodeContext(Object.fromEntries(entries)))).toBe(hex(encodeContext(context)));
      }),
      { numRuns: 500 },
    );
  });

  test("sorts by the UTF-8 bytes of the keys", () => {
    fc.assert(
      fc.property(anyContext, (context) => {
        const expected = Object.keys(context).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect(decode(encodeContext(context)).map(([key]) => key)).toEqual(expected);
      }),
      { numRuns: 1_000 },
    );
  });

  test("sorts astral keys behind U+E000 to U+FFFF, which UTF-16 would not, and a prefix first", () => {
    const sorted = ["a", "a\0", "\ud7ff", "\ue000", "\ue000\u{10000}", "\uffff", "\u{10000}", "\u{10ffff}"];
    const context = Object.fromEntries(sorted.toReversed().map((key) => [key, ""]));
    expect(decode(encodeContext(context)).map(([key]) => key)).toEqual(sorted);
    expect(sorted.toSorted()).not.toEqual(sorted);
  });

  test("normalises nothing: composed and decomposed letters are two keys", () => {
    expect(decode(encodeContext({ é: "1", "e\u0301": "2" }))).toEqual([
      ["e\u0301", "2"],
      ["é", "1"],
    ]);
  });

  test("belongs to the caller: changing it changes no other", () => {
    for (const context of [{}, { name: "db" }]) {
      const first = encodeContext(context);
      const before = hex(first);
      expect(first.buffer.byteLength).toBe(first.length);
      first.fill(0xff);
      expect(hex(encodeContext(context))).toBe(before);
    }
  });

  test("stays as it is when others are encoded after it, and is not spoilt by one that was refused", () => {
    const kept = encodeContext({ name: "kept" });
    const before = hex(kept);
    expect(codeOf(() => encodeContext({ name: "z".repeat(9_000) }))).toBe("ERR_INVALID_ARGUMENT");
    encodeContext({ another: "one" });
    expect(hex(kept)).toBe(before);
    expect(hex(encodeContext({ name: "kept" }))).toBe(before);
  });

  test("is right even when reading a value encodes another context", () => {
    const nested = {
      a: "1",
      get b() {
        encodeContext({ zzzz: "another context" });
        return "2";
      },
    };
    expect(hex(encodeContext(nested))).toBe(hex(encodeContext({ a: "1", b: "2" })));
  });
});

describe("a context", () => {
  test.each([
    ["an object without a prototype", Object.assign(Object.create(null), { a: "1" })],
    ["an object of another realm", runInNewContext('({ a: "1" })')],
    ["an object without a prototype of another realm", runInNewContext('({ __proto__: null, a: "1" })')],
    ["a frozen object", Object.freeze({ a: "1" })],
    ["a proxy of a plain object", new Proxy({ a: "1" }, {})],
  ])("may be %s", (_, context: EncryptionContext) => {
    expect(decode(encodeContext(context))).toEqual([["a", "1"]]);
  });

  test("may have __proto__ for a key of its own, and it is encoded", () => {
    const context = JSON.parse('{ "__proto__": "p", "constructor": "c", "toString": "t" }');
    expect(decode(encodeContext(context))).toEqual([
      ["__proto__", "p"],
      ["constructor", "c"],
      ["toString", "t"],
    ]);
  });

  test.each([
    ["null", null],
    ["undefined", undefined],
    ["a string", VALUE],
    ["a number", 42],
    ["a boolean", true],
    ["a symbol", Symbol(VALUE)],
    ["a function", Object.assign(() => VALUE, { name_: VALUE })],
    ["an array", [VALUE]],
    ["an empty array", []],
    ["an array of pairs", [["name", VALUE]]],
    ["an array of another realm", runInNewContext("[]")],
    ["bytes", new Uint8Array(4)],
    ["a Map", new Map([["name", VALUE]])],
    ["a Map of another realm", runInNewContext("new Map()")],
    ["a Set", new Set([VALUE])],
    ["a Date", new Date()],
    ["an error", new Error(VALUE)],
    ["a promise", Promise.resolve({ name: VALUE })],
    ["a boxed string", Object(VALUE)],
    ["a URLSearchParams", new URLSearchParams({ name: VALUE })],
    [
      "an instance of a class",
      new (class Tenant {
        name = VALUE;
      })(),
    ],
    ["an instance of a class that extends null", tenantOfNothing()],
    ["an object that inherits its entries", Object.create({ name: VALUE })],
    ["an object that inherits them from one without a prototype", Object.create(withoutPrototype())],
  ])("is refused where it is %s", (_, context: unknown) => {
    expectRefusal(context);
  });

  test.each([
    ["a number", 31_337],
    ["a boolean", false],
    ["null", null],
    ["undefined", undefined],
    ["a bigint", 31_337n],
    ["a symbol", Symbol("31337")],
    ["an object", { inner: "31337" }],
    ["an array", ["31337"]],
    ["a boxed string", Object("31337")],
    ["bytes", Buffer.from("31337")],
    ["an object that says it is a string", { toString: () => "31337" }],
  ])("is refused where a value is %s, and the message names the key alone", (_, value: unknown) => {
    const { message } = expectRefusal({ before: VALUE, tenant: value, zone: VALUE });
    expect(message).toContain('"tenant"');
    expect(message).not.toContain("31337");
  });

  test("is refused where a key is empty", () => {
    expectRefusal({ "": VALUE });
    expectRefusal({ a: VALUE, "": VALUE });
  });

  test.each(["\ud800", "\udfff", "a\ud83d", "\ude00\ud83d"])("is refused where %j is in it", (illFormed) => {
    expectRefusal({ [illFormed]: VALUE });
    expectRefusal({ name: `${VALUE}${illFormed}` });
    expectRefusal({ a: VALUE, [`${illFormed}b`]: VALUE, c: VALUE });
  });
});

describe("the size of a context", () => {
  /** What `{ k: "" }` takes. */
  const AROUND = 2 + 2 + 1 + 2;

  test.each([
    ["x", 1],
    ["é", 2],
    ["€", 3],
    ["𐐀", 4],
  ])("is at most 8,192 bytes of UTF-8, reached through %s", (character, size) => {
    const fitting = Math.floor((8_192 - AROUND) / size);
    const rest = 8_192 - AROUND - fitting * size;
    const full = character.repeat(fitting) + "x".repeat(rest);
    expect(encodeContext({ k: full })).toHaveLength(8_192);
    expectRefusal({ k: `${full}x` }, full);
    expectRefusal({ k: `x${full}` }, full);
    expectRefusal({ k: character.repeat(fitting + 1) }, full);
    expectRefusal({ k: "x".repeat(rest) + character.repeat(fitting + 1) }, full);
  });

  test("is refused wherever the limit falls: in a key, a value or a length", () => {
    const others = 2 + (2 + 1 + 2) + (2 + 1 + 2) + (2 + 2 + 2);
    for (let size = 8_192 - 4; size <= 8_192 + 24; size++) {
      const filler = "x".repeat(size - others);
      const context = { a: filler, b: "", cc: "" };
      if (size <= 8_192) expect(encodeContext(context)).toHaveLength(size);
      else expectRefusal(context, filler);
    }
  });

  test("is refused where a key alone takes it all", () => {
    expect(encodeContext({ ["k".repeat(8_192 - 6)]: "" })).toHaveLength(8_192);
    expectRefusal({ ["k".repeat(8_192 - 5)]: "" });
    expectRefusal({ ["k".repeat(70_000)]: "" });
  });

  test("is refused for too many pairs, more than a u16 could count too", () => {
    for (const pairs of [3_000, 65_537])
      expectRefusal(Object.fromEntries(Array.from({ length: pairs }, (_, i) => [`${i}`, ""])));
  });
});

describe("an application's context", () => {
  test.each(["keyfold:", "keyfold:project", "keyfold:purpose", "keyfold:é"])(
    "may not have the key %s",
    (key) => {
      const context = { name: VALUE, [key]: VALUE };
      for (const refused of [
        () => encodeApplicationContext(context),
        () => kmsContext("p", "kdk", context),
      ]) {
        const { code, message } = refusalOf(refused);
        expect(code).toBe("ERR_INVALID_ARGUMENT");
        expect(message).toContain(key);
        expect(message).not.toContain(VALUE);
      }
      expect(decode(encodeContext(context))).toHaveLength(2);
    },
  );

  test.each(["keyfold", "Keyfold:a", "KEYFOLD:", " keyfold:", "xkeyfold:"])("may have the key %s", (key) => {
    expect(decode(encodeApplicationContext({ [key]: "v" }))).toEqual([[key, "v"]]);
    expect(kmsContext("p", "kdk", { [key]: "v" })).toHaveProperty([key], "v");
  });

  test("must have the keys that requireContext names", () => {
    const context = { tenant: VALUE, name: "" };
    expect(hex(encodeApplicationContext(context, ["name", "tenant"]))).toBe(hex(encodeContext(context)));
    const { code, message } = refusalOf(() => encodeApplicationContext(context, ["tenant", "env"]));
    expect(code).toBe("ERR_INVALID_ARGUMENT");
    expect(message).toContain('"env"');
    expect(message).not.toContain(VALUE);
  });

  test.each(["toString", "constructor", "__proto__"])("does not have %s by inheritance", (key) => {
    expect(codeOf(() => encodeApplicationContext({ a: VALUE }, [key]))).toBe("ERR_INVALID_ARGUMENT");
  });

  test("does not satisfy requireContext with an entry that is not encoded", () => {
    const context = Object.defineProperty({ a: "1" }, "tenant", { value: VALUE, enumerable: false });
    expect(codeOf(() => encodeApplicationContext(context, ["tenant"]))).toBe("ERR_INVALID_ARGUMENT");
  });

  test("is refused as any other", () => {
    for (const context of [{ "": VALUE }, { a: "\ud800" }, new Map()])
      expect(codeOf(() => encodeApplicationContext(context as EncryptionContext))).toBe(
        "ERR_INVALID_ARGUMENT",
      );
  });
});

describe("a KMS context", () => {
  test.each(wrapVectors)("is that of the vector $name", ({ project, purpose, kmsContext: own, encoded }) => {
    expect(hex(encodeContext(kmsContext(project, purpose, own)))).toBe(encoded);
  });

  test("is the user's entries with the project and the purpose", () => {
    expect(kmsContext("billing", "keyring", { team: "payments" })).toEqual({
      "keyfold:project": "billing",
      "keyfold:purpose": "keyring",
      team: "payments",
    });
    expect(kmsContext("billing", "kdk")).toEqual({ "keyfold:project": "billing", "keyfold:purpose": "kdk" });
  });

  test("is frozen, and a copy of what the user gave", () => {
    const own = { team: "payments" };
    const context = kmsContext("billing", "kdk", own);
    own.team = "changed";
    expect(Object.isFrozen(context)).toBe(true);
    expect(context).toHaveProperty("team", "payments");
    expect(own).toEqual({ team: "changed" });
  });

  test("keeps __proto__ as a key of its own", () => {
    const context = kmsContext("p", "kdk", JSON.parse('{ "__proto__": "v" }'));
    expect(decode(encodeContext(context))[0]).toEqual(["__proto__", "v"]);
    expect(decode(encodeContext(context))).toHaveLength(3);
  });

  test("is at most 2,048 bytes", () => {
    const padding = 2_048 - encodeContext(kmsContext("billing", "kdk", { pad: "" })).length;
    const full = "x".repeat(padding);
    expect(encodeContext(kmsContext("billing", "kdk", { pad: full }))).toHaveLength(2_048);
    for (const [project, pad] of [
      ["billing", `${full}x`],
      ["billings", full],
      ["billing", "x".repeat(8_192)],
    ] as const) {
      const { code, message } = refusalOf(() => kmsContext(project, "kdk", { pad }));
      expect(code).toBe("ERR_INVALID_ARGUMENT");
      expect(message).not.toContain(full);
    }
  });

  test("is refused for a project or an entry that is ill-formed, and for what is no plain object", () => {
    const refused = [
      () => kmsContext("\ud800", "kdk"),
      () => kmsContext("p", "kdk", { a: `${VALUE}\udc00` }),
      () => kmsContext("p", "kdk", { "": VALUE }),
      () => kmsContext("p", "kdk", new Map([["a", VALUE]]) as unknown as EncryptionContext),
      () => kmsContext("p", "kdk", null as unknown as EncryptionContext),
      () => kmsContext(7 as unknown as string, "kdk"),
    ];
    for (const refusal of refused.map(refusalOf)) {
      expect(refusal.code).toBe("ERR_INVALID_ARGUMENT");
      expect(refusal.message).not.toContain(VALUE);
    }
  });
});

/** Refused as an argument, with a message that holds no value; returned for more to be said of it. */
function expectRefusal(context: unknown, value = VALUE): { message: string } {
  const { code, message } = refusalOf(() => encodeContext(context as EncryptionContext));
  expect(code).toBe("ERR_INVALID_ARGUMENT");
  expect(message).not.toContain(value);
  return { message };
}

/** The inverse of the encoding, from the specification alone: its pairs in their order. */
function decode(encoded: Uint8Array): [key: string, value: string][] {
  const bytes = Buffer.from(encoded);
  let offset = 2;
  const text = () => {
    const start = offset + 2;
    offset = start + bytes.readUInt16BE(offset);
    return bytes.toString("utf8", start, offset);
  };
  const pairs = Array.from({ length: bytes.readUInt16BE(0) }, (): [string, string] => [text(), text()]);
  if (offset !== bytes.length) throw new Error("The encoding does not end where its last pair does.");
  return pairs;
}

function withoutPrototype(): object {
  return Object.assign(Object.create(null), { name: VALUE });
}

function tenantOfNothing(): object {
  const prototype = Object.create(null, { constructor: { value: class Tenant {} } });
  return Object.assign(Object.create(prototype), { name: VALUE });
}
