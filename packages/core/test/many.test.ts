/** Many at once: a result for each item, in order, with few calls, and an end that is clean however it comes. */

import { describe, expect, expectTypeOf, test } from "vitest";
import { type Bytes, concat } from "../src/bytes.ts";
import type { Items, Keyfold, KeyfoldErrorCode, ManyResult } from "../src/index.ts";
import { Gate, keyfoldWith, rejection, silence, withHeader, wrapsOf } from "./support/behaviour.ts";
import { FakeClock, settled } from "./support/fake-clock.ts";
import { MemoryKms } from "./support/memory-kms.ts";
import { codeOf } from "./support/refusal.ts";

const contextOf = (number: number) => ({ id: `${number}` });
const numbers = (count: number) => Array.from({ length: count }, (_, number) => number);
const toSeal = (number: number) => ({ plaintext: `secret ${number}`, context: contextOf(number) });

async function collect<T>(results: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const result of results) all.push(result);
  return all;
}

/** The values in their order; a refusal fails the test. */
async function values<T>(results: AsyncIterable<ManyResult<T>>): Promise<T[]> {
  return (await collect(results)).map((result) => {
    if (result.ok) return result.value;
    throw result.error;
  });
}

/** The code of each refusal, or the value. */
async function outcomes<T>(results: AsyncIterable<ManyResult<T>>): Promise<(T | KeyfoldErrorCode)[]> {
  return (await collect(results)).map((result) => (result.ok ? result.value : result.error.code));
}

async function* later<T>(items: Iterable<T>): AsyncGenerator<T> {
  for (const item of items) {
    await new Promise((resolve) => setImmediate(resolve));
    yield item;
  }
}

/** Envelopes by so many processes, each with a KDK of its own, in turns: the item's number is its context. */
async function itemsBySealers(kms: MemoryKms, sealers: number, count: number) {
  const keyfolds = numbers(sealers).map(() => keyfoldWith({ masterKeys: kms }));
  return Promise.all(
    numbers(count).map(async (number) => {
      const keyfold = keyfolds[number % sealers];
      if (keyfold === undefined) throw new Error("There are no sealers.");
      return {
        envelope: await keyfold.seal(`secret ${number}`, contextOf(number)),
        context: contextOf(number),
      };
    }),
  );
}

const inputs: readonly (readonly [string, <T>(items: readonly T[]) => Items<T>])[] = [
  ["an array", (items) => items],
  ["a generator", (items) => items.values()],
  ["an async generator", later],
  ["a web stream", (items) => ReadableStream.from(items)],
];

describe.each(inputs)("from %s", (_, input) => {
  test("sealMany and openMany keep the order, and make one call each", async () => {
    const kms = new MemoryKms();
    const count = 300;
    const sealed = await values(keyfoldWith({ masterKeys: kms }).sealMany(input(numbers(count).map(toSeal))));
    expect({ wraps: kms.wraps, unwraps: kms.unwraps }).toEqual({ wraps: 1, unwraps: 0 });

    const items = sealed.map((envelope, number) => ({ envelope, context: contextOf(number) }));
    const opened = await values(keyfoldWith({ openWith: kms }).openMany(input(items)));
    expect(opened.map((bytes) => Buffer.from(bytes).toString())).toEqual(
      numbers(count).map((number) => `secret ${number}`),
    );
    expect({ wraps: kms.wraps, unwraps: kms.unwraps }).toEqual({ wraps: 1, unwraps: 1 });
  });

  test("rewrapMany keeps the order and the messages, and makes one call for each old key and one for the new", async () => {
    const [old, present] = [new MemoryKms("memory:old"), new MemoryKms("memory:present")];
    const items = await itemsBySealers(old, 5, 60);
    old.wraps = 0;
    const keyfold = keyfoldWith({ masterKeys: present, openWith: old });
    const rewrapped = await values(keyfold.rewrapMany(input(items.map(({ envelope }) => envelope))));
    expect([old.wraps, old.unwraps, present.wraps, present.unwraps]).toEqual([0, 5, 1, 0]);
    const reader = keyfoldWith({ masterKeys: present });
    for (const [number, envelope] of rewrapped.entries()) {
      const before = items[number]?.envelope ?? new Uint8Array(0);
      expect(messageOf(reader, envelope)).toEqual(messageOf(reader, before));
      expect(await reader.openText(envelope, contextOf(number))).toBe(`secret ${number}`);
    }
    expect(keyfold.stats().rewraps).toBe(60);
  });
});

