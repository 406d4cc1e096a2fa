/** Paths of fields, and the record's values that they lead to. docs/spec/fields-v1.md, "Paths". */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { findFields, parsePaths, pathOfElement, pathOfKey } from "../src/field-paths.ts";
import { codeOf, refusalOf } from "./support/refusal.ts";

/** The paths of the fields found, each with its value. */
function found(record: object, paths: readonly string[]): Record<string, unknown> {
  const { found } = findFields(record, parsePaths(paths));
  return Object.fromEntries(found.map(({ path, value }) => [path, value]));
}

const record = {
  email: "a@example.com",
  address: { street: "High Street", lines: ["one", "two"] },
  people: [
    { name: "Ada", phones: ["1", "2"] },
    { name: "Bob", phones: [] },
  ],
  matrix: [[1, 2], [3]],
  nothing: null,
  absent: undefined,
  "a.b": { "c[0]": "dotted", "\\": "backslash", "?": "question" },
  constructor: "a key like any other",
};

describe("a path leads to", () => {
  test.each<[string, Record<string, unknown>]>([
    ["email", { email: "a@example.com" }],
    ["address", { address: record.address }],
    ["address.street", { "address.street": "High Street" }],
    ["address.lines[]", { "address.lines[0]": "one", "address.lines[1]": "two" }],
    ["people[].name", { "people[0].name": "Ada", "people[1].name": "Bob" }],
    ["people[].phones[]", { "people[0].phones[0]": "1", "people[0].phones[1]": "2" }],
    ["matrix[][]", { "matrix[0][0]": 1, "matrix[0][1]": 2, "matrix[1][0]": 3 }],
    ["matrix[]", { "matrix[0]": [1, 2], "matrix[1]": [3] }],
    ["nothing", { nothing: null }],
    ["a\\.b.c\\[0\\]", { "a\\.b.c\\[0\\]": "dotted" }],
    ["a\\.b.\\\\", { "a\\.b.\\\\": "backslash" }],
    ["a\\.b.\\?", { "a\\.b.\\?": "question" }],
    ["constructor", { constructor: "a key like any other" }],
    ["email?", { email: "a@example.com" }],
    ["absent?", {}],
    ["missing?", {}],
    ["missing.street?", {}],
    ["nothing.street?", {}],
    ["missing[]?", {}],
    ["people[].age?", {}],
  ])("%s", (path, expected) => {
    expect(found(record, [path])).toEqual(expected);
  });

  test.each([
    ["missing", "missing"],
    ["absent", "absent"],
    ["address.zip", "address.zip"],
    ["missing.street", "missing"],
    ["nothing.street", "nothing"],
    ["people[].age", "people[0].age"],
    ["toString", "toString"],
    ["__proto__", "__proto__"],
    ["__proto__.polluted", "__proto__"],
    ["constructor.prototype", "constructor"],
    ["address.constructor", "address.constructor"],
    ["email.street", "email"],
    ["email.length?", "email"],
    ["email[]", "email"],
    ["address[]", "address"],
    ["people.name", "people"],
    ["people.0", "people"],
    ["people.length?", "people"],
  ])("nothing by %s: ERR_FIELD names %s", (path, named) => {
    const error = refusalOf(() => found(record, [path]));
    expect(error.code).toBe("ERR_FIELD");
    expect(error.message).toContain(`The field ${JSON.stringify(named)} `);
  });

  test("no element that is not there", () => {
    const holes = { list: ["a", undefined, ...Array(1), "d"] };
    expect(refusalOf(() => found(holes, ["list[]"])).message).toContain('"list[1]"');
    expect(found(holes, ["list[]?"])).toEqual({ "list[0]": "a", "list[3]": "d" });
  });

  test("no bytes of an array of bytes", () => {
    expect(codeOf(() => found({ key: new Uint8Array(3) }, ["key.0"]))).toBe("ERR_FIELD");
    expect(codeOf(() => found({ key: new Uint8Array(3) }, ["key[]"]))).toBe("ERR_FIELD");
  });

  test("what is required, also beside what is optional in the same place", () => {
    expect(refusalOf(() => found({}, ["address.zip?", "address.street"])).message).toContain('"address"');
    expect(found({ address: { street: "x" } }, ["address.zip?", "address.street"])).toEqual({
      "address.street": "x",
    });
  });
});

