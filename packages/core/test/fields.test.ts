/** Fields of a record: sealed apart, bound to their places, and the same when they come back. */

import fc from "fast-check";
import { beforeAll, describe, expect, expectTypeOf, test } from "vitest";
import { decodeText, encodeText } from "../src/envelope.ts";
import type { FieldValue, Keyfold, KeyfoldErrorCode, SealedField } from "../src/index.ts";
import { Gate, HOUR, keyfoldWith, rejection, sealedBy } from "./support/behaviour.ts";
import { FakeClock } from "./support/fake-clock.ts";
import { hex } from "./support/hex.ts";
import { MemoryKms } from "./support/memory-kms.ts";
import { codeOf, refusalOf } from "./support/refusal.ts";

const context = { table: "users", id: "7" };

const user = {
  id: 7,
  email: "ada@example.com",
  age: 36.5,
  balance: -(2n ** 70n),
  active: true,
  born: new Date("1815-12-10"),
  key: Uint8Array.of(1, 2, 255),
  nothing: null,
  settings: { theme: "dark", sizes: [1, 2, null] },
  address: { street: "St James's Square", city: "London" },
  tokens: ["one", "two", ""],
  people: [
    { name: "Byron", phone: "1" },
    { name: "Annabella", phone: "2" },
  ],
};

const fields = [
  ...(["email", "age", "balance", "active", "born", "key", "nothing", "settings", "address.street"] as const),
  ...(["tokens[]", "people[].phone"] as const),
];

/** The same operations in both manners, so that each rule is tested of both. */
interface Manner {
  seal(record: object, fields: readonly string[], options?: { skipSealed?: boolean }): Promise<object>;
  open(record: object, fields: readonly string[]): Promise<object>;
}

const kms = new MemoryKms();
let keyfold: Keyfold;
const manners: readonly (readonly [string, (keyfold: Keyfold) => Manner])[] = [
  [
    "asynchronous",
    (keyfold) => ({
      seal: (record, fields, options) => keyfold.sealFields(record, fields, context, options),
      open: (record, fields) => keyfold.openFields<object>(record, fields, context),
    }),
  ],
  [
    "synchronous",
    (keyfold) => ({
      seal: async (record, fields, options) => keyfold.sealFieldsSync(record, fields, context, options),
      open: async (record, fields) => keyfold.openFieldsSync<object>(record, fields, context),
    }),
  ],
];

beforeAll(async () => {
  keyfold = keyfoldWith({ masterKeys: kms });
  await keyfold.ready();
});

