/** The keyfold itself: its counts, its scopes, what it says of envelopes, how it ends, and what it refuses. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Bytes, Keyfold } from "../src/index.ts";
import { KeyfoldError } from "../src/index.ts";
import { damaged } from "./support/arbitraries.ts";
import {
  context,
  Gate,
  keyfoldWith,
  rejection,
  SECOND,
  sealedBy,
  silence,
  watch,
} from "./support/behaviour.ts";
import { FakeClock, settled } from "./support/fake-clock.ts";
import { MemoryKms } from "./support/memory-kms.ts";
import { codeOf, refusalOf } from "./support/refusal.ts";

type Signal = { signal?: AbortSignal };

/** Every asynchronous method that may wait for a master key. */
const operations: readonly (readonly [
  string,
  (on: Keyfold, sealed: Bytes, options?: Signal) => Promise<unknown>,
])[] = [
  ["seal", (on, _, options) => on.seal("secret", context, options)],
  ["sealText", (on, _, options) => on.sealText("secret", context, options)],
  ["open", (on, sealed, options) => on.open(sealed, context, options)],
  ["openText", (on, sealed, options) => on.openText(sealed, context, options)],
  ["rewrap", (on, sealed, options) => on.rewrap(sealed, options)],
  ["ready", (on, _, options) => on.ready(undefined, options)],
  ["ready(envelopes)", (on, sealed, options) => on.ready([sealed], options)],
];

/** Every synchronous method that uses keys. */
const syncOperations: readonly (readonly [string, (on: Keyfold, sealed: Bytes) => unknown])[] = [
  ["sealSync", (on) => on.sealSync("secret", context)],
  ["sealTextSync", (on) => on.sealTextSync("secret", context)],
  ["openSync", (on, sealed) => on.openSync(sealed, context)],
  ["openTextSync", (on, sealed) => on.openTextSync(sealed, context)],
  ["needsRewrap", (on, sealed) => on.needsRewrap(sealed)],
];

/** Those that take a plaintext, an encryption context, or an envelope, with one of them replaced by anything. */
const sealsOf: readonly (readonly [string, (on: Keyfold, plaintext: never, given: never) => unknown])[] = [
  ["seal", (on, plaintext, given) => on.seal(plaintext, given)],
  ["sealText", (on, plaintext, given) => on.sealText(plaintext, given)],
  ["sealSync", (on, plaintext, given) => on.sealSync(plaintext, given)],
  ["sealTextSync", (on, plaintext, given) => on.sealTextSync(plaintext, given)],
];
const opensOf: readonly (readonly [string, (on: Keyfold, envelope: never, given: never) => unknown])[] = [
  ["open", (on, envelope, given) => on.open(envelope, given)],
  ["openText", (on, envelope, given) => on.openText(envelope, given)],
  ["openSync", (on, envelope, given) => on.openSync(envelope, given)],
  ["openTextSync", (on, envelope, given) => on.openTextSync(envelope, given)],
];
const readersOf: readonly (readonly [string, (on: Keyfold, envelope: never) => unknown])[] = [
  ...opensOf.map(
    ([name, open]) => [name, (on: Keyfold, envelope: never) => open(on, envelope, context as never)] as const,
  ),
  ["rewrap", (on, envelope) => on.rewrap(envelope)],
  ["ready(envelopes)", (on, envelope) => on.ready([envelope])],
  ["inspect", (on, envelope) => on.inspect(envelope)],
  ["needsRewrap", (on, envelope) => on.needsRewrap(envelope)],
];

/** A keyfold with keys in memory, an envelope of its own, and one that another process sealed. */
async function warm() {
  const kms = new MemoryKms();
  const keyfold = keyfoldWith({ masterKeys: kms });
  const sealed = await keyfold.seal("secret", context);
  return { kms, keyfold, sealed, foreign: await sealedBy(kms) };
}