describe("the form of the results", () => {
  test("text: true gives envelopes and plaintexts as strings", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const sealed = await values(keyfold.sealMany([toSeal(0), toSeal(1)], { text: true }));
    for (const text of sealed) expect(text).toMatch(/^kf1\./);
    const items = sealed.map((envelope, number) => ({ envelope, context: contextOf(number) }));
    expect(await values(keyfold.openMany(items, { text: true }))).toEqual(["secret 0", "secret 1"]);
    const later = keyfoldWith({ masterKeys: new MemoryKms() });
    expect(await outcomes(later.openMany(items, { text: true }))).toEqual(
      Array(2).fill("ERR_MASTER_KEY_REJECTED"),
    );
  });

  test("text that is none is ERR_NOT_TEXT for its item alone, whether its key is in memory or not", async () => {
    const kms = new MemoryKms();
    const keyfold = keyfoldWith({ masterKeys: kms });
    const plaintexts = ["text", Uint8Array.of(0xff), "more"];
    const sealed = await values(
      keyfold.sealMany(plaintexts.map((plaintext) => ({ plaintext, context: {} }))),
    );
    const items = sealed.map((envelope) => ({ envelope, context: {} }));
    for (const reader of [keyfold, keyfoldWith({ masterKeys: kms })])
      expect(await outcomes(reader.openMany(items, { text: true }))).toEqual([
        "text",
        "ERR_NOT_TEXT",
        "more",
      ]);
  });

  test("rewrapMany gives text for text and bytes for bytes", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const envelopes = [await keyfold.sealText("a", {}), await keyfold.seal("b", {})];
    const forms = (await values(keyfold.rewrapMany(envelopes))).map((envelope) => typeof envelope);
    expect(forms).toEqual(["string", "object"]);
  });

  test("openMany takes envelopes in two parts", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const envelope = await keyfold.seal("in two", {}, { detached: true });
    expect(await values(keyfold.openMany([{ envelope, context: {} }], { text: true }))).toEqual(["in two"]);
  });

  test("types follow", () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    type Each<T> = T extends AsyncIterable<ManyResult<infer V>> ? V : never;
    const sealed = keyfold.sealMany([]);
    expectTypeOf<Each<typeof sealed>>().toEqualTypeOf<Bytes>();
    const texts = keyfold.openMany([], { text: true });
    expectTypeOf<Each<typeof texts>>().toEqualTypeOf<string>();
    const rewrappedTexts = keyfold.rewrapMany(["kf1."]);
    expectTypeOf<Each<typeof rewrappedTexts>>().toEqualTypeOf<string>();
    const rewrappedBytes = keyfold.rewrapMany([new Uint8Array(0)]);
    expectTypeOf<Each<typeof rewrappedBytes>>().toEqualTypeOf<Bytes>();
    // @ts-expect-error a context is required
    keyfold.sealMany([{ plaintext: "secret" }]);
    // @ts-expect-error of an envelope nothing else is needed
    keyfold.rewrapMany([{ envelope: "kf1." }]);
  });
});

