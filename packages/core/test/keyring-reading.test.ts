/** When a keyring is read again, and what its keyfolds do while it cannot be. */

import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createKeyring, openKeyring } from "../src/keyring.ts";
import { memoryKeyringStore } from "../src/keyring-store.ts";
import {
  context,
  Gate,
  HOUR,
  keyfoldWith,
  MINUTE,
  rejection,
  SECOND,
  sealedBy,
  watch,
  withHeader,
} from "./support/behaviour.ts";
import { FakeClock, settled } from "./support/fake-clock.ts";
import { lab, project } from "./support/keyring-lab.ts";
import { MemoryKms } from "./support/memory-kms.ts";
import { refusalOf } from "./support/refusal.ts";

/** A process that reads, and another that changes, on one clock. */
async function running() {
  const clock = new FakeClock();
  const one = await lab(undefined, clock);
  const keyring = await one.open();
  const keyfold = keyfoldWith({ keyring, clock });
  const sealed = await keyfold.seal("secret", context);
  const writer = await one.open();
  const sealAnew = async () => {
    await writer.rotate();
    return keyfoldWith({ keyring: writer, clock }).seal("anew", context);
  };
  return { ...one, clock, keyring, keyfold, sealed, writer, sealAnew };
}

/** As many envelopes of KDKs that no keyring has. */
function garbage(sealed: Uint8Array, count: number): Uint8Array[] {
  return Array.from({ length: count }, () => withHeader(sealed, { kdkId: randomBytes(16) }));
}

describe("a change by another process", () => {
  test("is taken up within reloadAfter, in the background of a seal", async () => {
    const { clock, store, keyfold, writer } = await running();
    const { keys } = await writer.rotate();
    const loads = store.loads;
    await clock.advance(MINUTE - 1);
    keyfold.sealSync("x", context);
    await settled();
    expect(store.loads).toBe(loads);
    await clock.advance(1);
    keyfold.sealSync("x", context);
    keyfold.sealSync("x", context);
    await settled();
    expect(store.loads).toBe(loads + 1);
    expect(keyfold.inspect(keyfold.sealSync("x", context)).kdkId).toBe(keys[1]?.id);
  });

  test("is taken up when reloadAfter says, and no more often", async () => {
    const { clock, store, keyfold } = await running();
    const loads = store.loads;
    for (let s = 0; s < 600; s++) {
      await clock.advance(SECOND);
      keyfold.sealSync("x", context);
    }
    await settled();
    expect(store.loads - loads).toBe(10);
  });

  test("is taken up at once where a KDK is not known", async () => {
    const { store, keyfold, sealAnew } = await running();
    const fresh = await sealAnew();
    const loads = store.loads;
    expect(refusalOf(() => keyfold.openSync(fresh, context)).code).toBe("ERR_NOT_READY");
    expect(await keyfold.openText(fresh, context)).toBe("anew");
    expect(keyfold.openTextSync(fresh, context)).toBe("anew");
    expect(store.loads).toBe(loads + 1);
  });

  test("is taken up by ready(envelopes), for who is synchronous", async () => {
    const { keyfold, sealed, sealAnew } = await running();
    const fresh = await sealAnew();
    await keyfold.ready([sealed, fresh]);
    expect(keyfold.openTextSync(fresh, context)).toBe("anew");
  });

  test("is taken up within reloadAfter also where nothing but unknown keys is asked for, synchronously", async () => {
    const { clock, keyfold, sealAnew } = await running();
    const fresh = await sealAnew();
    await clock.advance(MINUTE);
    expect(refusalOf(() => keyfold.openSync(fresh, context)).code).toBe("ERR_NOT_READY");
    await settled();
    expect(keyfold.openTextSync(fresh, context)).toBe("anew");
  });

  test("reaches all who wait for it by one read or two, however many they are", async () => {
    const { store, keyfold, sealAnew } = await running();
    const fresh = await sealAnew();
    const loads = store.loads;
    const texts = await Promise.all(Array.from({ length: 1_000 }, () => keyfold.openText(fresh, context)));
    expect(new Set(texts)).toEqual(new Set(["anew"]));
    expect(store.loads - loads).toBeLessThanOrEqual(2);
  });

  test("that is saved while an unknown key is searched for is found by who came then", async () => {
    const { store, keyfold, sealed, sealAnew } = await running();
    const [unknown = sealed] = garbage(sealed, 1);
    const gate = new Gate();
    store.beforeLoad = () => gate.opened;
    const first = keyfold.open(unknown, context);
    await settled();
    store.beforeLoad = undefined;
    const fresh = await sealAnew();
    const second = keyfold.openText(fresh, context);
    await settled();
    gate.open();
    expect((await rejection(first)).code).toBe("ERR_UNKNOWN_KEY");
    expect(await second).toBe("anew");
  });

  test("reaches whoever watches at once, by the store's own word", async () => {
    const store = memoryKeyringStore();
    const kms = new MemoryKms();
    await createKeyring({ project, store, masterKeys: kms });
    const keyring = await openKeyring({ project, store, masterKeys: kms });
    const keyfold = keyfoldWith({ keyring });
    const writer = await openKeyring({ project, store, masterKeys: kms });
    await keyfold.ready();
    for (let i = 0; i < 3; i++) await writer.rotate();
    await settled();
    const { keys } = await writer.show();
    expect(keyfold.inspect(keyfold.sealSync("x", context)).kdkId).toBe(keys.at(-1)?.id);
  });
});