/** A keyfold without a key in memory, whose master key never answers, on a clock that stands still. */
async function waiting() {
  const kms = new MemoryKms();
  const sealed = await sealedBy(kms);
  kms.before = silence;
  return { kms, sealed, keyfold: keyfoldWith({ masterKeys: kms, clock: new FakeClock() }) };
}

/** The code of a refusal, thrown or rejected. */
async function codeOfEither(action: () => unknown): Promise<string> {
  return (await rejection((async () => action())())).code;
}

describe("stats", () => {
  test("begin with nothing", () => {
    expect(keyfoldWith({ masterKeys: new MemoryKms() }).stats()).toEqual({
      seals: 0,
      opens: 0,
      rewraps: 0,
      wrapCalls: 0,
      unwrapCalls: 0,
      kdks: 0,
      keks: 0,
    });
  });

  test("count what succeeded, by whichever method, and the keys in memory", async () => {
    const { keyfold, sealed, foreign } = await warm();
    await keyfold.sealText("b", context);
    keyfold.sealSync("c", context);
    keyfold.sealTextSync("d", context);
    await keyfold.open(sealed, context);
    await keyfold.openText(foreign, context);
    keyfold.openSync(foreign, context);
    keyfold.openTextSync(foreign, context);
    await keyfold.rewrap(foreign);
    expect(keyfold.stats()).toEqual({
      seals: 4,
      opens: 4,
      rewraps: 1,
      wrapCalls: 1,
      unwrapCalls: 1,
      kdks: 2,
      keks: 2,
    });
  });

  test("do not count what was refused", async () => {
    const { keyfold, sealed } = await warm();
    const { keks: _, ...before } = keyfold.stats();
    expect((await rejection(keyfold.seal("\ud800", context))).code).toBe("ERR_INVALID_ARGUMENT");
    expect((await rejection(keyfold.open(sealed.subarray(0, -1), context))).code).toBe("ERR_MESSAGE_ALTERED");
    expect((await rejection(keyfold.open("kf1.", context))).code).toBe("ERR_NOT_AN_ENVELOPE");
    expect((await rejection(keyfold.scoped("another").rewrap(sealed))).code).toBe("ERR_HEADER_REJECTED");
    expect(keyfold.stats()).toMatchObject(before);
  });

  test("count a retry as a call, and a call that failed too", async () => {
    const kms = new MemoryKms();
    const clock = new FakeClock();
    const keyfold = keyfoldWith({ masterKeys: kms, clock });
    kms.failing = "ERR_MASTER_KEY_THROTTLED";
    const sealing = keyfold.seal("secret", context);
    await settled();
    expect(keyfold.stats().wrapCalls).toBe(1);
    kms.failing = undefined;
    await clock.advance(SECOND);
    await sealing;
    expect(keyfold.stats().wrapCalls).toBe(2);
    const foreign = await sealedBy(kms);
    kms.failing = "ERR_MASTER_KEY_DENIED";
    expect((await rejection(keyfold.open(foreign, context))).code).toBe("ERR_MASTER_KEY_DENIED");
    expect(keyfold.stats()).toMatchObject({ unwrapCalls: 1, opens: 0 });
  });

  test("are a snapshot: those taken before do not change", async () => {
    const { keyfold } = await warm();
    const before = keyfold.stats();
    await keyfold.seal("another", context);
    expect(before.seals).toBe(1);
    expect(keyfold.stats().seals).toBe(2);
  });
});