describe("one call to a master key for each distinct wrapped key", () => {
  test("however their envelopes are mixed, and however many are under way", async () => {
    const kms = new MemoryKms();
    const items = await itemsBySealers(kms, 20, 400);
    for (const concurrency of [1, 2, 16, 100]) {
      kms.unwraps = 0;
      const keyfold = keyfoldWith({ openWith: kms });
      expect(await values(keyfold.openMany(items, { concurrency, text: true }))).toHaveLength(400);
      expect(kms.unwraps).toBe(20);
    }
  });

  test("also where it is refused for good: all its envelopes have that error", async () => {
    const kms = new MemoryKms();
    const items = await itemsBySealers(kms, 2, 100);
    kms.failing = "ERR_MASTER_KEY_DENIED";
    const opening = keyfoldWith({ openWith: kms }).openMany(items);
    expect(await outcomes(opening)).toEqual(Array(100).fill("ERR_MASTER_KEY_DENIED"));
    expect(kms.unwraps).toBe(2);

    const sealing = keyfoldWith({ masterKeys: kms }).sealMany(numbers(100).map(toSeal));
    kms.wraps = 0;
    expect(await outcomes(sealing)).toEqual(Array(100).fill("ERR_MASTER_KEY_DENIED"));
    expect(kms.wraps).toBe(1);
  });

  test("also where re-wrapping finds no key to wrap under", async () => {
    const [old, present] = [new MemoryKms("memory:old"), new MemoryKms("memory:present")];
    const envelopes = (await itemsBySealers(old, 1, 100)).map(({ envelope }) => envelope);
    present.failing = "ERR_MASTER_KEY_DENIED";
    const keyfold = keyfoldWith({ masterKeys: present, openWith: old });
    expect(await outcomes(keyfold.rewrapMany(envelopes))).toEqual(Array(100).fill("ERR_MASTER_KEY_DENIED"));
    expect([old.unwraps, present.wraps]).toEqual([1, 1]);
  });

  test.each([1, 16])(
    "an altered header does not stand for the true one, with %i under way",
    async (concurrency) => {
      const kms = new MemoryKms();
      const [item] = await itemsBySealers(kms, 1, 1);
      if (item === undefined) throw new Error("There is no item.");
      const wraps = wrapsOf(item.envelope).map(({ masterKey }) => ({
        masterKey,
        ciphertext: new Uint8Array(60),
      }));
      const altered = [{ wraps }, { kdkId: new Uint8Array(16) }].map((change) => ({
        envelope: withHeader(item.envelope, change),
        context: item.context,
      }));
      const items = [...altered, item, ...altered];
      const outcome = await outcomes(
        keyfoldWith({ openWith: kms }).openMany(items, { concurrency, text: true }),
      );
      expect(outcome.slice(0, 3)).toEqual(["ERR_MASTER_KEY_REJECTED", "ERR_KEY_MISMATCH", "secret 0"]);
      expect(outcome[4]).toBe("ERR_KEY_MISMATCH");
      // Its KDK is in memory by then or is not yet, and the altered wraps are refused by the header or by the master key.
      expect(["ERR_HEADER_REJECTED", "ERR_MASTER_KEY_REJECTED"]).toContain(outcome[3]);
    },
  );

  test("a key that was unavailable is asked for again, for the next items", async () => {
    const kms = new MemoryKms();
    const clock = new FakeClock();
    const items = await itemsBySealers(kms, 1, 3);
    const opening = keyfoldWith({ openWith: kms, clock }).openMany(items, { concurrency: 1, text: true });
    kms.failing = "ERR_MASTER_KEY_UNAVAILABLE";
    const first = opening.next();
    await clock.advance(5_000);
    expect(await first).toMatchObject({
      value: { ok: false, error: { code: "ERR_MASTER_KEY_UNAVAILABLE" } },
    });
    kms.failing = undefined;
    const others = values(opening);
    await clock.advance(60_000);
    expect(await others).toEqual(["secret 1", "secret 2"]);
  });
});