describe.each(manners)("%s", (name, mannerOf) => {
  const manner: Manner = {
    seal: (...args) => mannerOf(keyfold).seal(...args),
    open: (...args) => mannerOf(keyfold).open(...args),
  };

  test("every kind of value comes back as it was, from where it was", async () => {
    const before = structuredClone(user);
    const sealed = await manner.seal(user, fields);
    expect(user).toStrictEqual(before);
    expect(await manner.open(sealed, fields)).toStrictEqual(user);
  });

  test("each field is an envelope, and all else is shared", async () => {
    const sealed = (await manner.seal(user, fields)) as Record<string, unknown> & typeof user;
    for (const text of leavesOf(sealed)) expect(keyfold.isSealed(text)).toBe(true);
    expect(sealed).toMatchObject({ id: 7, address: { city: "London" }, people: [{ name: "Byron" }, {}] });
    const { copy } = await sealOther(manner);
    expect(copy.shared).toBe(shared);
  });

  test("the fields of a record share a header, and no message is like another", async () => {
    const sealed = await manner.seal({ a: "x", b: "x", c: ["x", "x"] }, ["a", "b", "c[]"]);
    const texts = leavesOf(sealed);
    expect(texts).toHaveLength(4);
    expect(new Set(texts.map(headerOf)).size).toBe(1);
    const again = leavesOf(await manner.seal({ a: "x" }, ["a"]));
    const messages = [...texts, ...again].map(messageOf);
    expect(new Set(messages.map((message) => hex(message.subarray(0, 24)))).size).toBe(5);
    expect(new Set(messages.map((message) => hex(message.subarray(24)))).size).toBe(5);
    expect(headerOf(again[0] ?? "")).not.toBe(headerOf(texts[0] ?? ""));
  });

  test("a sealed text says nothing of the value", async () => {
    const sealed = JSON.stringify(await manner.seal({ email: "ada@example.com" }, ["email"]));
    expect(sealed).not.toContain("ada");
    expect(Buffer.from(decodeText(JSON.parse(sealed).email)).toString("latin1")).not.toContain("ada");
  });

  test("a part of a record opens by itself", async () => {
    const { email, tokens } = (await manner.seal(user, fields)) as unknown as Record<string, string>;
    expect(await manner.open({ email }, ["email"])).toEqual({ email: user.email });
    expect(await manner.open({ tokens }, ["tokens[]"])).toEqual({ tokens: user.tokens });
  });

  test("text that looks sealed is sealed like any other", async () => {
    const twice = await manner.seal(await manner.seal({ email: "x" }, ["email"]), ["email"]);
    const once = await manner.open(twice, ["email"]);
    expect(leavesOf(once).map((text) => keyfold.isSealed(text))).toEqual([true]);
    expect(await manner.open(once, ["email"])).toEqual({ email: "x" });
  });

  test("optional fields that are not there stay so", async () => {
    const paths = ["email?", "address.street?", "tokens[]?", "nickname?"];
    const partial = { email: undefined, tokens: [], other: 1 };
    const sealed = await manner.seal(partial, paths);
    expect(sealed).toStrictEqual(partial);
    expect(await manner.open(sealed, paths)).toStrictEqual(partial);
  });

  test.each<[object, string, KeyfoldErrorCode]>([
    [{}, "email", "ERR_FIELD"],
    [{ email: undefined }, "email", "ERR_FIELD"],
    [{ email: Symbol("s") }, "email", "ERR_FIELD"],
    [{ email: { at: new Date(0) } }, "email", "ERR_FIELD"],
    [{ email: "x" }, "email..", "ERR_INVALID_ARGUMENT"],
  ])("sealing %o by %s is %s", async (record, path, code) => {
    expect((await rejection(manner.seal(record, [path]))).code).toBe(code);
  });

  test("a value that is not sealed is refused when opening, by name", async () => {
    for (const [value, code] of [
      ["hunter2", "ERR_NOT_AN_ENVELOPE"],
      ["kf1.AAAA", "ERR_NOT_AN_ENVELOPE"],
      ["", "ERR_NOT_AN_ENVELOPE"],
      [null, "ERR_FIELD"],
      [5, "ERR_FIELD"],
      [await sealedBy(kms), "ERR_FIELD"],
    ] as const) {
      const error = await rejection(manner.open({ deep: [{ email: value }] }, ["deep[].email"]));
      expect(error.code).toBe(code);
      expect(error.message).toContain('"deep[0].email"');
    }
  });

  test("a field that was moved to another place is refused, also within its array", async () => {
    const sealed = (await manner.seal({ a: "1", b: "2", c: ["3", "4"] }, ["a", "b", "c[]"])) as {
      a: string;
      b: string;
      c: [string, string];
    };
    const { a, b, c } = sealed;
    const moved: [object, string, string][] = [
      [{ a: b }, "a", "a"],
      [{ d: { a } }, "d.a", "d.a"],
      [{ c: [c[0], c[0]] }, "c[]", "c[1]"],
      [{ c: c.toReversed() }, "c[]", "c[0]"],
      [{ c: { 0: c[0] } }, "c.0", "c.0"],
      [{ "c[0]": c[0] }, "c\\[0\\]", "c\\[0\\]"],
    ];
    for (const [record, path, place] of moved) {
      const error = await rejection(manner.open(record, [path]));
      expect([path, error.code]).toEqual([path, "ERR_CONTEXT_MISMATCH"]);
      expect(error.message).toContain(`The field ${JSON.stringify(place)}: `);
      expect(error.cause).toMatchObject({ code: "ERR_CONTEXT_MISMATCH" });
    }
  });

  test("a field with the message or the header of another record is refused", async () => {
    const sealed = async () => decodeText(leavesOf(await manner.seal({ a: "1" }, ["a"]))[0] ?? "");
    const [one, two] = [await sealed(), await sealed()];
    const { headerBytes } = keyfold.inspect(one);
    const crossed = Uint8Array.of(...two.subarray(0, headerBytes), ...one.subarray(headerBytes));
    const error = await rejection(manner.open({ a: encodeText(crossed) }, ["a"]));
    expect(error.code).toBe("ERR_CONTEXT_MISMATCH");
  });

  test("a damaged field is refused with its code and its path, wherever it was damaged, and nothing is opened", async () => {
    const sealed = (await manner.seal({ a: "1", list: ["2", "3"] }, ["a", "list[]"])) as {
      a: string;
      list: string[];
    };
    const { headerBytes } = keyfold.inspect(sealed.a);
    const codes: [number, KeyfoldErrorCode][] = [
      [0, "ERR_NOT_AN_ENVELOPE"],
      [2, "ERR_UNSUPPORTED_VERSION"],
      [headerBytes - 1, "ERR_HEADER_REJECTED"],
      [headerBytes, "ERR_CONTEXT_MISMATCH"],
      [headerBytes + 56, "ERR_MESSAGE_ALTERED"],
    ];
    for (const [at, code] of codes) {
      const bytes = decodeText(sealed.list[1] ?? "").slice();
      bytes[at] = (bytes[at] ?? 0) ^ 0x40;
      const record = { ...sealed, list: [sealed.list[0], encodeText(bytes)] };
      const error = await rejection(manner.open(record, ["a", "list[]"]));
      expect([at, error.code]).toEqual([at, code]);
      expect(error.message).toContain('The field "list[1]": ');
    }
    const cut = encodeText(decodeText(sealed.a).subarray(0, -17));
    expect((await rejection(manner.open({ a: cut }, ["a"]))).code).toBe("ERR_MESSAGE_TRUNCATED");
  });

  test("what was sealed with the context of the field but not as one is ERR_FIELD", async () => {
    // The reserved key keeps applications from this: a record of another library, or of a later version.
    const foreign = keyfoldWith({ masterKeys: kms });
    expect(codeOf(() => keyfold.sealSync("x", { ...context, "keyfold:field": "a" }))).toBe(
      "ERR_INVALID_ARGUMENT",
    );
    expect((await rejection(foreign.seal("x", { "keyfold:field": "a" }))).code).toBe("ERR_INVALID_ARGUMENT");
    expect((await rejection(manner.open({ a: await keyfold.sealText("x", context) }, ["a"]))).code).toBe(
      "ERR_CONTEXT_MISMATCH",
    );
  });

  test("fields survive a re-wrap of each", async () => {
    const sealed = (await manner.seal({ a: 1, b: [2n] }, ["a", "b[]"])) as { a: string; b: string[] };
    const rewrapped = { a: await keyfold.rewrap(sealed.a), b: [await keyfold.rewrap(sealed.b[0] ?? "")] };
    expect(rewrapped.a).not.toBe(sealed.a);
    expect(await manner.open(rewrapped, ["a", "b[]"])).toEqual({ a: 1, b: [2n] });
  });

  describe("skipSealed", () => {
    test("leaves what opens as this field, and seals the rest", async () => {
      const half = {
        ...((await manner.seal({ a: "1", list: ["2", "3"] }, ["a", "list[]"])) as object),
        b: "4",
      } as {
        a: string;
        b: string;
        list: string[];
      };
      half.list[1] = "5";
      const whole = (await manner.seal(half, ["a", "b", "list[]"], { skipSealed: true })) as typeof half;
      expect([whole.a, whole.list[0]]).toEqual([half.a, half.list[0]]);
      expect(await manner.open(whole, ["a", "b", "list[]"])).toEqual({ a: "1", b: "4", list: ["2", "5"] });
      expect(await manner.seal(whole, ["a", "b", "list[]"], { skipSealed: true })).toEqual(whole);
    });

    test("seals what is an envelope, but not this field's", async () => {
      const { a } = (await manner.seal({ a: "1" }, ["a"])) as { a: string };
      const damaged = decodeText(a).slice();
      damaged[damaged.length - 1] = 1 ^ (damaged.at(-1) ?? 0);
      const others = [
        await keyfold.sealText("of no record", context),
        await keyfold.sealText("of another", { table: "users", id: "8" }),
        await keyfold.scoped("another").sealText("of another scope", {}),
        encodeText(damaged),
        a.slice(0, -30),
        "kf1.",
        "plain",
      ];
      for (const value of others) {
        const sealed = (await manner.seal({ b: value }, ["b"], { skipSealed: true })) as { b: string };
        expect(sealed.b).not.toBe(value);
        expect(await manner.open(sealed, ["b"])).toEqual({ b: value });
      }
    });

    test("seals what no configured master key can open; with keys in memory alone that is not known", async () => {
      const foreign = await keyfoldWith({ masterKeys: new MemoryKms("memory:foreign") }).sealText("x", {});
      const sealing = manner.seal({ b: foreign }, ["b"], { skipSealed: true });
      if (name === "synchronous") expect((await rejection(sealing)).code).toBe("ERR_NOT_READY");
      else expect(await manner.open(await sealing, ["b"])).toEqual({ b: foreign });
    });

    test("does not guess where a master key does not answer", async () => {
      const kms = new MemoryKms();
      const sealed = await keyfoldWith({ masterKeys: kms }).sealFields({ a: "1" }, ["a"], context);
      const other = keyfoldWith({ masterKeys: kms });
      await other.ready();
      kms.failing = "ERR_MASTER_KEY_DENIED";
      const error = await rejection(mannerOf(other).seal(sealed, ["a"], { skipSealed: true }));
      expect(["ERR_MASTER_KEY_DENIED", "ERR_NOT_READY"]).toContain(error.code);
      expect(error.message).toContain('The field "a": ');
    });

    test("needs a keyfold that may open", async () => {
      const sealOnly = keyfoldWith({ masterKeys: kms, sealOnly: true });
      for (const a of ["1", 1]) {
        const error = await rejection(mannerOf(sealOnly).seal({ a }, ["a"], { skipSealed: true }));
        expect(error.code).toBe("ERR_NOT_CONFIGURED");
      }
    });
  });

  test("any record comes back as it was", async () => {
    const value = fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.double(),
      fc.bigInt(),
      fc.string({ unit: "binary" }),
      fc.uint8Array(),
      fc.date({ noInvalidDate: true }),
      fc.array(fc.jsonValue()),
    );
    const records = fc.record({
      one: value,
      in: fc.record({ side: value }),
      each: fc.array(value),
      out: fc.string(),
    });
    await fc.assert(
      fc.asyncProperty(records, async (record) => {
        const paths = ["one", "in.side", "each[]"];
        const sealed = (await manner.seal(record, paths)) as typeof record;
        const texts = [sealed.one, sealed.in.side, ...sealed.each];
        expect(texts.every((text) => keyfold.isSealed(text))).toBe(true);
        expect(sealed.out).toBe(record.out);
        expect(await manner.open(sealed, paths)).toEqual(record);
      }),
    );
  });
});