describe("scoped", () => {
  test("has the same keys in memory and the same counts", async () => {
    const { kms, keyfold } = await warm();
    const tenant = keyfold.scoped("tenant");
    expect(await tenant.openText(await tenant.seal("of a tenant", context), context)).toBe("of a tenant");
    expect(kms.wraps).toBe(2);
    expect(tenant.stats()).toEqual(keyfold.stats());
    expect(tenant.stats()).toMatchObject({ seals: 2, opens: 1, wrapCalls: 1 });
  });

  test("is another scope: neither opens what the other sealed, which is ERR_HEADER_REJECTED", async () => {
    const { keyfold, sealed } = await warm();
    const [a, b] = [keyfold.scoped("a"), keyfold.scoped("b")];
    const ofA = await a.seal("of a", context);
    for (const [on, envelope] of [
      [b, ofA],
      [keyfold, ofA],
      [a, sealed],
    ] as const) {
      expect((await rejection(on.open(envelope, context))).code).toBe("ERR_HEADER_REJECTED");
      expect(codeOf(() => on.openSync(envelope, context))).toBe("ERR_HEADER_REJECTED");
      expect((await rejection(on.rewrap(envelope))).code).toBe("ERR_HEADER_REJECTED");
    }
    expect(await a.openText(ofA, context)).toBe("of a");
  });

  test("does not open what another scope sealed in another process either", async () => {
    const kms = new MemoryKms();
    const sealed = await keyfoldWith({ masterKeys: kms, scope: "a" }).seal("secret", context);
    const reader = keyfoldWith({ masterKeys: kms });
    expect((await rejection(reader.open(sealed, context))).code).toBe("ERR_HEADER_REJECTED");
    expect((await rejection(reader.scoped("b").open(sealed, context))).code).toBe("ERR_HEADER_REJECTED");
    expect(await reader.scoped("a").openText(sealed, context)).toBe("secret");
  });

  test("of a scoped one replaces its scope, and does not add to it", async () => {
    const { keyfold, sealed } = await warm();
    const ofB = await keyfold.scoped("a").scoped("b").seal("of b", context);
    expect(await keyfold.scoped("b").openText(ofB, context)).toBe("of b");
    expect(await keyfold.scoped("a").scoped("").openText(sealed, context)).toBe("secret");
  });

  test("leaves the one that it was called on in its scope", async () => {
    const { keyfold, sealed } = await warm();
    keyfold.scoped("another");
    expect(await keyfold.openText(sealed, context)).toBe("secret");
  });

  test("is closed together with the others, whichever is closed", async () => {
    for (const closing of ["whole", "part"]) {
      const { keyfold } = await warm();
      const tenant = keyfold.scoped("tenant");
      await (closing === "whole" ? keyfold : tenant).close();
      for (const on of [keyfold, tenant, keyfold.scoped("later")])
        expect((await rejection(on.seal("secret", context))).code).toBe("ERR_CLOSED");
    }
  });

  test.each([undefined, null, 5, ["a"], {}, "\ud800", "x".repeat(256), "é".repeat(128)])(
    "refuses %o with ERR_INVALID_ARGUMENT",
    (scope) => {
      const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
      expect(codeOf(() => keyfold.scoped(scope as never))).toBe("ERR_INVALID_ARGUMENT");
    },
  );
});