describe("the unwrap budget", () => {
  test("is waited for, and one KDK takes one token however many envelopes need it", async () => {
    const kms = new MemoryKms();
    const clock = new FakeClock();
    const items = await itemsBySealers(kms, 3, 30);
    const keyfold = keyfoldWith({ openWith: kms, clock, unwrapBudget: { burst: 1, perSecond: 1 } });
    const opening = values(keyfold.openMany(items, { text: true }));
    await settled();
    expect(kms.unwraps).toBe(1);
    await clock.advance(1_000);
    expect(kms.unwraps).toBe(2);
    await clock.advance(1_000);
    expect(await opening).toEqual(numbers(30).map((number) => `secret ${number}`));
    expect(kms.unwraps).toBe(3);
  });

  test("is waited for by rewrapMany too", async () => {
    const kms = new MemoryKms();
    const clock = new FakeClock();
    const envelopes = (await itemsBySealers(kms, 2, 20)).map(({ envelope }) => envelope);
    const keyfold = keyfoldWith({ masterKeys: kms, clock, unwrapBudget: { burst: 1, perSecond: 1 } });
    const rewrapping = values(keyfold.rewrapMany(envelopes));
    await settled();
    await clock.advance(1_000);
    expect(await rewrapping).toHaveLength(20);
    expect(kms.unwraps).toBe(2);
  });
});

describe("one bad item spoils nothing", () => {
  /** Twelve good ones, and between them one of each kind that is refused. */
  async function mixed() {
    const kms = new MemoryKms();
    const sealer = keyfoldWith({ masterKeys: kms });
    const good = await sealer.seal("good", {});
    const foreign = await keyfoldWith({ masterKeys: new MemoryKms("memory:foreign") }).seal("foreign", {});
    const flipped = good.slice();
    flipped[flipped.length - 1] = 1 ^ (flipped.at(-1) ?? 0);
    const bad: [unknown, KeyfoldErrorCode][] = [
      [{ envelope: "hunter2", context: {} }, "ERR_NOT_AN_ENVELOPE"],
      [{ envelope: good.subarray(0, 100), context: {} }, "ERR_MALFORMED_ENVELOPE"],
      [{ envelope: good.subarray(0, -20), context: {} }, "ERR_MESSAGE_TRUNCATED"],
      [{ envelope: flipped, context: {} }, "ERR_MESSAGE_ALTERED"],
      [{ envelope: good, context: { another: "context" } }, "ERR_CONTEXT_MISMATCH"],
      [{ envelope: withHeader(good, { salt: new Uint8Array(16) }), context: {} }, "ERR_HEADER_REJECTED"],
      [{ envelope: withHeader(good, { kdkId: new Uint8Array(16) }), context: {} }, "ERR_KEY_MISMATCH"],
      [{ envelope: foreign, context: {} }, "ERR_NO_USABLE_WRAP"],
      [{ envelope: good }, "ERR_INVALID_ARGUMENT"],
      [{ envelope: 5, context: {} }, "ERR_INVALID_ARGUMENT"],
      [undefined, "ERR_INVALID_ARGUMENT"],
      ["kf1.", "ERR_INVALID_ARGUMENT"],
    ];
    const items = bad.flatMap(([item]) => [{ envelope: good, context: {} }, item]);
    const expected = bad.flatMap(([, code]) => ["good", code]);
    return { kms, sealer, items: items as { envelope: Bytes; context: Record<string, string> }[], expected };
  }

  test.each([1, 4, 100])("opening, with %i under way and its key not yet in memory", async (concurrency) => {
    const { kms, items, expected } = await mixed();
    const keyfold = keyfoldWith({ openWith: kms });
    expect(await outcomes(keyfold.openMany(items, { concurrency, text: true }))).toEqual(expected);
  });

  test("opening, with its key in memory", async () => {
    const { sealer, items, expected } = await mixed();
    expect(await outcomes(sealer.openMany(later(items), { text: true }))).toEqual(expected);
  });

  test("re-wrapping", async () => {
    const { sealer, items } = await mixed();
    const envelopes = items.map((item) => item?.envelope);
    const codes = (await outcomes(sealer.rewrapMany(envelopes))).filter(
      (outcome) => typeof outcome === "string",
    );
    expect(codes).toEqual([
      ...["ERR_NOT_AN_ENVELOPE", "ERR_MALFORMED_ENVELOPE", "ERR_MESSAGE_TRUNCATED", "ERR_HEADER_REJECTED"],
      ...["ERR_KEY_MISMATCH", "ERR_NO_USABLE_WRAP", ...Array(3).fill("ERR_INVALID_ARGUMENT")],
    ]);
  });

  test("sealing", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const items = [
      toSeal(0),
      { plaintext: 5, context: {} },
      toSeal(2),
      null,
      { plaintext: "x", context: { "": "" } },
    ];
    const results = await collect(keyfold.sealMany(items as ReturnType<typeof toSeal>[]));
    expect(results.map((result) => (result.ok ? "ok" : result.error.code))).toEqual([
      ...["ok", "ERR_INVALID_ARGUMENT", "ok", "ERR_INVALID_ARGUMENT", "ERR_INVALID_ARGUMENT"],
    ]);
  });
});

