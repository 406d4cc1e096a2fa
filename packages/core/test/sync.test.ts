/** Synchronous calls: with keys in memory, and never with a master key. */

import { describe, expect, test } from "vitest";
import type { Bytes, Keyfold } from "../src/index.ts";
import {
  context,
  HOUR,
  keyfoldWith,
  MINUTE,
  rejection,
  SECOND,
  sealedBy,
  watch,
} from "./support/behaviour.ts";
import { FakeClock, settled } from "./support/fake-clock.ts";
import { MemoryKms } from "./support/memory-kms.ts";
import { codeOf, refusalOf } from "./support/refusal.ts";

/** The two ways to seal, and the two to open. */
const seals: readonly (readonly [string, (keyfold: Keyfold) => unknown])[] = [
  ["sealSync", (keyfold) => keyfold.sealSync("secret", context)],
  ["sealTextSync", (keyfold) => keyfold.sealTextSync("secret", context)],
];
const opens: readonly (readonly [string, (keyfold: Keyfold, sealed: Bytes) => unknown])[] = [
  ["openSync", (keyfold, sealed) => keyfold.openSync(sealed, context)],
  ["openTextSync", (keyfold, sealed) => keyfold.openTextSync(sealed, context)],
];

/** A keyfold with its sealing KDK in memory and an envelope under it, a clock, and what it called so far. */
async function readyKeyfold(options: { expireAfter?: number } = {}) {
  const kms = new MemoryKms();
  const clock = new FakeClock();
  const keyfold = keyfoldWith({ masterKeys: kms, clock, ...options });
  await keyfold.ready();
  return { kms, clock, keyfold, sealed: keyfold.sealSync("secret", context) };
}

/** A keyfold that opened an envelope of another process, and seals nothing yet. */
async function readyReader(options: { expireAfter?: number } = {}) {
  const kms = new MemoryKms();
  const clock = new FakeClock();
  const sealed = await sealedBy(kms);
  const keyfold = keyfoldWith({ masterKeys: kms, clock, ...options });
  await keyfold.ready([sealed]);
  return { kms, clock, keyfold, sealed };
}

describe("after ready()", () => {
  test("sealing and opening what was sealed call nobody", async () => {
    const kms = new MemoryKms();
    const keyfold = keyfoldWith({ masterKeys: kms });
    await keyfold.ready();
    expect({ wraps: kms.wraps, unwraps: kms.unwraps }).toEqual({ wraps: 1, unwraps: 0 });

    kms.failing = "ERR_MASTER_KEY_UNAVAILABLE";
    for (let i = 0; i < 100; i++) {
      const inContext = { name: `secret ${i}` };
      expect(keyfold.openTextSync(keyfold.sealSync(`${i}`, inContext), inContext)).toBe(`${i}`);
      expect(keyfold.openSync(keyfold.sealTextSync("x", inContext), inContext)).toEqual(Uint8Array.of(0x78));
    }
    await settled();

    expect({ wraps: kms.wraps, unwraps: kms.unwraps }).toEqual({ wraps: 1, unwraps: 0 });
  });

  test("every scope can seal", async () => {
    const { kms, keyfold } = await readyKeyfold();
    const tenant = keyfold.scoped("tenant");
    expect(tenant.openTextSync(tenant.sealSync("secret", context), context)).toBe("secret");
    expect(kms.wraps).toBe(1);
  });

  test("a second ready() calls nobody, and many at once make one call", async () => {
    const kms = new MemoryKms();
    const keyfold = keyfoldWith({ masterKeys: kms });
    await Promise.all(Array.from({ length: 10 }, () => keyfold.ready()));
    await keyfold.ready();
    expect(kms.wraps).toBe(1);
  });

  test("the envelopes of other processes are not ready", async () => {
    const { kms, keyfold } = await readyKeyfold();
    const foreign = await sealedBy(kms);
    expect(codeOf(() => keyfold.openSync(foreign, context))).toBe("ERR_NOT_READY");
  });
});