describe("inspect", () => {
  test("reads every field, the same from both forms, without a key and without a call", async () => {
    const kmses = [new MemoryKms("memory:one"), new MemoryKms("memory:two")];
    const sealer = keyfoldWith({ masterKeys: kmses });
    const sealed = await sealer.seal("secret", context);
    const stranger = new MemoryKms("memory:stranger");
    const keyfold = keyfoldWith({ masterKeys: stranger, project: "another" });
    const wraps = 3 + 2 * (4 + "memory:one".length + 12 + 32 + 16);
    const expected = {
      version: 1,
      kdkId: Buffer.from(sealed.subarray(4, 20)).toString("base64url"),
      salt: Buffer.from(sealed.subarray(20, 36)).toString("base64url"),
      masterKeys: ["memory:one", "memory:two"],
      headerBytes: 96 + wraps,
      messageBytes: 24 + 32 + "secret".length + 16,
    };
    expect(keyfold.inspect(sealed)).toEqual(expected);
    expect(keyfold.inspect(Buffer.from(sealed))).toEqual(expected);
    expect(keyfold.inspect(`kf1.${Buffer.from(sealed).toString("base64url")}`)).toEqual(expected);
    expect(keyfold.stats()).toMatchObject({ unwrapCalls: 0, kdks: 0 });
    expect(stranger.unwraps).toBe(0);
  });

  test("agrees with the text form that sealText gives", async () => {
    const { keyfold, sealed } = await warm();
    const text = await keyfold.sealText("secret", context);
    expect(keyfold.inspect(text)).toEqual(keyfold.inspect(sealed));
  });

  test.each([
    ["ERR_NOT_AN_ENVELOPE", (sealed: Bytes) => sealed.subarray(1)],
    ["ERR_UNSUPPORTED_VERSION", (sealed: Bytes) => sealed.with(2, 2)],
    ["ERR_MALFORMED_ENVELOPE", (sealed: Bytes) => sealed.subarray(0, 95)],
  ])("refuses as open does: %s", async (code, change) => {
    const { keyfold, sealed } = await warm();
    const changed = change(sealed);
    expect(codeOf(() => keyfold.inspect(changed))).toBe(code);
    expect((await rejection(keyfold.open(changed, context))).code).toBe(code);
  });
});

describe("isSealed", () => {
  test("is true of both forms, and false of what is no envelope", async () => {
    const { keyfold, sealed } = await warm();
    for (const envelope of [sealed, Buffer.from(sealed), await keyfold.sealText("secret", context)])
      expect(keyfold.isSealed(envelope)).toBe(true);
    for (const other of [
      undefined,
      null,
      5,
      "",
      "secret",
      "kf1.",
      {},
      [...sealed],
      sealed.buffer,
      Symbol("kf1."),
    ])
      expect(keyfold.isSealed(other)).toBe(false);
  });

  test("is true exactly when inspect succeeds: of envelopes with changed bytes", async () => {
    const { keyfold, sealed } = await warm();
    // Most changes meet the message, which inspect does not judge: the header alone meets it more often.
    const { headerBytes } = keyfold.inspect(sealed);
    const parts = fc.constantFrom(sealed, sealed.subarray(0, headerBytes), sealed.subarray(0, 8));
    const answers = agreement(keyfold, damaged(parts));
    expect(answers).toEqual(new Set([true, false]));
  });

  test("is true exactly when inspect succeeds: of text forms with changed characters", async () => {
    const { keyfold } = await warm();
    const text = await keyfold.sealText("secret", context);
    const characters = fc.constantFrom("A", "_", "-", "=", "+", "/", " ", "\n", "é", "\ud800", "");
    const changed = fc
      .tuple(fc.nat(text.length), fc.nat(1), characters)
      .map(([at, cut, put]) => text.slice(0, at) + put + text.slice(at + cut));
    const answers = agreement(keyfold, changed);
    expect(answers).toEqual(new Set([true, false]));
  });

  test("is true exactly when inspect succeeds: of anything at all", async () => {
    const { keyfold, sealed } = await warm();
    const anything = fc.anything({ withTypedArray: true, withDate: true, withMap: true, withBigInt: true });
    const answers = agreement(keyfold, fc.oneof(anything, fc.constantFrom(sealed, new String("kf1."))));
    expect(answers).toEqual(new Set([true, false]));
  });

  /** Checks isSealed against inspect, and gives the answers that there were. */
  function agreement(keyfold: Keyfold, values: fc.Arbitrary<unknown>): Set<boolean> {
    const answers = new Set<boolean>();
    fc.assert(
      fc.property(values, (value) => {
        const answer = keyfold.isSealed(value);
        answers.add(answer);
        expect(answer).toBe(isInspected(keyfold, value));
      }),
      { numRuns: 2_000 },
    );
    return answers;
  }

  function isInspected(keyfold: Keyfold, value: unknown): boolean {
    try {
      keyfold.inspect(value as never);
      return true;
    } catch (error) {
      if (error instanceof KeyfoldError) return false;
      throw error;
    }
  }
});