describe("no more items are read than are under way", () => {
  test.each([1, 3, 16])("with concurrency %i", async (concurrency) => {
    const kms = new MemoryKms();
    const items = await itemsBySealers(kms, 40, 40);
    const gate = new Gate();
    let [read, given, calls, mostCalls, mostAhead] = [0, 0, 0, 0, 0];
    kms.before = async () => {
      mostCalls = Math.max(mostCalls, ++calls);
      await gate.opened;
      calls--;
    };
    function* source() {
      for (const item of items) {
        mostAhead = Math.max(mostAhead, ++read - given);
        yield item;
      }
    }
    const opening = keyfoldWith({ openWith: kms }).openMany(source(), { concurrency });
    const all = (async () => {
      for await (const { ok } of opening) if (ok) given++;
    })();
    await settled();
    expect({ read, given, calls }).toEqual({ read: concurrency, given: 0, calls: concurrency });
    gate.open();
    await all;
    expect({ given, mostCalls, mostAhead }).toEqual({
      given: 40,
      mostCalls: concurrency,
      mostAhead: concurrency,
    });
  });

  test("and none before the first result is asked for", async () => {
    let read = 0;
    function* source() {
      read++;
      yield toSeal(0);
    }
    const sealing = keyfoldWith({ masterKeys: new MemoryKms() }).sealMany(source());
    await settled();
    expect(read).toBe(0);
    await sealing.next();
    expect(read).toBe(1);
  });

  test("a result is given out while the next item is still waited for", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const gate = new Gate();
    async function* source() {
      yield toSeal(0);
      await gate.opened;
      yield toSeal(1);
    }
    const sealing = keyfold.sealMany(source());
    expect(await sealing.next()).toMatchObject({ value: { ok: true } });
    gate.open();
    expect(await collect(sealing)).toHaveLength(1);
  });

  test.each([0, 1.5, 1_001, Number.NaN, "4"])("concurrency %s is refused", async (concurrency) => {
    const sealing = keyfoldWith({ masterKeys: new MemoryKms() }).sealMany([], {
      concurrency: concurrency as number,
    });
    expect((await rejection(sealing.next())).code).toBe("ERR_INVALID_ARGUMENT");
  });
});

describe("a batch that has all its keys", () => {
  test("lets timers and other work have their turn", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    await keyfold.ready();
    const wait = { turns: 0, over: false };
    const turn = () => {
      wait.turns++;
      if (!wait.over) setTimeout(turn, 0);
    };
    setTimeout(turn, 0);
    const begun = performance.now();
    function* untilHalfASecond() {
      for (let i = 0; performance.now() - begun < 500; i++) yield toSeal(i);
    }
    for await (const { ok } of keyfold.sealMany(untilHalfASecond())) if (!ok) throw new Error("refused");
    wait.over = true;
    expect(wait.turns).toBeGreaterThan(5);
  });
});