describe("what is no path", () => {
  test.each([
    ...[
      "",
      ".",
      "a.",
      ".a",
      "a..b",
      "[]",
      "[].a",
      "a[",
      "a]",
      "a[0]",
      "a[]b",
      "a?b",
      "a??",
      "?",
      "a\\",
      "a\\b",
      "a.[]",
    ],
    ...["\ud800", 5, null, undefined],
  ])("%j is ERR_INVALID_ARGUMENT", (path) => {
    expect(codeOf(() => parsePaths([path as string]))).toBe("ERR_INVALID_ARGUMENT");
  });

  test.each([
    [["a", "a"]],
    [["a", "a?"]],
    [["a", "a.b"]],
    [["a.b", "a"]],
    [["a", "a[]"]],
    [["a[].b", "a[]"]],
    [["a[].b", "a.c"]],
    [["a.c", "a[]"]],
  ])("%j together are ERR_INVALID_ARGUMENT", (paths) => {
    expect(codeOf(() => parsePaths(paths))).toBe("ERR_INVALID_ARGUMENT");
  });

  test.each([["email"], [undefined], [{ 0: "email", length: 1 }]])("%j is no list of paths", (paths) => {
    expect(codeOf(() => parsePaths(paths as unknown as string[]))).toBe("ERR_INVALID_ARGUMENT");
  });

  test.each([[undefined], [null], ["email"], [[{ email: "x" }]], [() => 1]])("%j is no record", (record) => {
    expect(codeOf(() => findFields(record, parsePaths(["email"])))).toBe("ERR_INVALID_ARGUMENT");
  });
});

describe("the copy", () => {
  test("takes the new values, shares what is beside the way, and leaves the record as it was", () => {
    const before = structuredClone(record);
    const { copy, found } = findFields(record, parsePaths(["address.street", "people[].name", "email"]));
    for (const { path, replace } of found) replace(`new ${path}`);
    expect(copy).toEqual({
      ...record,
      email: "new email",
      address: { ...record.address, street: "new address.street" },
      people: [
        { name: "new people[0].name", phones: ["1", "2"] },
        { name: "new people[1].name", phones: [] },
      ],
    });
    expect(record).toEqual(before);
    const shared = copy as typeof record;
    expect(shared.matrix).toBe(record.matrix);
    expect(shared.address.lines).toBe(record.address.lines);
    expect(shared.people[0]?.phones).toBe(record.people[0]?.phones);
  });

  test("keeps the order of the keys, and prototypes", () => {
    class User {
      id = 1;
      email = "x";
      get hello() {
        return `hello ${this.email}`;
      }
    }
    const user = new User();
    const { copy, found } = findFields(user, parsePaths(["email"]));
    found[0]?.replace("y");
    expect(Object.keys(copy)).toEqual(["id", "email"]);
    expect((copy as User).hello).toBe("hello y");
    expect(user.hello).toBe("hello x");

    const row = Object.assign(Object.create(null), { email: "x" });
    expect(Object.getPrototypeOf(findFields(row, parsePaths(["email"])).copy)).toBe(null);
  });

  test("is writable where the record is frozen", () => {
    const frozen = Object.freeze({ list: Object.freeze(["a"]), email: "x" });
    const { copy, found } = findFields(frozen, parsePaths(["list[]", "email"]));
    for (const { replace } of found) replace("new");
    expect(copy).toEqual({ list: ["new"], email: "new" });
  });

  test("has a key named __proto__ of its own where the record has one, and no prototype is ever touched", () => {
    const own = JSON.parse(
      '{"__proto__": {"polluted": "no"}, "constructor": {"prototype": {"polluted": "no"}}}',
    );
    const paths = ["__proto__.polluted", "constructor.prototype.polluted"];
    const { copy, found } = findFields(own, parsePaths(paths));
    expect(found.map(({ path }) => path)).toEqual(paths);
    for (const { replace } of found) replace("sealed");
    expect(JSON.stringify(copy)).toBe(JSON.stringify(own).replaceAll('"no"', '"sealed"'));
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype);
    expect(({} as { polluted?: string }).polluted).toBe(undefined);

    const parent = findFields(own, parsePaths(["__proto__"]));
    parent.found[0]?.replace("sealed");
    expect(Object.getOwnPropertyDescriptor(parent.copy, "__proto__")?.value).toBe("sealed");
    expect(Object.getPrototypeOf(parent.copy)).toBe(Object.prototype);
  });
});

describe("the text of a place", () => {
  const key = fc.string({
    unit: fc.constantFrom("a", ".", "[", "]", "?", "\\", "0", "é", "\n"),
    minLength: 1,
    maxLength: 6,
  });
  const steps = fc.array(fc.oneof(key, fc.nat(12)), { minLength: 1, maxLength: 5 });
  const textOf = (place: readonly (string | number)[]) =>
    place.reduce<string>(
      (path, step) => (typeof step === "string" ? pathOfKey(path, step) : pathOfElement(path, step)),
      "",
    );

  test("is one place's alone", () => {
    fc.assert(
      fc.property(steps, steps, (a, b) => {
        expect(textOf(a) === textOf(b)).toBe(JSON.stringify(a) === JSON.stringify(b));
      }),
      { numRuns: 2_000 },
    );
  });

  test("leads there when its indexes are left out", () => {
    fc.assert(
      fc.property(key, steps, (first, rest) => {
        const place = [first, ...rest];
        const record = place.reduceRight<unknown>(
          (value, step) => (typeof step === "string" ? { [step]: value } : [value]),
          "the value",
        ) as object;
        const path = place.reduce<string>(
          (path, step) => (typeof step === "string" ? pathOfKey(path, step) : `${path}[]`),
          "",
        );
        expect(Object.values(found(record, [path]))).toEqual(["the value"]);
      }),
    );
  });
});