describe("close", () => {
  test.each(operations)("makes %s ERR_CLOSED", async (_, run) => {
    const { keyfold, sealed } = await warm();
    await run(keyfold, sealed);
    await keyfold.close();
    expect((await rejection(run(keyfold, sealed))).code).toBe("ERR_CLOSED");
  });

  test("makes ready of no envelopes ERR_CLOSED", async () => {
    const { keyfold } = await warm();
    await keyfold.ready([]);
    await keyfold.close();
    expect((await rejection(keyfold.ready([]))).code).toBe("ERR_CLOSED");
  });

  test.each(syncOperations)("makes %s ERR_CLOSED", async (_, run) => {
    const { keyfold, sealed } = await warm();
    run(keyfold, sealed);
    await keyfold.close();
    expect(codeOf(() => run(keyfold, sealed))).toBe("ERR_CLOSED");
  });

  test("leaves what uses no key: inspect, isSealed, stats", async () => {
    const { keyfold, sealed } = await warm();
    const before = keyfold.inspect(sealed);
    await keyfold.close();
    expect(keyfold.inspect(sealed)).toEqual(before);
    expect(keyfold.isSealed(sealed)).toBe(true);
    expect(keyfold.stats()).toMatchObject({ kdks: 0, keks: 0 });
  });

  test.each(operations)(
    "ends %s that is under way with ERR_CLOSED, and calls nobody again",
    async (_, run) => {
      const { kms, keyfold, sealed } = await waiting();
      const running = run(keyfold, sealed);
      const watched = watch(running);
      await settled();
      expect(watched.settled).toBe(false);
      const calls = kms.wraps + kms.unwraps;
      await keyfold.close();
      expect((await rejection(running)).code).toBe("ERR_CLOSED");
      expect(kms.wraps + kms.unwraps).toBe(calls);
    },
  );

  test("aborts the signal of the master key's call, and keeps no timer", async () => {
    const kms = new MemoryKms();
    const clock = new FakeClock();
    const signals: AbortSignal[] = [];
    kms.before = ({ signal }) => {
      signals.push(signal);
      return silence();
    };
    const keyfold = keyfoldWith({ masterKeys: kms, clock });
    const sealing = rejection(keyfold.seal("secret", context));
    await settled();
    await keyfold.close();
    expect((await sealing).code).toBe("ERR_CLOSED");
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    expect(clock.pending).toBe(0);
  });

  test("a key that comes after it is not kept", async () => {
    const kms = new MemoryKms();
    const foreign = await sealedBy(kms);
    const gate = new Gate();
    kms.before = () => gate.opened;
    const keyfold = keyfoldWith({ masterKeys: kms });
    const running = [rejection(keyfold.seal("secret", context)), rejection(keyfold.open(foreign, context))];
    await settled();
    await keyfold.close();
    gate.open();
    await settled();
    expect((await Promise.all(running)).map(({ code }) => code)).toEqual(["ERR_CLOSED", "ERR_CLOSED"]);
    expect(keyfold.stats()).toMatchObject({ kdks: 0, keks: 0 });
  });

  test("leaves no key in memory, however few turns before the end of an open it comes", async () => {
    const kms = new MemoryKms();
    const foreign = await sealedBy(kms);
    const outcomes = new Set<string>();
    for (let turns = 0; turns < 60; turns++) {
      const keyfold = keyfoldWith({ masterKeys: kms });
      const opening = keyfold.open(foreign, context).then(
        () => "opened",
        (error: KeyfoldError) => error.code,
      );
      for (let turn = 0; turn < turns; turn++) await undefined;
      await keyfold.close();
      outcomes.add(await opening);
      expect(keyfold.stats(), `closed after ${turns} turns`).toMatchObject({ kdks: 0, keks: 0 });
    }
    expect(outcomes).toEqual(new Set(["ERR_CLOSED", "opened"]));
  });

  test("forgets the keys, and may be called twice", async () => {
    const { keyfold, foreign } = await warm();
    await keyfold.open(foreign, context);
    expect(keyfold.stats()).toMatchObject({ kdks: 2, keks: 1 });
    await Promise.all([keyfold.close(), keyfold.close()]);
    await keyfold.close();
    expect(keyfold.stats()).toMatchObject({ kdks: 0, keks: 0 });
  });

  test("closes no provider, and no other keyfold", async () => {
    let closed = 0;
    const kms = Object.assign(new MemoryKms(), {
      close: async () => {
        closed++;
      },
    });
    const [one, other] = [keyfoldWith({ masterKeys: kms }), keyfoldWith({ masterKeys: kms })];
    const sealed = await one.seal("secret", context);
    await one.close();
    expect(closed).toBe(0);
    expect(await other.openText(sealed, context)).toBe("secret");
  });

  test("comes at the end of `await using`", async () => {
    const kms = new MemoryKms();
    const kept: Keyfold[] = [];
    {
      await using keyfold = keyfoldWith({ masterKeys: kms });
      kept.push(keyfold);
      expect(await keyfold.openText(await keyfold.seal("secret", context), context)).toBe("secret");
    }
    expect(kept.length).toBe(1);
    for (const keyfold of kept)
      expect((await rejection(keyfold.seal("secret", context))).code).toBe("ERR_CLOSED");
  });
});