describe("10,000 envelopes of unknown keys", () => {
  test("one after the other cause as many reads as the back-off allows", async () => {
    const { clock, store, kms, keyfold, sealed } = await running();
    const loads = store.loads;
    const calls = kms.unwraps;
    const start = clock.monotonic();
    for (const unknown of garbage(sealed, 10_000)) {
      expect((await rejection(keyfold.open(unknown, context))).code).toBe("ERR_UNKNOWN_KEY");
      if (Math.random() < 0.06) await clock.advance(SECOND);
    }
    const minutes = (clock.monotonic() - start) / MINUTE;
    expect(minutes).toBeGreaterThan(5);
    // 1, 2, 4 … s at first, each halved at most by jitter, then one in 30 s or less often; and one a reloadAfter.
    expect(store.loads - loads).toBeLessThanOrEqual(1 + 7 + 3 * minutes);
    expect(kms.unwraps).toBe(calls);
  });

  test("at once cause two reads, and do not push the next search far away", async () => {
    const { clock, store, keyfold, sealed, sealAnew } = await running();
    const loads = store.loads;
    const results = await Promise.allSettled(
      garbage(sealed, 10_000).map((unknown) => keyfold.open(unknown, context)),
    );
    expect(results.every(({ status }) => status === "rejected")).toBe(true);
    expect(store.loads - loads).toBeLessThanOrEqual(2);
    const fresh = await sealAnew();
    await clock.advance(SECOND);
    expect(await keyfold.openText(fresh, context)).toBe("anew");
  });

  test("while the store is down cause no more, and are told that it is down", async () => {
    const { store, keyfold, sealed } = await running();
    store.failing = new Error("connection refused");
    const loads = store.loads;
    for (const unknown of garbage(sealed, 10_000)) {
      const { code, retryable } = await rejection(keyfold.open(unknown, context));
      expect([code, retryable]).toEqual(["ERR_KEYRING_UNAVAILABLE", true]);
    }
    expect(store.loads - loads).toBe(1);
  });
});