const shared = { big: "object" };

async function sealOther(manner: Manner) {
  return { copy: (await manner.seal({ a: "1", shared }, ["a"])) as { shared: object } };
}

/** All texts of a record that may be envelopes. */
function leavesOf(value: unknown): string[] {
  if (typeof value === "string") return value.startsWith("kf1.") ? [value] : [];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(leavesOf) : [];
}

function headerOf(text: string): string {
  const bytes = decodeText(text);
  return hex(bytes.subarray(0, keyfold.inspect(bytes).headerBytes));
}

/** Salt, commitment and chunks. */
function messageOf(text: string): Uint8Array {
  const bytes = decodeText(text);
  return bytes.subarray(keyfold.inspect(bytes).headerBytes);
}

describe("the encryption context", () => {
  test("binds to the record: another id, or none, is refused", async () => {
    const sealed = await keyfold.sealFields({ a: "1" }, ["a"], context);
    for (const other of [{ table: "users", id: "8" }, { table: "users" }, {}])
      expect((await rejection(keyfold.openFields(sealed, ["a"], other))).code).toBe("ERR_CONTEXT_MISMATCH");
  });

  test("has to be one, with what requireContext names, and without keyfold's own keys", async () => {
    const strict = keyfoldWith({ masterKeys: kms, requireContext: ["id"] });
    for (const bad of [{}, { id: 5 }, { id: "7", "keyfold:field": "a" }, undefined]) {
      const given = bad as unknown as Record<string, string>;
      expect((await rejection(strict.sealFields({ a: "1" }, ["a"], given))).code).toBe(
        "ERR_INVALID_ARGUMENT",
      );
      expect((await rejection(strict.openFields({ a: "kf1." }, ["a"], given))).code).toBe(
        "ERR_INVALID_ARGUMENT",
      );
    }
    const sealed = await strict.sealFields({ a: "1" }, ["a"], { id: "7" });
    expect(await strict.openFields(sealed, ["a"], { id: "7" })).toEqual({ a: "1" });
  });

  test("is read before anything is waited for, and so is the record", async () => {
    const kms = new MemoryKms();
    const gate = new Gate();
    kms.before = () => gate.opened;
    const keyfold = keyfoldWith({ masterKeys: kms });
    const given = { id: "7" };
    const record = { key: Uint8Array.of(1, 2, 3), born: new Date(0), json: { a: 1 } };
    const sealing = keyfold.sealFields(record, ["key", "born", "json"], given);
    given.id = "8";
    record.key.fill(0);
    record.born.setTime(1);
    record.json.a = 2;
    gate.open();
    const sealed = await sealing;
    const reader = keyfoldWith({ openWith: kms });
    const givenToOpen = { id: "7" };
    const opening = reader.openFields(sealed, ["key", "born", "json"], givenToOpen);
    givenToOpen.id = "8";
    expect(await opening).toEqual({ key: Uint8Array.of(1, 2, 3), born: new Date(0), json: { a: 1 } });
  });
});

