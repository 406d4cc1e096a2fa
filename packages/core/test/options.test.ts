/** What `createKeyfold` takes, option by option, and what it refuses. */

import { describe, expect, test } from "vitest";
import { systemClock } from "../src/clock.ts";
import { createKeyfold, type KeyfoldOptions } from "../src/index.ts";
import { resolveOptions } from "../src/options.ts";
import { context, HOUR, keyfoldWith, MINUTE, rejection, SECOND, sealedBy } from "./support/behaviour.ts";
import { FakeClock } from "./support/fake-clock.ts";
import { MemoryKms } from "./support/memory-kms.ts";
import { refusalOf } from "./support/refusal.ts";

type Name = keyof KeyfoldOptions;

const one = new MemoryKms("memory:one");
const two = new MemoryKms("memory:two");
const { name, authenticatesWraps, recognizes, wrapKey, unwrapKey } = {
  name: "a provider",
  authenticatesWraps: true,
  recognizes: () => true,
  wrapKey: () => Promise.reject(new Error("It is never called.")),
  unwrapKey: () => Promise.reject(new Error("It is never called.")),
};

const durations = ["kdkLifetime", "kekLifetime", "refreshAfter", "expireAfter", "deadline"] as const;
const flags = ["acceptUnauthenticatedWraps", "sealOnly"] as const;

/** Options that lack nothing, with one of them replaced by something that may be of another type. */
function optionsWith(option: string, value: unknown): KeyfoldOptions {
  return { project: "test", masterKeys: one, [option]: value };
}

/** What the refusal of an option says. */
function complaintOf(option: string, value: unknown): string {
  const { code, message } = refusalOf(() => createKeyfold(optionsWith(option, value)));
  expect(code).toBe("ERR_INVALID_ARGUMENT");
  return message;
}

describe("the options as a whole", () => {
  test.each([undefined, null, "test", 5, true])("must be an object, which %o is not", (options) => {
    const { code, message } = refusalOf(() => createKeyfold(options as never));
    expect(code).toBe("ERR_INVALID_ARGUMENT");
    expect(message).toContain("options");
  });

  test.each(["masterKey", "Project", "ttl", "toString", ""])(
    "must be known ones, which %o is not, whatever its value",
    (unknown) => {
      for (const value of [undefined, 1]) expect(complaintOf(unknown, value)).toContain(`"${unknown}"`);
    },
  );

  test("must name a master key, to seal with or to open with", () => {
    for (const empty of [{}, { masterKeys: [] }, { openWith: [] }, { masterKeys: [], openWith: [] }]) {
      const { code, message } = refusalOf(() => createKeyfold({ project: "test", ...empty }));
      expect(code).toBe("ERR_INVALID_ARGUMENT");
      expect(message).toContain("masterKeys");
      expect(message).toContain("openWith");
    }
  });

  test("are left as they were, and may be changed afterwards to no effect", async () => {
    const masterKeys = [one];
    const requireContext = ["name"];
    const options = { project: "test", masterKeys, requireContext };
    const keyfold = createKeyfold(options);
    masterKeys.push(two);
    requireContext.push("another");
    options.project = "another";
    const sealed = await keyfold.seal("secret", context);
    expect(keyfold.inspect(sealed).masterKeys).toEqual(["memory:one"]);
    expect(await keyfoldWith({ masterKeys: one, project: "test" }).openText(sealed, context)).toBe("secret");
  });
});