describe("with no key in memory", () => {
  test.each(seals)("%s is ERR_NOT_READY without a cause, and calls nobody", async (_, seal) => {
    const kms = new MemoryKms();
    const error = refusalOf(() => seal(keyfoldWith({ masterKeys: kms })));
    expect(error.code).toBe("ERR_NOT_READY");
    expect(error.cause).toBeUndefined();
    await settled();
    expect(kms.wraps).toBe(0);
  });

  test.each(opens)("%s is ERR_NOT_READY without a cause, and calls nobody", async (_, open) => {
    const kms = new MemoryKms();
    const sealed = await sealedBy(kms);
    const error = refusalOf(() => open(keyfoldWith({ masterKeys: kms }), sealed));
    expect(error.code).toBe("ERR_NOT_READY");
    expect(error.cause).toBeUndefined();
    await settled();
    expect(kms.unwraps).toBe(0);
  });

  test("what is no envelope is refused as such first", () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    expect(codeOf(() => keyfold.openSync("kf1.", context))).toBe("ERR_NOT_AN_ENVELOPE");
  });
});

describe("when the master key is disabled", () => {
  test.each(seals)("%s is ERR_NOT_READY with the reason as its cause", async (_, seal) => {
    const { kms, clock, keyfold } = await readyKeyfold();
    kms.failing = "ERR_MASTER_KEY_DISABLED";
    await clock.advance(15 * MINUTE);
    seal(keyfold);
    await settled();
    const error = refusalOf(() => seal(keyfold));
    expect(error.code).toBe("ERR_NOT_READY");
    expect(error.cause).toMatchObject({ name: "KeyfoldError", code: "ERR_MASTER_KEY_DISABLED" });
  });

  test.each(opens)("%s is ERR_NOT_READY with the reason as its cause", async (_, open) => {
    const { kms, clock, keyfold, sealed } = await readyReader();
    kms.failing = "ERR_MASTER_KEY_DISABLED";
    await clock.advance(15 * MINUTE);
    open(keyfold, sealed);
    await settled();
    const error = refusalOf(() => open(keyfold, sealed));
    expect(error.code).toBe("ERR_NOT_READY");
    expect(error.cause).toMatchObject({ name: "KeyfoldError", code: "ERR_MASTER_KEY_DISABLED" });
  });

  test("what the lost sealing KDK sealed does not open either, for the same reason", async () => {
    const { kms, clock, keyfold, sealed } = await readyKeyfold();
    kms.failing = "ERR_MASTER_KEY_DISABLED";
    await clock.advance(15 * MINUTE);
    keyfold.sealSync("secret", context);
    await settled();
    const error = refusalOf(() => keyfold.openSync(sealed, context));
    expect(error.code).toBe("ERR_NOT_READY");
    expect(error.cause).toMatchObject({ code: "ERR_MASTER_KEY_DISABLED" });
    expect(keyfold.stats()).toMatchObject({ kdks: 0 });
  });

  test("ready() mends sealing once the key is enabled again, with a new KDK", async () => {
    const { kms, clock, keyfold, sealed } = await readyKeyfold();
    kms.failing = "ERR_MASTER_KEY_DISABLED";
    await clock.advance(15 * MINUTE);
    keyfold.sealSync("secret", context);
    await settled();
    expect((await rejection(keyfold.ready())).code).toBe("ERR_MASTER_KEY_DISABLED");
    kms.failing = undefined;
    await keyfold.ready();
    const later = keyfold.sealSync("later", context);
    expect(keyfold.inspect(later).kdkId).not.toBe(keyfold.inspect(sealed).kdkId);
    await keyfold.ready([sealed]);
    expect(keyfold.openTextSync(sealed, context)).toBe("secret");
  });
});