describe("calls and counts", () => {
  test("ten fields cost one wrap of a key; sealed in one process they cost another one unwrap", async () => {
    const kms = new MemoryKms();
    const record = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`field${i}`, i]));
    const paths = Object.keys(record);
    const sealer = keyfoldWith({ masterKeys: kms });
    const sealed = await sealer.sealFields(record, paths, context);
    const reader = keyfoldWith({ openWith: kms });
    expect(await reader.openFields(sealed, paths, context)).toEqual(record);
    expect([kms.wraps, kms.unwraps]).toEqual([1, 1]);
    expect([sealer.stats().seals, reader.stats().opens]).toEqual([10, 10]);
  });

  test("fields of several sealers cost one unwrap each", async () => {
    const kms = new MemoryKms();
    const [a, b] = [
      await keyfoldWith({ masterKeys: kms }).sealFields({ a: "1", c: "3" }, ["a", "c"], context),
      await keyfoldWith({ masterKeys: kms }).sealFields({ b: "2" }, ["b"], context),
    ];
    const reader = keyfoldWith({ openWith: kms });
    expect(await reader.openFields({ ...b, ...a }, ["a", "b", "c"], context)).toEqual({
      a: "1",
      b: "2",
      c: "3",
    });
    expect(kms.unwraps).toBe(2);
  });

  test("a record with nothing to seal or open makes no call", async () => {
    const kms = new MemoryKms();
    const keyfold = keyfoldWith({ masterKeys: kms });
    expect(await keyfold.sealFields({}, ["a?"], context)).toEqual({});
    expect(await keyfold.openFields({ list: [] }, ["list[]"], context)).toEqual({ list: [] });
    expect([kms.wraps, kms.unwraps]).toEqual([0, 0]);
  });
});