describe("an option", () => {
  const defaults = {
    scope: "",
    wrapsNeeded: 2,
    requireContext: [],
    kmsContexts: [{ "keyfold:project": "test", "keyfold:purpose": "kdk" }],
    acceptUnauthenticatedWraps: false,
    sealOnly: false,
    unwrapBudget: { burst: 100, perSecond: 10 },
    kdkLifetime: 24 * HOUR,
    kekLifetime: HOUR,
    refreshAfter: 15 * MINUTE,
    expireAfter: 24 * HOUR,
    maxKeys: 1_000,
    deadline: 5 * SECOND,
    clock: systemClock,
    wrapWith: [one, two],
    unwrapWith: [one, two],
  };
  const optional: readonly Exclude<Name, "project" | "masterKeys">[] = [
    "openWith",
    "scope",
    "kmsContext",
    "openKmsContexts",
    "requireContext",
    "wrapPolicy",
    "acceptUnauthenticatedWraps",
    "sealOnly",
    "unwrapBudget",
    "kdkLifetime",
    "kekLifetime",
    "refreshAfter",
    "expireAfter",
    "maxKeys",
    "deadline",
    "clock",
  ];

  test("that is left out has the documented default", () => {
    expect(resolveOptions({ project: "test", masterKeys: [one, two] })).toMatchObject(defaults);
  });

  test.each(optional)("%s that is explicitly undefined has the documented default", (option) => {
    const options = { ...optionsWith(option, undefined), masterKeys: [one, two] };
    expect(Object.hasOwn(options, option)).toBe(true);
    expect(resolveOptions(options)).toMatchObject(defaults);
  });

  test("masterKeys that is explicitly undefined is as one that is left out", () => {
    const { wrapWith, unwrapWith } = resolveOptions({
      project: "test",
      masterKeys: undefined,
      openWith: two,
    });
    expect({ wrapWith, unwrapWith }).toEqual({ wrapWith: [], unwrapWith: [two] });
  });
});

describe("project", () => {
  test.each([undefined, null, 5, "", ["test"], "\ud800", "x".repeat(256), "é".repeat(128)])(
    "refuses %o",
    (project) => {
      expect(complaintOf("project", project)).toContain("project");
    },
  );

  test.each(["x", "x".repeat(255), `${"é".repeat(127)}x`, "billing/prod"])("takes %o", async (project) => {
    const keyfold = keyfoldWith({ masterKeys: one, project });
    expect(await keyfold.openText(await keyfold.seal("secret", context), context)).toBe("secret");
  });
});

describe("scope", () => {
  test.each([5, ["a"], {}, "\udc00", "x".repeat(256), "é".repeat(128)])("refuses %o", (scope) => {
    expect(complaintOf("scope", scope)).toContain("scope");
  });

  test.each(["", "x".repeat(255), `${"é".repeat(127)}x`])("takes %o", async (scope) => {
    const keyfold = keyfoldWith({ masterKeys: one, scope });
    expect(await keyfold.openText(await keyfold.seal("secret", context), context)).toBe("secret");
  });
});

describe.each(["masterKeys", "openWith"] as const)("%s", (option) => {
  test.each([
    ["null", null],
    ["a string", "alias/billing"],
    ["a list with a hole", [undefined]],
    ["a promise of a provider", Promise.resolve(one)],
    ["a list with a promise", [one, Promise.resolve(two)]],
    ["a provider that cannot wrap", { name, authenticatesWraps, recognizes, unwrapKey }],
    ["a provider that cannot unwrap", { name, authenticatesWraps, recognizes, wrapKey }],
    ["a provider without recognizes", { name, authenticatesWraps, wrapKey, unwrapKey }],
  ])("refuses %s", (_, value) => {
    expect(complaintOf(option, value)).toContain(option);
  });

  test("refuses the same provider twice", () => {
    expect(complaintOf(option, [two, two])).toContain(option);
  });

  test("takes one provider or a list of them", () => {
    const none = { project: "test" };
    expect(resolveOptions({ ...none, [option]: one }).unwrapWith).toEqual([one]);
    expect(resolveOptions({ ...none, [option]: [two, one] }).unwrapWith).toEqual([two, one]);
  });
});