describe("a signal that is aborted", () => {
  const reason = new Error("The user went away.");

  test.each(operations)(
    "before %s refuses it with ERR_ABORTED and its reason, and calls nobody",
    async (_, run) => {
      const { kms, keyfold, sealed } = await waiting();
      const calls = kms.wraps + kms.unwraps;
      const error = await rejection(run(keyfold, sealed, { signal: AbortSignal.abort(reason) }));
      expect(error.code).toBe("ERR_ABORTED");
      expect(error.cause).toBe(reason);
      expect(kms.wraps + kms.unwraps).toBe(calls);
    },
  );

  test.each(operations)("before %s refuses it with ERR_ABORTED also with keys in memory", async (_, run) => {
    const { keyfold, sealed } = await warm();
    const error = await rejection(run(keyfold, sealed, { signal: AbortSignal.abort(reason) }));
    expect(error.code).toBe("ERR_ABORTED");
    expect(error.cause).toBe(reason);
  });

  test.each(operations)(
    "during %s ends it with ERR_ABORTED and its reason, while the master key is silent",
    async (_, run) => {
      const { keyfold, sealed } = await waiting();
      const controller = new AbortController();
      const running = run(keyfold, sealed, { signal: controller.signal });
      const watched = watch(running);
      await settled();
      expect(watched.settled).toBe(false);
      controller.abort(reason);
      const error = await rejection(running);
      expect(error.code).toBe("ERR_ABORTED");
      expect(error.cause).toBe(reason);
    },
  );

  test.each(operations)("after %s changes nothing", async (_, run) => {
    const { keyfold, sealed } = await warm();
    const controller = new AbortController();
    await run(keyfold, sealed, { signal: controller.signal });
    controller.abort(reason);
    await settled();
    await run(keyfold, sealed);
  });

  test("without a reason of its own gives the platform's as the cause", async () => {
    const { keyfold } = await warm();
    const error = await rejection(keyfold.seal("secret", context, { signal: AbortSignal.abort() }));
    expect(error.code).toBe("ERR_ABORTED");
    expect(error.cause).toMatchObject({ name: "AbortError" });
  });

  test("leaves the others who wait for the same key alone", async () => {
    const kms = new MemoryKms();
    const gate = new Gate();
    kms.before = () => gate.opened;
    const keyfold = keyfoldWith({ masterKeys: kms });
    const controller = new AbortController();
    const leaving = rejection(keyfold.seal("secret", context, { signal: controller.signal }));
    const staying = keyfold.seal("secret", context);
    await settled();
    controller.abort(reason);
    expect((await leaving).code).toBe("ERR_ABORTED");
    gate.open();
    expect(await keyfold.openText(await staying, context)).toBe("secret");
    expect(kms.wraps).toBe(1);
  });

  test("does not stand in the way of the next call", async () => {
    const { kms, keyfold } = await waiting();
    const controller = new AbortController();
    const leaving = rejection(keyfold.seal("secret", context, { signal: controller.signal }));
    await settled();
    controller.abort(reason);
    expect((await leaving).code).toBe("ERR_ABORTED");
    kms.before = undefined;
    expect(await keyfold.openText(await keyfold.seal("secret", context), context)).toBe("secret");
  });
});