describe("when a key was not confirmed within expireAfter", () => {
  test("sealSync is ERR_NOT_READY, and its cause is that nobody answered", async () => {
    const { kms, clock, keyfold } = await readyKeyfold({ expireAfter: HOUR });
    kms.failing = "ERR_MASTER_KEY_UNAVAILABLE";
    await clock.advance(HOUR - 1);
    keyfold.sealSync("secret", context);
    await clock.advance(1);
    const error = refusalOf(() => keyfold.sealSync("secret", context));
    expect(error.code).toBe("ERR_NOT_READY");
    expect(error.cause).toMatchObject({ code: "ERR_MASTER_KEY_UNAVAILABLE" });
  });

  test("openSync is ERR_NOT_READY, and its cause is that nobody answered", async () => {
    const { kms, clock, keyfold, sealed } = await readyReader({ expireAfter: HOUR });
    kms.failing = "ERR_MASTER_KEY_UNAVAILABLE";
    await clock.advance(HOUR - 1);
    expect(keyfold.openTextSync(sealed, context)).toBe("secret");
    await clock.advance(1);
    const error = refusalOf(() => keyfold.openSync(sealed, context));
    expect(error.code).toBe("ERR_NOT_READY");
    expect(error.cause).toMatchObject({ code: "ERR_MASTER_KEY_UNAVAILABLE" });
  });
});

describe("ready(envelopes)", () => {
  test("brings their keys into memory, wraps nothing, and readies no sealing", async () => {
    const { kms, keyfold, sealed } = await readyReader();
    const before = { wraps: kms.wraps, unwraps: kms.unwraps };
    kms.failing = "ERR_MASTER_KEY_UNAVAILABLE";
    expect(keyfold.openTextSync(sealed, context)).toBe("secret");
    await settled();
    expect({ wraps: kms.wraps, unwraps: kms.unwraps }).toEqual(before);
    expect(keyfold.stats()).toMatchObject({ wrapCalls: 0, unwrapCalls: 1 });
    expect(codeOf(() => keyfold.sealSync("secret", context))).toBe("ERR_NOT_READY");
  });

  test("asks once for each key, however many envelopes it seals, as bytes or as text", async () => {
    const kms = new MemoryKms();
    const sealers = Array.from({ length: 3 }, () => keyfoldWith({ masterKeys: kms }));
    const envelopes = await Promise.all(
      sealers.flatMap((sealer) => [
        sealer.seal("a", context),
        sealer.sealText("b", { name: "another" }),
        sealer.scoped("tenant").seal("c", {}),
      ]),
    );
    const reader = keyfoldWith({ masterKeys: kms });
    await reader.ready([...envelopes, ...envelopes]);
    expect(kms.unwraps).toBe(3);
    expect(reader.stats()).toMatchObject({ wrapCalls: 0, unwrapCalls: 3, kdks: 3 });
    await reader.ready(envelopes);
    expect(kms.unwraps).toBe(3);
  });

  test("spends the unwrap budget once for each key, not for each envelope", async () => {
    const kms = new MemoryKms();
    const sealer = keyfoldWith({ masterKeys: kms });
    const envelopes = await Promise.all(
      Array.from({ length: 10 }, (_, i) => sealer.seal("secret", { name: `${i}` })),
    );
    const unwrapBudget = { burst: 1, perSecond: 1 };
    const reader = keyfoldWith({ masterKeys: kms, clock: new FakeClock(), unwrapBudget });
    const ready = watch(reader.ready(envelopes));
    await settled();
    expect(ready.settled).toBe(true);
  });

  test("takes any iterable, and nothing to be readied is fine", async () => {
    const kms = new MemoryKms();
    const sealed = await sealedBy(kms);
    const reader = keyfoldWith({ masterKeys: kms });
    await reader.ready([]);
    expect(reader.stats().unwrapCalls).toBe(0);
    await reader.ready(new Set([sealed]));
    expect(reader.openTextSync(sealed, context)).toBe("secret");
  });

  test("works without masterKeys", async () => {
    const kms = new MemoryKms();
    const sealed = await sealedBy(kms);
    const reader = keyfoldWith({ openWith: kms });
    await reader.ready([sealed]);
    expect(reader.openTextSync(sealed, context)).toBe("secret");
  });

  test("throws the first failure, and admits all others", async () => {
    const [kms, stranger, broken] = ["memory:a", "memory:b", "memory:c"].map((uri) => new MemoryKms(uri));
    if (kms === undefined || stranger === undefined || broken === undefined)
      throw new Error("Three were made.");
    const first = await sealedBy(kms, "first");
    const last = await sealedBy(kms, "last");
    const envelopes = [first, await sealedBy(stranger), await sealedBy(broken), last];
    broken.failing = "ERR_MASTER_KEY_DENIED";
    const reader = keyfoldWith({ masterKeys: [kms, broken] });
    const error = await rejection(reader.ready(envelopes));
    expect(error.code).toBe("ERR_NO_USABLE_WRAP");
    expect(reader.openTextSync(first, context)).toBe("first");
    expect(reader.openTextSync(last, context)).toBe("last");
    expect(broken.unwraps).toBe(1);
  });

  test("readies the other envelopes when one of the list is none", async () => {
    const kms = new MemoryKms();
    const [first, last] = [await sealedBy(kms, "first"), await sealedBy(kms, "last")];
    const reader = keyfoldWith({ masterKeys: kms });
    const error = await rejection(reader.ready([first, "no envelope", last]));
    expect(error.code).toBe("ERR_NOT_AN_ENVELOPE");
    expect(reader.openTextSync(first, context)).toBe("first");
    expect(reader.openTextSync(last, context)).toBe("last");
  });

  test("waits for the unwrap budget, where open would be refused", async () => {
    const kms = new MemoryKms();
    const clock = new FakeClock();
    const envelopes = [await sealedBy(kms), await sealedBy(kms), await sealedBy(kms)];
    const reader = keyfoldWith({ masterKeys: kms, clock, unwrapBudget: { burst: 1, perSecond: 1 } });
    const ready = reader.ready(envelopes);
    const watched = watch(ready);
    await clock.advance(0);
    expect(kms.unwraps).toBe(1);
    expect((await rejection(reader.open(await sealedBy(kms), context))).code).toBe("ERR_BUDGET");
    await clock.advance(2 * SECOND);
    expect(watched.settled).toBe(true);
    await ready;
    expect(kms.unwraps).toBe(3);
  });
});