describe("masterKeys", () => {
  const kmses = Array.from({ length: 17 }, (_, i) => new MemoryKms(`memory:${i}`));

  test("refuses more than an envelope can embed wraps of", () => {
    expect(complaintOf("masterKeys", kmses)).toContain("16");
  });

  test("says its own name when they are too many", () => {
    expect(complaintOf("masterKeys", kmses)).toContain("masterKeys");
  });

  test("takes sixteen", async () => {
    const keyfold = keyfoldWith({ masterKeys: kmses.slice(1) });
    expect(keyfold.inspect(await keyfold.seal("secret", context)).masterKeys.length).toBe(16);
  });

  test("may be named in openWith too, and is then asked once", () => {
    const { unwrapWith } = resolveOptions({ project: "test", masterKeys: one, openWith: [two, one] });
    expect(unwrapWith).toEqual([one, two]);
  });

  test("may be left out, and then sealing is refused", async () => {
    const keyfold = createKeyfold({ project: "test", openWith: one });
    expect((await rejection(keyfold.seal("secret", context))).code).toBe("ERR_NOT_CONFIGURED");
    expect((await rejection(keyfold.ready())).code).toBe("ERR_NOT_CONFIGURED");
    expect(await keyfold.openText(await sealedBy(one), context)).toBe("secret");
  });
});

describe("kmsContext", () => {
  const refused: readonly (readonly [string, unknown])[] = [
    ["text", "tenant"],
    ["a list", ["tenant"]],
    ["a Map", new Map([["tenant", "a"]])],
    ["a number for a value", { tenant: 5 }],
    ["an empty key", { "": "a" }],
    ["a key of keyfold's own", { "keyfold:project": "another" }],
    ["ill-formed text", { tenant: "\ud800" }],
    ["over 2,048 bytes", { tenant: "x".repeat(2_048) }],
  ];

  test.each(refused)("refuses %s", (_, value) => {
    expect(complaintOf("kmsContext", value)).toMatch(/context/i);
  });

  test("says its own name when it is refused", () => {
    expect(complaintOf("kmsContext", "tenant")).toMatch(/kmsContext|KMS context/);
  });

  test.each(refused)("is refused among openKmsContexts too: %s", (_, value) => {
    expect(complaintOf("openKmsContexts", [{}, value])).toMatch(/context/i);
  });

  test("is refused by the name openKmsContexts there", () => {
    expect(complaintOf("openKmsContexts", ["tenant"])).toContain("openKmsContexts");
  });

  test("is bound to the wrap, with the project and the purpose", () => {
    const { kmsContexts } = resolveOptions(optionsWith("kmsContext", { tenant: "a" }));
    expect(kmsContexts).toEqual([{ tenant: "a", "keyfold:project": "test", "keyfold:purpose": "kdk" }]);
  });
});

describe.each(["openKmsContexts", "requireContext"] as const)("%s", (option) => {
  test.each(["tenant", {}, 5, new Set(["tenant"])])("refuses %o, which is no array", (value) => {
    expect(complaintOf(option, value)).toContain(option);
  });
});

describe("requireContext", () => {
  test.each([[""], [5], [undefined], [["name"]]])("refuses a list with %o", (key) => {
    expect(complaintOf("requireContext", ["name", key])).toContain("requireContext");
  });
});

describe("wrapPolicy", () => {
  test.each([null, "any", 1, {}, { atLeast: 0 }, { atLeast: 3 }, { atLeast: 1.5 }, { atLeast: "1" }])(
    "refuses %o for two master keys",
    (policy) => {
      const options = { project: "test", masterKeys: [one, two], wrapPolicy: policy as never };
      const { code, message } = refusalOf(() => createKeyfold(options));
      expect(code).toBe("ERR_INVALID_ARGUMENT");
      expect(message).toContain("wrapPolicy");
    },
  );

  test.each([
    ["all", 2],
    [{ atLeast: 1 }, 1],
    [{ atLeast: 2 }, 2],
  ] as const)("takes %o for two master keys", (wrapPolicy, needed) => {
    expect(resolveOptions({ project: "test", masterKeys: [one, two], wrapPolicy }).wrapsNeeded).toBe(needed);
  });
});