describe("requireContext", () => {
  const requireContext = ["tenant", "name"];
  const whole = { tenant: "a", name: "db_password" };
  const lacking: readonly (readonly [string, Record<string, string>])[] = [
    ["none", {}],
    ["one of two", { name: "db_password" }],
    ["one of two, without a prototype", Object.assign(Object.create(null), { name: "db_password" })],
    ["one in another case", { Tenant: "a", name: "db_password" }],
  ];

  test.each(sealsOf)("%s refuses a context that lacks a key, and names the key", async (_, seal) => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms(), requireContext });
    await keyfold.ready();
    for (const [, given] of lacking) {
      const error = await rejection((async () => seal(keyfold, "secret" as never, given as never))());
      expect(error.code).toBe("ERR_INVALID_ARGUMENT");
      expect(error.message).toContain('"tenant"');
    }
  });

  test.each(opensOf)("%s refuses a context that lacks a key, and names the key", async (_, open) => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms(), requireContext });
    const sealed = await keyfold.seal("secret", whole);
    for (const [, given] of lacking) {
      const error = await rejection((async () => open(keyfold, sealed as never, given as never))());
      expect(error.code).toBe("ERR_INVALID_ARGUMENT");
      expect(error.message).toContain('"tenant"');
    }
  });

  test("is met by every key, whatever its value and whatever else there is", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms(), requireContext });
    for (const given of [whole, { tenant: "", name: "" }, { ...whole, more: "b" }])
      expect(await keyfold.openText(await keyfold.seal("secret", given), given)).toBe("secret");
  });

  test("holds in every scope, and rewrap needs no context", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms(), requireContext }).scoped("tenant");
    expect((await rejection(keyfold.seal("secret", {}))).code).toBe("ERR_INVALID_ARGUMENT");
    const rewrapped = await keyfold.rewrap(await keyfold.seal("secret", whole));
    expect(await keyfold.openText(rewrapped, whole)).toBe("secret");
  });
});