describe("a keyfold that cannot serve the call", () => {
  test("has no key in memory: ERR_NOT_READY of the synchronous ones", async () => {
    const kms = new MemoryKms();
    const clock = new FakeClock();
    const sealed = await keyfoldWith({ masterKeys: kms }).sealFields({ a: "1" }, ["a"], context);
    const cold = keyfoldWith({ masterKeys: kms, clock, expireAfter: HOUR });
    expect(codeOf(() => cold.sealFieldsSync({ a: "1" }, ["a"], context))).toBe("ERR_NOT_READY");
    const error = refusalOf(() => cold.openFieldsSync(sealed, ["a"], context));
    expect(error.code).toBe("ERR_NOT_READY");
    expect(error.retryable).toBe(true);
    expect(error.message).toContain('The field "a": ');
    await cold.ready([sealed.a]);
    expect(cold.openFieldsSync(sealed, ["a"], context)).toEqual({ a: "1" });

    kms.failing = "ERR_MASTER_KEY_UNAVAILABLE";
    clock.sleepMachine(2 * HOUR);
    const lost = refusalOf(() => cold.openFieldsSync(sealed, ["a"], context));
    expect([lost.code, (lost.cause as { cause?: { code?: string } }).cause?.code]).toEqual([
      "ERR_NOT_READY",
      "ERR_MASTER_KEY_UNAVAILABLE",
    ]);
  });

  test("may only seal, or only open: ERR_NOT_CONFIGURED", async () => {
    const sealOnly = keyfoldWith({ masterKeys: kms, sealOnly: true });
    expect((await rejection(sealOnly.openFields({}, [], context))).code).toBe("ERR_NOT_CONFIGURED");
    const openOnly = keyfoldWith({ openWith: kms });
    expect((await rejection(openOnly.sealFields({}, [], context))).code).toBe("ERR_NOT_CONFIGURED");
  });

  test("is closed: ERR_CLOSED", async () => {
    const closed = keyfoldWith({ masterKeys: kms });
    await closed.close();
    expect((await rejection(closed.sealFields({}, [], context))).code).toBe("ERR_CLOSED");
    expect((await rejection(closed.openFields({}, [], context))).code).toBe("ERR_CLOSED");
  });

  test("was asked to stop: ERR_ABORTED, before and while a master key is asked", async () => {
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    expect((await rejection(keyfold.sealFields({ a: "1" }, ["a"], context, { signal }))).cause).toBe(reason);
    expect((await rejection(keyfold.openFields({ a: "1" }, ["a"], context, { signal }))).code).toBe(
      "ERR_ABORTED",
    );

    const kms = new MemoryKms();
    const sealed = await keyfoldWith({ masterKeys: kms }).sealFields({ a: "1" }, ["a"], context);
    kms.before = () => new Promise(() => {});
    const waiting = keyfoldWith({ masterKeys: kms });
    const controller = new AbortController();
    const options = { signal: controller.signal };
    const refusals = [
      rejection(waiting.openFields(sealed, ["a"], context, options)),
      rejection(waiting.sealFields({ a: "1" }, ["a"], context, options)),
      rejection(waiting.sealFields(sealed, ["a"], context, { ...options, skipSealed: true })),
    ];
    controller.abort(reason);
    for (const error of await Promise.all(refusals)) {
      expect([error.code, error.cause]).toEqual(["ERR_ABORTED", reason]);
    }
  });

  test("has a master key that fails: its code, the field's path, and what the error knows", async () => {
    const kms = new MemoryKms();
    const sealed = await keyfoldWith({ masterKeys: [kms, new MemoryKms("memory:two")] }).sealFields(
      { a: "1" },
      ["a"],
      context,
    );
    const [one, two] = [new MemoryKms(), new MemoryKms("memory:two")];
    one.failing = "ERR_MASTER_KEY_DENIED";
    const error = await rejection(keyfoldWith({ openWith: [one, two] }).openFields(sealed, ["a"], context));
    expect(error.code).toBe("ERR_UNWRAP_FAILED");
    expect(error.message).toContain('The field "a": ');
    expect(error.attempts?.map(({ error }) => error.code)).toEqual([
      "ERR_MASTER_KEY_DENIED",
      "ERR_MASTER_KEY_REJECTED",
    ]);
  });

  test("never throws at once from the asynchronous ones", async () => {
    const bad = undefined as unknown as object;
    expect((await rejection(keyfold.sealFields(bad, ["a"], context))).code).toBe("ERR_INVALID_ARGUMENT");
    expect((await rejection(keyfold.openFields(bad, ["a"], context))).code).toBe("ERR_INVALID_ARGUMENT");
  });
});