describe.each(flags)("%s", (option) => {
  test.each([null, 0, 1, "true", {}])("refuses %o", (value) => {
    expect(complaintOf(option, value)).toContain(option);
  });

  test.each([true, false])("takes %o", (value) => {
    expect(resolveOptions(optionsWith(option, value))[option]).toBe(value);
  });
});

describe("unwrapBudget", () => {
  test.each([
    ["a burst of 0", { burst: 0 }],
    ["a burst below 1", { burst: 0.5 }],
    ["a burst of NaN", { burst: Number.NaN }],
    ["a burst that is text", { burst: "many" }],
    ["a rate of 0", { perSecond: 0 }],
    ["a negative rate", { perSecond: -1 }],
    ["a rate of NaN", { perSecond: Number.NaN }],
    ["a burst that is text with digits", { burst: "5" }],
    ["a rate that is text with digits", { perSecond: "5" }],
    ["a number", 5],
    ["text", "unlimited"],
  ])("refuses %s", (_, value) => {
    expect(complaintOf("unwrapBudget", value)).toContain("unwrapBudget");
  });

  test.each([
    [{ burst: 1, perSecond: 0.1 }],
    [{ burst: Number.POSITIVE_INFINITY, perSecond: 10 }],
    [{ burst: 5, perSecond: 1_000 }],
  ])("takes %o", (value) => {
    expect(resolveOptions(optionsWith("unwrapBudget", value)).unwrapBudget).toEqual(value);
  });

  test("takes one limit, and the other is the default", () => {
    const budgetOf = (value: object) => resolveOptions(optionsWith("unwrapBudget", value)).unwrapBudget;
    expect(budgetOf({ burst: 5 })).toEqual({ burst: 5, perSecond: 10 });
    expect(budgetOf({ perSecond: 5 })).toEqual({ burst: 100, perSecond: 5 });
  });
});

describe.each(durations)("%s", (option) => {
  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, "1000", {}, 1_000n, new Date(1_000)])(
    "refuses %o",
    (value) => {
      expect(complaintOf(option, value)).toContain(option);
    },
  );

  test.each([1, 0.5, HOUR])("takes %o milliseconds", (value) => {
    expect(resolveOptions(optionsWith(option, value))[option]).toBe(value);
  });
});

test("kekLifetime refuses more than an hour", () => {
  for (const value of [HOUR + 1, HOUR + 0.001, 24 * HOUR]) {
    expect(complaintOf("kekLifetime", value)).toContain("kekLifetime");
    expect(complaintOf("kekLifetime", value)).toContain(`at most ${HOUR}`);
  }
});

test("deadline refuses more than a timer can wait for", () => {
  expect(complaintOf("deadline", 2 ** 31)).toContain("deadline");
  expect(resolveOptions(optionsWith("deadline", 2 ** 31 - 1)).deadline).toBe(2 ** 31 - 1);
});

describe("maxKeys", () => {
  test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "10", {}])("refuses %o", (value) => {
    expect(complaintOf("maxKeys", value)).toContain("maxKeys");
  });

  test("takes 1", () => {
    expect(resolveOptions(optionsWith("maxKeys", 1)).maxKeys).toBe(1);
  });
});

describe("clock", () => {
  test.each([5, "now", {}, Date, performance])("refuses %o", (value) => {
    expect(complaintOf("clock", value)).toContain("clock");
  });

  test.each(["now", "monotonic", "setTimeout", "clearTimeout"])("refuses one without %s", (method) => {
    const lacking = Object.assign(new FakeClock(), { [method]: undefined });
    const complaint = complaintOf("clock", lacking);
    expect(complaint).toContain("clock");
    expect(complaint).toContain(method);
  });

  test("takes one of a test", () => {
    const clock = new FakeClock();
    expect(resolveOptions(optionsWith("clock", clock)).clock).toBe(clock);
  });
});