describe("an argument of a wrong type is ERR_INVALID_ARGUMENT", () => {
  const noPlaintexts = [
    undefined,
    null,
    5,
    true,
    {},
    [1, 2],
    new ArrayBuffer(4),
    new Uint16Array(4),
    Symbol("s"),
  ];
  const noContexts = [
    undefined,
    null,
    "name",
    5,
    ["name"],
    new Map([["name", "a"]]),
    new Date(0),
    { name: 5 },
    { name: undefined },
    { "": "a" },
    { "keyfold:project": "test" },
    { name: "x".repeat(8_192) },
  ];
  const noEnvelopes = [
    undefined,
    null,
    5,
    true,
    {},
    [75, 70],
    new ArrayBuffer(200),
    new Uint16Array(200),
    Symbol("s"),
  ];
  const noSignals = [null, {}, "signal", 5, new AbortController()];

  test.each(sealsOf)("as the plaintext of %s", async (_, seal) => {
    const { keyfold } = await warm();
    for (const value of noPlaintexts)
      expect(await codeOfEither(() => seal(keyfold, value as never, context as never))).toBe(
        "ERR_INVALID_ARGUMENT",
      );
  });

  test.each(sealsOf)("as the context of %s", async (_, seal) => {
    const { keyfold } = await warm();
    for (const value of noContexts)
      expect(await codeOfEither(() => seal(keyfold, "secret" as never, value as never))).toBe(
        "ERR_INVALID_ARGUMENT",
      );
  });

  test.each(opensOf)("as the context of %s", async (_, open) => {
    const { keyfold, sealed } = await warm();
    for (const value of noContexts)
      expect(await codeOfEither(() => open(keyfold, sealed as never, value as never))).toBe(
        "ERR_INVALID_ARGUMENT",
      );
  });

  test.each(readersOf)("as the envelope of %s", async (_, read) => {
    const { keyfold } = await warm();
    for (const value of noEnvelopes)
      expect(await codeOfEither(() => read(keyfold, value as never))).toBe("ERR_INVALID_ARGUMENT");
  });

  test.each(operations)("as the signal of %s", async (_, run) => {
    const { keyfold, sealed } = await warm();
    for (const signal of noSignals)
      expect(await codeOfEither(() => run(keyfold, sealed, { signal: signal as never }))).toBe(
        "ERR_INVALID_ARGUMENT",
      );
  });

  test.each(operations)("as the signal of %s, and nobody is called", async (_, run) => {
    const { kms, keyfold, sealed } = await waiting();
    const calls = kms.wraps + kms.unwraps;
    for (const signal of noSignals)
      expect(await codeOfEither(() => run(keyfold, sealed, { signal: signal as never }))).toBe(
        "ERR_INVALID_ARGUMENT",
      );
    expect(kms.wraps + kms.unwraps).toBe(calls);
  });

  test("as the envelopes of ready, which are no iterable", async () => {
    const { keyfold } = await warm();
    for (const value of [5, null, {}])
      expect((await rejection(keyfold.ready(value as never))).code).toBe("ERR_INVALID_ARGUMENT");
  });
});

describe("an asynchronous method never throws synchronously", () => {
  /** Calls that are all refused. */
  const refused: readonly (readonly [string, (on: Keyfold) => Promise<unknown>])[] = [
    ["seal of no plaintext", (on) => on.seal(undefined as never, context)],
    ["seal without a context", (on) => on.seal("secret", undefined as never)],
    ["sealText of ill-formed text", (on) => on.sealText("\ud800", context)],
    ["open of no envelope", (on) => on.open(undefined as never, context)],
    ["openText of other text", (on) => on.openText("secret", context)],
    ["rewrap of no envelope", (on) => on.rewrap(undefined as never)],
    ["ready with an envelope that is none", (on) => on.ready(["secret"])],
    ["ready with a signal that is none", (on) => on.ready(undefined, { signal: 5 as never })],
  ];

  test.each(refused)("not %s", async (_, run) => {
    const { keyfold } = await warm();
    const returned = run(keyfold);
    expect(returned).toBeInstanceOf(Promise);
    expect(await rejection(returned)).toBeInstanceOf(KeyfoldError);
  });

  test.each(operations)("not %s after close, nor with an aborted signal", async (_, run) => {
    const { keyfold, sealed } = await warm();
    const aborted = run(keyfold, sealed, { signal: AbortSignal.abort() });
    expect(aborted).toBeInstanceOf(Promise);
    expect((await rejection(aborted)).code).toBe("ERR_ABORTED");
    await keyfold.close();
    const closed = run(keyfold, sealed);
    expect(closed).toBeInstanceOf(Promise);
    expect((await rejection(closed)).code).toBe("ERR_CLOSED");
  });

  test("while a synchronous one does", () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    expect(refusalOf(() => keyfold.sealSync(undefined as never, context)).code).toBe("ERR_INVALID_ARGUMENT");
  });
});