describe("an error of the input", () => {
  const thrown = new RangeError("the cursor is gone");
  async function* async() {
    yield* [toSeal(0), toSeal(1)];
    throw thrown;
  }
  function* sync() {
    yield* [toSeal(0), toSeal(1)];
    throw thrown;
  }
  const broken = { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(thrown) }) };
  const brokenAtOnce = {
    [Symbol.asyncIterator]: () => ({
      next() {
        throw thrown;
      },
    }),
  };

  test.each([
    ["async", async(), 2],
    ["sync", sync(), 2],
    ["that rejects at once", broken, 0],
    ["that throws at once", brokenAtOnce, 0],
  ])("ends the output with that very error, after the results before it: %s", async (_, source, count) => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    let results = 0;
    const all = (async () => {
      for await (const { ok } of keyfold.sealMany(source)) if (ok) results++;
    })();
    await expect(all).rejects.toBe(thrown);
    expect(results).toBe(count);
  });

  test("and so does an error that an item throws when it is looked at, after the input was closed", async () => {
    const bad = {
      context: {},
      get plaintext(): string {
        throw thrown;
      },
    };
    const source = closable([toSeal(0), bad, ...numbers(50).map(toSeal)]);
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    await expect(collect(keyfold.sealMany(source.items))).rejects.toBe(thrown);
    expect(source.closed).toBe(1);
  });

  test("or when it is looked at once more, after its key was waited for", async () => {
    const kms = new MemoryKms();
    const envelope = await keyfoldWith({ masterKeys: kms }).seal("secret", {});
    let looks = 0;
    const bad = {
      context: {},
      get envelope(): Bytes {
        if (++looks > 1) throw thrown;
        return envelope;
      },
    };
    await expect(collect(keyfoldWith({ openWith: kms }).openMany([bad]))).rejects.toBe(thrown);
  });

  test.each([undefined, null, 5, "kf1.", new Uint8Array(3), {}])("%s is no input", async (items) => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const sealing = keyfold.sealMany(items as never);
    expect((await rejection(sealing.next())).code).toBe("ERR_INVALID_ARGUMENT");
  });

  test("an input that breaks the protocol ends the output", async () => {
    const items = { [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve(undefined) }) };
    const sealing = keyfoldWith({ masterKeys: new MemoryKms() }).sealMany(items as never);
    await expect(sealing.next()).rejects.toBeInstanceOf(TypeError);
  });
});

/** Items that count how often they were closed before their end. */
function closable<T>(items: Iterable<T>) {
  const counted = { items: source(), closed: 0 };
  function* source() {
    let ended = false;
    try {
      yield* items;
      ended = true;
    } finally {
      if (!ended) counted.closed++;
    }
  }
  return counted;
}