describe("synchronous use of a key past refreshAfter", () => {
  test.each(seals)("%s has the key confirmed in the background", async (_, seal) => {
    const { kms, clock, keyfold } = await readyKeyfold();
    await clock.advance(15 * MINUTE - 1);
    seal(keyfold);
    await settled();
    expect(kms.unwraps).toBe(0);
    await clock.advance(1);
    seal(keyfold);
    seal(keyfold);
    await settled();
    expect(kms.unwraps).toBe(1);
    seal(keyfold);
    await settled();
    expect({ wraps: kms.wraps, unwraps: kms.unwraps }).toEqual({ wraps: 1, unwraps: 1 });
  });

  test.each(opens)("%s has the key confirmed in the background", async (_, open) => {
    const { kms, clock, keyfold, sealed } = await readyReader();
    expect(kms.unwraps).toBe(1);
    await clock.advance(15 * MINUTE - 1);
    open(keyfold, sealed);
    await settled();
    expect(kms.unwraps).toBe(1);
    await clock.advance(1);
    open(keyfold, sealed);
    open(keyfold, sealed);
    await settled();
    expect(kms.unwraps).toBe(2);
    open(keyfold, sealed);
    await settled();
    expect(kms.unwraps).toBe(2);
  });

  test("keeps a confirmed key for longer than expireAfter", async () => {
    const { clock, keyfold, sealed } = await readyReader({ expireAfter: HOUR });
    for (let i = 0; i < 8; i++) {
      await clock.advance(15 * MINUTE);
      expect(keyfold.openTextSync(sealed, context)).toBe("secret");
      await settled();
    }
  });
});