describe("while the store is down", () => {
  test("warm keys seal and open, for hours", async () => {
    const { clock, store, keyfold, sealed } = await running();
    store.failing = new Error("connection refused");
    for (let minute = 0; minute < 6 * 60; minute++) {
      await clock.advance(MINUTE);
      expect(await keyfold.openText(sealed, context)).toBe("secret");
      expect(keyfold.openTextSync(keyfold.sealSync("more", context), context)).toBe("more");
    }
  });

  test("it is asked again after 5 to 60 s, and a change is then taken up", async () => {
    const { clock, store, keyfold, sealed, sealAnew } = await running();
    const fresh = await sealAnew();
    store.failing = new Error("connection refused");
    const loads = store.loads;
    for (let s = 0; s < 300; s++) {
      await clock.advance(SECOND);
      await keyfold.open(sealed, context);
    }
    expect(store.loads - loads).toBeGreaterThanOrEqual(5);
    expect(store.loads - loads).toBeLessThanOrEqual(30);
    store.failing = undefined;
    for (let s = 0; s < 60; s++) {
      await clock.advance(SECOND);
      await keyfold.open(sealed, context);
    }
    expect(keyfold.openTextSync(fresh, context)).toBe("anew");
  });

  test("a process does not start, and says why", async () => {
    const one = await lab();
    one.store.failing = new Error("connection refused");
    const error = await rejection(one.open());
    expect([error.code, error.retryable]).toEqual(["ERR_KEYRING_UNAVAILABLE", true]);
    expect(error.cause).toBe(one.store.failing);
  });

  test.each(["fails", "hangs"] as const)(
    "keys that expired come back from the last good document, when it %s and the KMS answers",
    async (how) => {
      const { clock, store, kms, keyfold, sealed } = await running();
      kms.failing = "ERR_MASTER_KEY_UNAVAILABLE";
      await clock.advance(24 * HOUR);
      expect(keyfold.stats()).toMatchObject({ kdks: 0, keks: 0 });
      expect(refusalOf(() => keyfold.sealSync("x", context)).code).toBe("ERR_NOT_READY");
      kms.failing = undefined;
      if (how === "fails") store.failing = new Error("connection refused");
      else store.hang();
      const opening = keyfold.openText(sealed, context);
      await clock.advance(4 * SECOND);
      expect(await opening).toBe("secret");
      expect(keyfold.openTextSync(sealed, context)).toBe("secret");
    },
  );

  test("show, a change and a search say so, though keys are there", async () => {
    const { store, keyring, keyfold, sealed } = await running();
    store.failing = new Error("connection refused");
    const [unknown = sealed] = garbage(sealed, 1);
    for (const refused of [keyring.show(), keyring.rotate(), keyfold.open(unknown, context)])
      expect((await rejection(refused)).code).toBe("ERR_KEYRING_UNAVAILABLE");
  });

  test("show does not pass an old document off as the present one, also once the keys are gone", async () => {
    const { clock, store, kms, keyring } = await running();
    kms.failing = "ERR_MASTER_KEY_UNAVAILABLE";
    await clock.advance(25 * HOUR);
    kms.failing = undefined;
    store.failing = new Error("connection refused");
    expect((await rejection(keyring.show())).code).toBe("ERR_KEYRING_UNAVAILABLE");
  });

  test("a store that hangs is given up half-way through the deadline, and named", async () => {
    const { clock, store, keyring } = await running();
    store.hang();
    const showing = keyring.show();
    const watched = watch(showing);
    await clock.advance(2_499);
    expect(watched.settled).toBe(false);
    await clock.advance(2);
    expect((await rejection(showing)).code).toBe("ERR_KEYRING_UNAVAILABLE");
  });

  test("embedded wraps open where they are accepted", async () => {
    const { store, kms, keyring, clock } = await running();
    const embedded = await sealedBy(kms);
    store.failing = new Error("connection refused");
    const accepting = keyfoldWith({ keyring, clock, masterKeys: kms, embedded: "accept" });
    expect(await accepting.openText(embedded, context)).toBe("secret");
    expect(await accepting.openText(embedded, context)).toBe("secret");
  });
});

describe("what a store gives that is refused", () => {
  test.each([
    ["nothing", "", "ERR_KEYRING_INVALID"],
    ["garbage", "{}", "ERR_KEYRING_INVALID"],
  ] as const)("leaves the keys in memory as they were: %s", async (_, text, code) => {
    const { clock, store, keyring, keyfold, sealed } = await running();
    const good = store.text;
    store.put(text);
    expect((await rejection(keyring.show())).code).toBe(code);
    await clock.advance(HOUR);
    expect(await keyfold.openText(sealed, context)).toBe("secret");
    await settled();
    store.put(good);
    expect((await keyring.show()).sequence).toBe(1);
  });

  test("a keyring that was removed leaves them too, and is not made anew", async () => {
    const { clock, store, keyring, keyfold, sealed } = await running();
    store.present = undefined;
    expect((await rejection(keyring.rotate())).code).toBe("ERR_KEYRING_NOT_FOUND");
    expect(store.present).toBeUndefined();
    await clock.advance(MINUTE);
    expect(await keyfold.openText(sealed, context)).toBe("secret");
  });
});

test("embedded is refused without a keyring, and by a word that is none", async () => {
  const kms = new MemoryKms();
  expect(refusalOf(() => keyfoldWith({ masterKeys: kms, embedded: "accept" })).code).toBe(
    "ERR_INVALID_ARGUMENT",
  );
  const keyring = await (await lab()).open();
  const wrong = () => keyfoldWith({ keyring, embedded: "maybe" as never });
  expect(refusalOf(wrong).code).toBe("ERR_INVALID_ARGUMENT");
});