describe("leaving early", () => {
  test.each(["sync", "async"])("closes the input, and reads no more of it: %s", async (kind) => {
    let read = 0;
    const source = closable(
      (function* () {
        for (;;) yield toSeal(read++);
      })(),
    );
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    await keyfold.ready();
    let results = 0;
    const items = kind === "sync" ? source.items : later(source.items);
    for await (const { ok } of keyfold.sealMany(items)) if (ok && ++results === 3) break;
    expect(source.closed).toBe(1);
    expect(read).toBeLessThanOrEqual(4);
    await settled();
    expect(read).toBeLessThanOrEqual(4);
  });

  test("gives up the calls that are under way", async () => {
    const kms = new MemoryKms();
    const items = await itemsBySealers(kms, 2, 2);
    const signals: AbortSignal[] = [];
    kms.before = ({ signal }) => {
      signals.push(signal);
      return signals.length === 1 ? undefined : silence();
    };
    const opening = keyfoldWith({ openWith: kms }).openMany(items, { text: true });
    for await (const result of opening) {
      expect(result).toEqual({ ok: true, value: "secret 0" });
      break;
    }
    await settled();
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, true]);
  });

  test("ends a result that is waited for, also where the input never gives another item", async () => {
    const items = {
      [Symbol.asyncIterator]: () => ({ next: silence as () => Promise<never>, return: silence as never }),
    };
    const sealing = keyfoldWith({ masterKeys: new MemoryKms() }).sealMany(items);
    const waiting = sealing.next();
    await settled();
    expect(await sealing.return?.()).toEqual({ done: true, value: undefined });
    expect(await waiting).toEqual({ done: true, value: undefined });
  });

  test("passes on what the input fails with when it is closed", async () => {
    const failure = new Error("the cursor does not close");
    const items = {
      [Symbol.iterator]: () => ({
        next: () => ({ done: false, value: toSeal(0) }),
        return() {
          throw failure;
        },
      }),
    };
    const leaving = async () => {
      for await (const { ok } of keyfoldWith({ masterKeys: new MemoryKms() }).sealMany(items)) if (ok) break;
    };
    await expect(leaving()).rejects.toBe(failure);
  });

  test("before the first result touches nothing, and a batch that has ended stays so", async () => {
    const source = closable([toSeal(0)]);
    const sealing = keyfoldWith({ masterKeys: new MemoryKms() }).sealMany(source.items);
    await sealing.return?.();
    expect(await sealing.next()).toEqual({ done: true, value: undefined });
    expect(source.closed).toBe(0);
  });
});

describe("an aborted signal", () => {
  const reason = new Error("enough");

  test("ends it before it begins", async () => {
    const kms = new MemoryKms();
    const source = closable([toSeal(0)]);
    const sealing = keyfoldWith({ masterKeys: kms }).sealMany(source.items, {
      signal: AbortSignal.abort(reason),
    });
    const error = await rejection(sealing.next());
    expect([error.code, error.cause, kms.wraps]).toEqual(["ERR_ABORTED", reason, 0]);
  });

  test.each([
    [
      "a master key",
      async (kms: MemoryKms) => {
        kms.before = silence;
        return closable(numbers(50).map(toSeal));
      },
    ],
    [
      "the input",
      async () => {
        const source = { items: waiting(), closed: 0 };
        async function* waiting() {
          try {
            yield toSeal(0);
            await new Promise((resolve) => setImmediate(resolve));
            yield toSeal(1);
            await new Promise((resolve) => setTimeout(resolve, 50));
          } finally {
            source.closed++;
          }
        }
        return source;
      },
    ],
  ])("ends what waits for %s, and closes the input", async (_, sourceFor) => {
    const kms = new MemoryKms();
    const source = await sourceFor(kms);
    const controller = new AbortController();
    const keyfold = keyfoldWith({ masterKeys: kms });
    const all = collect<unknown>(keyfold.sealMany(source.items, { signal: controller.signal }));
    const refusal = rejection(all);
    await settled();
    controller.abort(reason);
    const error = await refusal;
    expect([error.code, error.cause]).toEqual(["ERR_ABORTED", reason]);
    await expect.poll(() => source.closed).toBe(1);
  });

  test("ends a batch that never waits", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    await keyfold.ready();
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 20);
    const source = closable(
      (function* () {
        for (;;) yield toSeal(0);
      })(),
    );
    const run = async () => {
      for await (const { ok } of keyfold.sealMany(source.items, { signal: controller.signal }))
        if (!ok) throw new Error("refused");
    };
    expect((await rejection(run())).code).toBe("ERR_ABORTED");
    expect(source.closed).toBe(1);
  });

  test("stays ERR_ABORTED where the input does not close", async () => {
    const controller = new AbortController();
    const items = {
      [Symbol.iterator]: () => ({
        next: () => ({ done: false, value: toSeal(0) }),
        return() {
          throw new Error("the cursor does not close");
        },
      }),
    };
    const sealing = keyfoldWith({ masterKeys: new MemoryKms() }).sealMany(items, {
      signal: controller.signal,
    });
    await sealing.next();
    controller.abort(reason);
    expect((await rejection(sealing.next())).code).toBe("ERR_ABORTED");
  });

  test("disturbs nobody else who waits for the same key", async () => {
    const kms = new MemoryKms();
    const gate = new Gate();
    kms.before = () => gate.opened;
    const keyfold = keyfoldWith({ masterKeys: kms });
    const controller = new AbortController();
    const aborted = rejection(collect(keyfold.sealMany([toSeal(0)], { signal: controller.signal })));
    const other = keyfold.seal("other", {});
    await settled();
    controller.abort();
    expect((await aborted).code).toBe("ERR_ABORTED");
    gate.open();
    expect(await keyfold.openText(await other, {})).toBe("other");
    expect(kms.wraps).toBe(1);
  });

  test("leaves no listener behind", async () => {
    const { signal } = new AbortController();
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners++;
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners--;
      removeEventListener.apply(signal, args);
    };
    await collect(keyfold.sealMany(later(numbers(20).map(toSeal)), { signal }));
    expect(listeners).toBe(0);
  });

  test("what is no signal is refused", async () => {
    const sealing = keyfoldWith({ masterKeys: new MemoryKms() }).sealMany([], { signal: {} as AbortSignal });
    expect((await rejection(sealing.next())).code).toBe("ERR_INVALID_ARGUMENT");
  });
});