describe("types", () => {
  interface User {
    readonly id: number;
    email: string;
    nickname?: string;
    born: Date | null;
    address: { street: string; city: string } | null;
    tokens: readonly string[];
    people: { name: string; phone: bigint }[];
    settings: { theme: "dark" | "light" };
    "a.b": { c: boolean };
  }
  const paths = [
    ...(["email", "nickname?", "born", "address.street?", "tokens[]", "people[].phone"] as const),
    ...(["settings", "a\\.b.c"] as const),
  ];
  const record = {} as User;
  const seal = () => keyfold.sealFieldsSync(record, paths, context);
  type Sealed = ReturnType<typeof seal>;

  test("a field becomes a string that remembers its type, and all else stays", () => {
    expectTypeOf<Sealed["id"]>().toEqualTypeOf<number>();
    expectTypeOf<Sealed["email"]>().toEqualTypeOf<SealedField<string>>();
    expectTypeOf<Sealed["email"]>().toExtend<string>();
    expectTypeOf<Sealed["nickname"]>().toEqualTypeOf<SealedField<string> | undefined>();
    expectTypeOf<Sealed["born"]>().toEqualTypeOf<SealedField<Date | null>>();
    expectTypeOf<Sealed["address"]>().toEqualTypeOf<{ street: SealedField<string>; city: string } | null>();
    expectTypeOf<Sealed["tokens"]>().toEqualTypeOf<readonly SealedField<string>[]>();
    expectTypeOf<Sealed["people"]>().toEqualTypeOf<{ name: string; phone: SealedField<bigint> }[]>();
    expectTypeOf<Sealed["settings"]>().toEqualTypeOf<SealedField<{ theme: "dark" | "light" }>>();
    expectTypeOf<Sealed["a.b"]>().toEqualTypeOf<{ c: SealedField<boolean> }>();
    // @ts-expect-error a text is not sealed by being one
    const forged: Sealed["email"] = "kf1.";
    expect(forged).toBe("kf1.");
  });

  test("openFields of sealFields of T is T", () => {
    const open = (sealed: Sealed) => keyfold.openFieldsSync(sealed, paths, context);
    expectTypeOf<ReturnType<typeof open>>().toEqualTypeOf<User>();
    const openLater = (sealed: Sealed) => keyfold.openFields(sealed, paths, context);
    expectTypeOf<Awaited<ReturnType<typeof openLater>>>().toEqualTypeOf<User>();
  });

  test("of a row with texts alone the caller says the type, or has any value", () => {
    const row = {} as { id: number; email: string; note: string | null };
    const open = () => keyfold.openFieldsSync(row, ["email", "note?"], context);
    type Opened = { id: number; email: FieldValue; note: FieldValue };
    expectTypeOf<ReturnType<typeof open>>().toEqualTypeOf<Opened>();
    const openAs = () => keyfold.openFields<User>(row, ["email"], context);
    expectTypeOf<Awaited<ReturnType<typeof openAs>>>().toEqualTypeOf<User>();
  });

  test("of paths that the compiler does not know it knows no value", () => {
    const unknown: string[] = ["email"];
    const sealUnknown = () => keyfold.sealFieldsSync(record, unknown, context);
    expectTypeOf<ReturnType<typeof sealUnknown>["email"]>().toEqualTypeOf<unknown>();
  });
});