describe("what concerns all of a batch", () => {
  const opener = () => keyfoldWith({ openWith: new MemoryKms() });
  const sealer = () => keyfoldWith({ masterKeys: new MemoryKms(), sealOnly: true });

  test.each<[string, (keyfold: Keyfold) => AsyncIterableIterator<unknown>, () => Keyfold]>([
    ["sealMany of a keyfold that only opens", (keyfold) => keyfold.sealMany([toSeal(0)]), opener],
    ["rewrapMany of a keyfold that only opens", (keyfold) => keyfold.rewrapMany(["kf1."]), opener],
    ["openMany of a keyfold that only seals", (keyfold) => keyfold.openMany([]), sealer],
    ["rewrapMany of a keyfold that only seals", (keyfold) => keyfold.rewrapMany(["kf1."]), sealer],
  ])("%s is ERR_NOT_CONFIGURED", async (_, begin, make) => {
    expect((await rejection(begin(make()).next())).code).toBe("ERR_NOT_CONFIGURED");
  });

  test("close ends it with ERR_CLOSED, and closes the input", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const source = closable(numbers(50).map(toSeal));
    const sealing = keyfold.sealMany(source.items);
    expect(await sealing.next()).toMatchObject({ value: { ok: true } });
    await keyfold.close();
    expect((await rejection(sealing.next())).code).toBe("ERR_CLOSED");
    expect(source.closed).toBe(1);
    expect((await rejection(keyfold.openMany([]).next())).code).toBe("ERR_CLOSED");
  });

  test("close ends what waits for a master key", async () => {
    const kms = new MemoryKms();
    kms.before = silence;
    const keyfold = keyfoldWith({ masterKeys: kms });
    const sealing = rejection(collect(keyfold.sealMany(numbers(10).map(toSeal))));
    await settled();
    await keyfold.close();
    expect((await sealing).code).toBe("ERR_CLOSED");
  });

  test("a scoped keyfold seals many in its scope", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const [sealed = new Uint8Array(0)] = await values(keyfold.scoped("tenant-1").sealMany([toSeal(0)]));
    expect(codeOf(() => keyfold.openSync(sealed, contextOf(0)))).toBe("ERR_HEADER_REJECTED");
    const items = [{ envelope: sealed, context: contextOf(0) }];
    expect(await values(keyfold.scoped("tenant-1").openMany(items, { text: true }))).toEqual(["secret 0"]);
  });
});

function messageOf(keyfold: Keyfold, envelope: Uint8Array): Uint8Array {
  return concat(envelope.subarray(keyfold.inspect(envelope).headerBytes));
}
