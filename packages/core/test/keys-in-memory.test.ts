/** docs/design, "Keys in memory": what brings a key in, how long it stays, and what the KMS's answers do to it. */

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { KeyfoldErrorCode } from "../src/errors.ts";
import type { Keyfold } from "../src/keyfold.ts";
import type { KeyOperation } from "../src/master-key.ts";
import type { KeyfoldOptions } from "../src/options.ts";
import {
  context,
  Gate,
  HOUR,
  keyfoldWith,
  MINUTE,
  rejection,
  SECOND,
  sealedBy,
  silence,
  watch,
  withHeader,
  wrapsOf,
} from "./support/behaviour.ts";
import { FakeClock, settled } from "./support/fake-clock.ts";
import { MemoryKms } from "./support/memory-kms.ts";
import { codeOf } from "./support/refusal.ts";

const DAY = 24 * HOUR;

/** A keyfold that has sealed and, of another process, opened, on a clock of its own. */
async function running(options: Partial<KeyfoldOptions> = {}) {
  const clock = new FakeClock();
  const kms = new MemoryKms();
  const keyfold = keyfoldWith({ masterKeys: kms, clock, ...options });
  const own = await keyfold.seal("own", context);
  return { clock, kms, keyfold, own };
}

/** A keyfold that has opened what another process sealed, and seals nothing. */
async function reading(options: Partial<KeyfoldOptions> = {}) {
  const clock = new FakeClock();
  const kms = new MemoryKms();
  const sealed = await sealedBy(kms);
  const keyfold = keyfoldWith({ openWith: kms, clock, ...options });
  await keyfold.open(sealed, context);
  return { clock, kms, keyfold, sealed };
}

/** Whether it opens synchronously, so with a key in memory. */
function opens(keyfold: Keyfold, sealed: Uint8Array): true | KeyfoldErrorCode {
  let opened = false;
  const code = codeOf(() => {
    keyfold.openSync(sealed, context);
    opened = true;
    keyfold.inspect(new Uint8Array(0));
  });
  return opened ? true : code;
}

function kdkIdOf(keyfold: Keyfold): string {
  return keyfold.inspect(keyfold.sealSync("x", context)).kdkId;
}

describe("flights", () => {
  test("a hundred concurrent opens of one envelope make one call", async () => {
    const kms = new MemoryKms();
    const sealed = await sealedBy(kms);
    const keyfold = keyfoldWith({ openWith: kms });
    const opening = Array.from({ length: 100 }, () => keyfold.openText(sealed, context));
    expect(new Set(await Promise.all(opening))).toEqual(new Set(["secret"]));
    expect(kms.unwraps).toBe(1);
  });

  test("a hundred concurrent first seals make one wrap, also in different scopes", async () => {
    const kms = new MemoryKms();
    const keyfold = keyfoldWith({ masterKeys: kms });
    const sealing = Array.from({ length: 100 }, (_, i) =>
      keyfold.scoped(`tenant${i % 5}`).seal("x", context),
    );
    const ids = (await Promise.all(sealing)).map((sealed) => keyfold.inspect(sealed).kdkId);
    expect(new Set(ids).size).toBe(1);
    expect(kms.wraps).toBe(1);
  });

  test.each(["open", "seal"] as const)(
    "one caller of %s who gives up leaves the call to the others",
    async (kind) => {
      const { signals, gate, start } = await flying(kind);
      const controller = new AbortController();
      const leaving = rejection(start(controller.signal));
      const staying = start();
      await settled();
      controller.abort(new Error("enough"));
      const error = await leaving;
      expect([error.code, error.cause]).toEqual(["ERR_ABORTED", new Error("enough")]);
      expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
      gate.open();
      await staying;
      expect(signals).toHaveLength(1);
    },
  );

  test.each(["open", "seal"] as const)(
    "when every caller of %s has given up, so does the call",
    async (kind) => {
      const { signals, start } = await flying(kind);
      const controllers = [new AbortController(), new AbortController()];
      const leaving = controllers.map(({ signal }) => rejection(start(signal)));
      await settled();
      controllers[0]?.abort();
      await settled();
      expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
      controllers[1]?.abort();
      expect((await Promise.all(leaving)).map(({ code }) => code)).toEqual(["ERR_ABORTED", "ERR_ABORTED"]);
      expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    },
  );

  test.each(["open", "seal"] as const)(
    "after a call of %s that all had left, the next begins another",
    async (kind) => {
      const { signals, gate, start } = await flying(kind);
      const controller = new AbortController();
      const leaving = rejection(start(controller.signal));
      await settled();
      controller.abort();
      const next = start();
      expect((await leaving).code).toBe("ERR_ABORTED");
      gate.open();
      await next;
      expect(signals).toHaveLength(2);
    },
  );

  test("each caller has a deadline of its own, whoever began the call", async () => {
    const clock = new FakeClock();
    const kms = new MemoryKms();
    const sealed = await sealedBy(kms);
    const gate = new Gate();
    kms.before = () => gate.opened;
    const keyfold = keyfoldWith({ openWith: kms, clock });
    const first = rejection(keyfold.open(sealed, context));
    await clock.advance(4 * SECOND);
    const second = keyfold.openText(sealed, context);
    await clock.advance(1 * SECOND);
    expect((await first).code).toBe("ERR_MASTER_KEY_UNAVAILABLE");
    await clock.advance(3 * SECOND);
    gate.open();
    expect(await second).toBe("secret");
    expect(kms.unwraps).toBe(1);
  });

  /** An operation that waits at a gate, with the signals that the master key was given. */
  async function flying(kind: "open" | "seal") {
    const kms = new MemoryKms();
    const sealed = await sealedBy(kms);
    const gate = new Gate();
    const signals: AbortSignal[] = [];
    kms.before = (operation: KeyOperation) => {
      signals.push(operation.signal);
      return gate.opened;
    };
    const keyfold = keyfoldWith({ masterKeys: kms });
    const start = (signal?: AbortSignal) =>
      kind === "open" ? keyfold.open(sealed, context, { signal }) : keyfold.seal("x", context, { signal });
    return { signals, gate, start };
  }
});

describe("a poisoned envelope, with a victim's kdkId and a wrap of garbage", () => {
  async function poisoned() {
    const clock = new FakeClock();
    const kms = new MemoryKms();
    const victim = await sealedBy(kms);
    const garbage = { masterKey: kms.uri, ciphertext: new Uint8Array(60).fill(7) };
    const poison = withHeader(victim, { wraps: [garbage] });
    return { clock, kms, victim, poison, keyfold: keyfoldWith({ openWith: kms, clock }) };
  }

  /** The master key takes its time for this one of the calls. */
  function slowly(kms: MemoryKms, call: number): Gate {
    const gate = new Gate();
    let calls = 0;
    kms.before = () => (++calls === call ? gate.opened : undefined);
    return gate;
  }

  test("is refused at once while the victim's own unwrap is slow, and the victim opens after it", async () => {
    const { kms, victim, poison, keyfold } = await poisoned();
    const gate = slowly(kms, 1);
    const opening = keyfold.openText(victim, context);
    await settled();
    expect((await rejection(keyfold.open(poison, context))).code).toBe("ERR_MASTER_KEY_REJECTED");
    gate.open();
    expect(await opening).toBe("secret");
    expect(kms.unwraps).toBe(2);
  });

  test("delays no victim while the master key is slow to refuse it", async () => {
    const { kms, victim, poison, keyfold } = await poisoned();
    const gate = slowly(kms, 1);
    const refused = rejection(keyfold.open(poison, context));
    await settled();
    expect(await keyfold.openText(victim, context)).toBe("secret");
    gate.open();
    expect((await refused).code).toBe("ERR_MASTER_KEY_REJECTED");
    expect(await keyfold.openText(victim, context)).toBe("secret");
  });

  test("pauses no master key, however many there are: nothing waits for the clock", async () => {
    const { kms, victim, poison, keyfold } = await poisoned();
    for (let i = 0; i < 50; i++)
      expect((await rejection(keyfold.open(poison, context))).code).toBe("ERR_MASTER_KEY_REJECTED");
    expect(await keyfold.openText(victim, context)).toBe("secret");
    expect(await keyfold.openText(await sealedBy(kms), context)).toBe("secret");
  });

  test("is refused without a call when the victim's key is in memory, and the key stays", async () => {
    const { kms, victim, poison, keyfold } = await poisoned();
    await keyfold.open(victim, context);
    expect((await rejection(keyfold.open(poison, context))).code).toBe("ERR_HEADER_REJECTED");
    expect(keyfold.openTextSync(victim, context)).toBe("secret");
    expect(kms.unwraps).toBe(1);
  });

  test("that came first does not leave its garbage behind for the refresh", async () => {
    const { clock, kms, victim, poison, keyfold } = await poisoned();
    const [right = expect.fail("no wrap")] = wrapsOf(victim);
    const alias = new MemoryKms(kms.uri, { key: kms.key, recognizes: () => true });
    const both = withHeader(poison, {
      wraps: [{ masterKey: "memory:evil", ciphertext: new Uint8Array(60) }, right],
    });
    const reader = keyfoldWith({ openWith: alias, clock });
    expect((await rejection(reader.open(both, context))).code).toBe("ERR_HEADER_REJECTED");
    expect(alias.asked).toEqual(["memory:evil", kms.uri]);
    await clock.advance(15 * MINUTE);
    expect(reader.openTextSync(victim, context)).toBe("secret");
    await settled();
    expect(alias.asked.slice(2)).toEqual([kms.uri]);
    expect(keyfold.stats().kdks).toBe(0);
  });
});

describe("the unwrap budget", () => {
  async function envelopes(kms: MemoryKms, count: number): Promise<Uint8Array[]> {
    return Promise.all(Array.from({ length: count }, () => sealedBy(kms)));
  }

  async function budgeted(count: number, unwrapBudget: KeyfoldOptions["unwrapBudget"]) {
    const clock = new FakeClock();
    const kms = new MemoryKms();
    const sealed = await envelopes(kms, count);
    const keyfold = keyfoldWith({ openWith: kms, clock, unwrapBudget });
    return { clock, kms, sealed, keyfold };
  }

  test("lets a burst through, refuses what is over it, and fills up with the clock", async () => {
    const { clock, kms, sealed, keyfold } = await budgeted(8, { burst: 3, perSecond: 2 });
    const open = () =>
      Promise.all(sealed.map((one) => keyfold.openText(one, context).catch((error) => error.code)));
    const count = (results: string[]) => results.filter((result) => result === "secret").length;
    const first = await open();
    expect([count(first), new Set(first.slice(3))]).toEqual([3, new Set(["ERR_BUDGET"])]);
    expect(kms.unwraps).toBe(3);
    await clock.advance(499);
    expect(count(await open())).toBe(3);
    await clock.advance(1);
    expect(count(await open())).toBe(4);
    await clock.advance(10 * MINUTE);
    expect(count(await open())).toBe(7);
    expect(kms.unwraps).toBe(7);
  });

  test("is 100 and then 10 a second unless said otherwise", async () => {
    const { clock, sealed, keyfold } = await budgeted(112, undefined);
    const open = () => Promise.allSettled(sealed.map((one) => keyfold.open(one, context)));
    const count = async () => (await open()).filter(({ status }) => status === "fulfilled").length;
    expect(await count()).toBe(100);
    await clock.advance(SECOND);
    expect(await count()).toBe(110);
  });

  test("says that it was used up, and that it is worth trying again", async () => {
    const { sealed, keyfold } = await budgeted(2, { burst: 1 });
    const [first = expect.fail(), second = expect.fail()] = sealed;
    await keyfold.open(first, context);
    const error = await rejection(keyfold.open(second, context));
    expect([error.code, error.retryable]).toEqual(["ERR_BUDGET", true]);
  });

  test("says so too where several master keys could have been asked", async () => {
    const keys = [new MemoryKms("memory:a"), new MemoryKms("memory:b")];
    const keyfold = keyfoldWith({ openWith: keys, clock: new FakeClock(), unwrapBudget: { burst: 1 } });
    await keyfold.open(await sealedBy(keys), context);
    const error = await rejection(keyfold.open(await sealedBy(keys), context));
    expect([error.code, error.retryable]).toEqual(["ERR_BUDGET", true]);
    expect(error.attempts).toHaveLength(2);
  });

  test("is charged for every hostile envelope, and then no hostile call goes out", async () => {
    const { kms, sealed, keyfold } = await budgeted(1, { burst: 5 });
    const [victim = expect.fail()] = sealed;
    const codes: KeyfoldErrorCode[] = [];
    for (let i = 0; i < 7; i++) {
      const ciphertext = new Uint8Array(60).fill(i);
      const poison = withHeader(victim, { wraps: [{ masterKey: kms.uri, ciphertext }] });
      codes.push((await rejection(keyfold.open(poison, context))).code);
    }
    expect(codes).toEqual([...Array(5).fill("ERR_MASTER_KEY_REJECTED"), "ERR_BUDGET", "ERR_BUDGET"]);
    expect(kms.unwraps).toBe(5);
  });

  test("is charged once for an envelope, whatever it takes: several KMS contexts", async () => {
    const kms = new MemoryKms();
    const older = { tier: "old" };
    const sealed = await keyfoldWith({ masterKeys: kms, kmsContext: older }).seal("secret", context);
    const openKmsContexts = [{ tier: "older" }, older];
    const limits = { clock: new FakeClock(), unwrapBudget: { burst: 1, perSecond: 1e-9 } };
    const keyfold = keyfoldWith({ openWith: kms, openKmsContexts, ...limits });
    expect(await keyfold.openText(sealed, context)).toBe("secret");
    expect(kms.unwraps).toBe(3);
    expect((await rejection(keyfold.open(await sealedBy(kms), context))).code).toBe("ERR_BUDGET");
  });

  test("is charged once for an envelope, whatever it takes: several master keys and wraps", async () => {
    const keys = [new MemoryKms("memory:a"), new MemoryKms("memory:b")] as const;
    const sealed = await sealedBy(keys);
    keys[0].failing = "ERR_MASTER_KEY_DENIED";
    const limits = { clock: new FakeClock(), unwrapBudget: { burst: 1, perSecond: 1e-9 } };
    const keyfold = keyfoldWith({ openWith: keys, ...limits });
    expect(await keyfold.openText(sealed, context)).toBe("secret");
    expect(keys.map(({ unwraps }) => unwraps)).toEqual([1, 1]);
  });

  test("is not charged again for an envelope under an older KMS context", async () => {
    const { clock, kms } = await budgeted(0, undefined);
    const older = { tier: "old" };
    const sealed = await keyfoldWith({ masterKeys: kms, kmsContext: older }).seal("secret", context);
    const unwrapBudget = { burst: 1, perSecond: 1e-9 };
    const keyfold = keyfoldWith({ openWith: kms, openKmsContexts: [older], clock, unwrapBudget });
    for (let day = 1; day <= 3; day++) {
      expect(await keyfold.openText(sealed, context)).toBe("secret");
      expect(kms.unwraps).toBe(2 * day);
      await clock.advance(DAY);
    }
  });

  test("stays free through an outage, and is charged again after a refusal", async () => {
    const { clock, kms, sealed, keyfold } = await budgeted(1, { burst: 1, perSecond: 1e-9 });
    const [one = expect.fail()] = sealed;
    await keyfold.open(one, context);
    await clock.advance(DAY);
    const codes: KeyfoldErrorCode[] = [];
    for (const failing of ["ERR_MASTER_KEY_UNAVAILABLE", "ERR_MASTER_KEY_DENIED", undefined] as const) {
      kms.failing = failing;
      const refused = rejection(keyfold.open(one, context));
      for (let second = 0; second < 6; second++) await clock.advance(SECOND);
      codes.push((await refused).code);
    }
    expect(codes).toEqual(["ERR_MASTER_KEY_UNAVAILABLE", "ERR_MASTER_KEY_DENIED", "ERR_BUDGET"]);
  });

  test("is waited for by ready(envelopes)", async () => {
    const { clock, kms, sealed, keyfold } = await budgeted(5, { burst: 1, perSecond: 1 });
    const ready = keyfold.ready(sealed);
    const watched = watch(ready);
    await clock.advance(3_999);
    expect([watched.settled, kms.unwraps]).toEqual([false, 4]);
    await clock.advance(1);
    await ready;
    expect(kms.unwraps).toBe(5);
    for (const one of sealed) expect(keyfold.openTextSync(one, context)).toBe("secret");
  });

  test("is waited for no longer when the caller gives up", async () => {
    const { clock, kms, sealed, keyfold } = await budgeted(3, { burst: 1, perSecond: 1 });
    const controller = new AbortController();
    const ready = rejection(keyfold.ready(sealed, { signal: controller.signal }));
    await settled();
    controller.abort("enough");
    expect((await ready).code).toBe("ERR_ABORTED");
    await clock.advance(MINUTE);
    expect(kms.unwraps).toBe(1);
  });

  test("is not charged for what was unwrapped before, when the key comes back after it expired", async () => {
    const { clock, kms, sealed, keyfold } = await budgeted(1, { burst: 1, perSecond: 1e-9 });
    const [one = expect.fail()] = sealed;
    for (let day = 1; day <= 3; day++) {
      expect(await keyfold.openText(one, context)).toBe("secret");
      expect(kms.unwraps).toBe(day);
      await clock.advance(DAY);
    }
    await keyfold.ready([one]);
    expect(kms.unwraps).toBe(4);
  });

  test("is not charged for refreshes", async () => {
    const { clock, kms, sealed, keyfold } = await budgeted(2, { burst: 1, perSecond: 1e-9 });
    const [one = expect.fail(), other = expect.fail()] = sealed;
    await keyfold.open(one, context);
    expect((await rejection(keyfold.open(other, context))).code).toBe("ERR_BUDGET");
    for (let i = 0; i < 5; i++) {
      await clock.advance(15 * MINUTE);
      keyfold.openSync(one, context);
      await settled();
    }
    expect(kms.unwraps).toBe(6);
  });

  test("while it is waited for, the process stays alive", async () => {
    expect(await child("child-waiting.ts")).toBe("3 unwrapped");
  });
});

describe("refreshAfter", () => {
  test("is the age from which a key is still used, and asked after in the background, once", async () => {
    const { clock, kms, keyfold, sealed } = await reading();
    await clock.advance(15 * MINUTE - 1);
    keyfold.openSync(sealed, context);
    await settled();
    expect(kms.unwraps).toBe(1);
    await clock.advance(1);
    kms.before = silence;
    for (let i = 0; i < 10; i++) expect(keyfold.openTextSync(sealed, context)).toBe("secret");
    await settled();
    expect(kms.unwraps).toBe(2);
  });

  test("counts anew from every success", async () => {
    const { clock, kms, keyfold, sealed } = await reading({ refreshAfter: MINUTE });
    for (let i = 1; i <= 5; i++) {
      await clock.advance(MINUTE);
      keyfold.openSync(sealed, context);
      await settled();
      expect(kms.unwraps).toBe(1 + i);
      await clock.advance(MINUTE - 1);
      keyfold.openSync(sealed, context);
      await settled();
      expect(kms.unwraps).toBe(1 + i);
      await clock.advance(1);
      keyfold.openSync(sealed, context);
      await settled();
      expect(kms.unwraps).toBe(2 + i);
      kms.unwraps--;
    }
  });

  test("holds for the key that seals as for the others, and wraps nothing", async () => {
    const { clock, kms, keyfold, own } = await running();
    await clock.advance(15 * MINUTE);
    const sealed = keyfold.sealSync("x", context);
    await settled();
    expect([kms.wraps, kms.unwraps]).toEqual([1, 1]);
    expect(keyfold.inspect(sealed).kdkId).toBe(keyfold.inspect(own).kdkId);
  });

  test("makes no call for a key that nobody uses", async () => {
    const { clock, kms } = await reading();
    await clock.advance(DAY);
    expect(kms.unwraps).toBe(1);
  });

  test("asks through whichever master key opens now", async () => {
    const clock = new FakeClock();
    const keys = [new MemoryKms("memory:a"), new MemoryKms("memory:b")] as const;
    const sealed = await sealedBy(keys);
    const keyfold = keyfoldWith({ openWith: keys, clock });
    await keyfold.open(sealed, context);
    keys[0].failing = "ERR_MASTER_KEY_NOT_FOUND";
    await clock.advance(15 * MINUTE);
    keyfold.openSync(sealed, context);
    await settled();
    expect(keys.map(({ unwraps }) => unwraps)).toEqual([2, 1]);
  });
});

describe("expireAfter", () => {
  test("is the age at which a key that nobody confirmed is gone, with every KEK from it", async () => {
    const { clock, keyfold, sealed } = await reading();
    expect(keyfold.stats()).toMatchObject({ kdks: 1, keks: 1 });
    await clock.advance(DAY - 1);
    expect(opens(keyfold, sealed)).toBe(true);
    const idle = await reading();
    await idle.clock.advance(DAY);
    expect(opens(idle.keyfold, idle.sealed)).toBe("ERR_NOT_READY");
    expect(idle.keyfold.stats()).toMatchObject({ kdks: 0, keks: 0 });
  });

  test("ends the key that seals, too", async () => {
    const { clock, kms, keyfold, own } = await running({ expireAfter: HOUR });
    await clock.advance(HOUR);
    expect(codeOf(() => keyfold.sealSync("x", context))).toBe("ERR_NOT_READY");
    expect(opens(keyfold, own)).toBe("ERR_NOT_READY");
    await keyfold.seal("x", context);
    expect(kms.wraps).toBe(2);
  });

  test("takes the keys that nobody uses out of memory as well, soon after", async () => {
    const { clock, kms, keyfold } = await running();
    await keyfold.open(await sealedBy(kms), context);
    await clock.advance(DAY - 1);
    expect(keyfold.stats()).toMatchObject({ kdks: 2, keks: 1 });
    await clock.advance(HOUR + 1);
    expect(keyfold.stats()).toMatchObject({ kdks: 0, keks: 0 });
    expect(clock.pending).toBe(0);
  });

  test("counts from the last confirmation", async () => {
    const { clock, keyfold, sealed } = await reading();
    await clock.advance(DAY - 1);
    keyfold.openSync(sealed, context);
    await clock.advance(DAY - 1);
    expect(opens(keyfold, sealed)).toBe(true);
  });

  test("an open after it brings the key back with a call", async () => {
    const { clock, kms, keyfold, sealed } = await reading();
    await clock.advance(DAY);
    expect(await keyfold.openText(sealed, context)).toBe("secret");
    expect(kms.unwraps).toBe(2);
  });

  test("the time that a laptop sleeps counts, for refresh and for expiry", async () => {
    const { clock, kms, keyfold, sealed } = await reading();
    clock.sleepMachine(15 * MINUTE);
    keyfold.openSync(sealed, context);
    await settled();
    expect(kms.unwraps).toBe(2);
    clock.sleepMachine(DAY);
    expect(opens(keyfold, sealed)).toBe("ERR_NOT_READY");
  });

  test("a wall clock that is set back lengthens no life", async () => {
    const { clock, keyfold, sealed } = await reading();
    clock.sleepMachine(-10 * DAY);
    await clock.advance(DAY);
    expect(opens(keyfold, sealed)).toBe("ERR_NOT_READY");
  });

  test("a wall clock that is set back brings back no key", async () => {
    const { clock, keyfold, own } = await running();
    clock.sleepMachine(DAY);
    expect(opens(keyfold, own)).toBe("ERR_NOT_READY");
    clock.sleepMachine(-DAY);
    expect(opens(keyfold, own)).toBe("ERR_NOT_READY");
    expect(codeOf(() => keyfold.sealSync("x", context))).toBe("ERR_NOT_READY");
  });
});

describe("what the KMS answers on a refresh", () => {
  /** Uses the keyfold and lets the refresh that this may start be answered. */
  async function use(keyfold: Keyfold, sealed: Uint8Array): Promise<true | KeyfoldErrorCode> {
    const result = opens(keyfold, sealed);
    await settled();
    return result;
  }

  test("disabled: the key is dropped at once, for opening and for sealing", async () => {
    const { clock, kms, keyfold, own } = await running();
    kms.failing = "ERR_MASTER_KEY_DISABLED";
    await clock.advance(15 * MINUTE);
    expect(await use(keyfold, own)).toBe(true);
    expect(opens(keyfold, own)).toBe("ERR_NOT_READY");
    expect(codeOf(() => keyfold.sealSync("x", context))).toBe("ERR_NOT_READY");
    expect((await rejection(keyfold.open(own, context))).code).toBe("ERR_MASTER_KEY_DISABLED");
    expect((await rejection(keyfold.seal("x", context))).code).toBe("ERR_MASTER_KEY_DISABLED");
    expect(keyfold.stats()).toMatchObject({ kdks: 0, keks: 0 });
  });

  test.each(["ERR_MASTER_KEY_DENIED", "ERR_MASTER_KEY_NOT_FOUND", "ERR_MASTER_KEY_REJECTED"] as const)(
    "%s: kept, asked again 30 s later, and dropped at the second such answer",
    async (code) => {
      const { clock, kms, keyfold, own } = await running();
      kms.failing = code;
      await clock.advance(15 * MINUTE);
      expect(await use(keyfold, own)).toBe(true);
      expect(kms.unwraps).toBe(1);
      await clock.advance(30 * SECOND - 1);
      expect(await use(keyfold, own)).toBe(true);
      expect(kms.unwraps).toBe(1);
      await clock.advance(1);
      expect(await use(keyfold, own)).toBe(true);
      expect(kms.unwraps).toBe(2);
      expect(opens(keyfold, own)).toBe("ERR_NOT_READY");
      expect(codeOf(() => keyfold.sealSync("x", context))).toBe("ERR_NOT_READY");
    },
  );

  test("denied, then success: as if nothing had been, so a later denial is again the first", async () => {
    const { clock, kms, keyfold, own } = await running();
    for (let i = 0; i < 3; i++) {
      kms.failing = "ERR_MASTER_KEY_DENIED";
      await clock.advance(15 * MINUTE);
      await use(keyfold, own);
      kms.failing = undefined;
      await clock.advance(30 * SECOND);
      await use(keyfold, own);
    }
    expect(kms.unwraps).toBe(6);
    expect(opens(keyfold, own)).toBe(true);
  });

  test("denied, then an outage: kept; denied again: dropped", async () => {
    const { clock, kms, keyfold, own } = await running();
    kms.failing = "ERR_MASTER_KEY_DENIED";
    await clock.advance(15 * MINUTE);
    await use(keyfold, own);
    kms.failing = "ERR_CREDENTIALS";
    await clock.advance(MINUTE);
    await use(keyfold, own);
    expect(opens(keyfold, own)).toBe(true);
    kms.failing = "ERR_MASTER_KEY_DENIED";
    await clock.advance(MINUTE);
    await use(keyfold, own);
    expect(opens(keyfold, own)).toBe("ERR_NOT_READY");
  });

  const outages = [
    "ERR_MASTER_KEY_UNAVAILABLE",
    "ERR_MASTER_KEY_THROTTLED",
    "ERR_CREDENTIALS",
    "ERR_MASTER_KEY_BAD_REPLY",
  ] as const;

  test.each(outages)("%s: kept until expireAfter, and then gone", async (code) => {
    const { clock, kms, keyfold, sealed } = await reading({ expireAfter: HOUR });
    kms.failing = code;
    for (let minutes = 1; minutes < 60; minutes++) {
      await clock.advance(MINUTE);
      expect(await use(keyfold, sealed)).toBe(true);
    }
    expect(kms.unwraps).toBeGreaterThan(30);
    await clock.advance(MINUTE);
    expect(opens(keyfold, sealed)).toBe("ERR_NOT_READY");
  });

  test("an outage is asked about every 5 to 60 s, less and less often", async () => {
    const { clock, kms, keyfold, sealed } = await reading();
    kms.failing = "ERR_CREDENTIALS";
    const times: number[] = [];
    kms.before = () => {
      times.push(clock.monotonic());
    };
    await clock.advance(15 * MINUTE);
    for (let seconds = 0; seconds < 3_600; seconds++) {
      keyfold.openSync(sealed, context);
      await clock.advance(SECOND);
    }
    const gaps = times.slice(1).map((time, i) => time - (times[i] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(5 * SECOND);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(61 * SECOND);
    expect(Math.max(...gaps)).toBeGreaterThan(30 * SECOND);
    expect(gaps[0]).toBeLessThanOrEqual(11 * SECOND);
    // 32.5 s on average: 110 calls, with a deviation of 5.5. Nine deviations are enough for never.
    expect(times.length).toBeGreaterThan(60);
    expect(times.length).toBeLessThan(160);
  });

  test("an outage that ends is followed by quiet", async () => {
    const { clock, kms, keyfold, sealed } = await reading();
    kms.failing = "ERR_CREDENTIALS";
    await clock.advance(15 * MINUTE);
    await use(keyfold, sealed);
    kms.failing = undefined;
    await clock.advance(MINUTE);
    await use(keyfold, sealed);
    expect(kms.unwraps).toBe(3);
    await clock.advance(15 * MINUTE - 1);
    await use(keyfold, sealed);
    expect(kms.unwraps).toBe(3);
  });

  test("an hour's outage loses no seal and no open", async () => {
    const { clock, kms, keyfold, own } = await running();
    const foreign = await sealedBy(kms);
    await keyfold.open(foreign, context);
    await clock.advance(15 * MINUTE);
    kms.failing = "ERR_MASTER_KEY_UNAVAILABLE";
    for (let minutes = 0; minutes < 60; minutes++) {
      const sealed = await keyfold.seal("during", context);
      for (const one of [own, foreign, sealed]) await keyfold.open(one, context);
      await clock.advance(MINUTE);
    }
    expect(keyfold.stats()).toMatchObject({ seals: 61, opens: 181 });
  });

  describe("of two master keys", () => {
    async function two(first: KeyfoldErrorCode | undefined, second: KeyfoldErrorCode | undefined) {
      const clock = new FakeClock();
      const keys = [new MemoryKms("memory:a"), new MemoryKms("memory:b")] as const;
      const keyfold = keyfoldWith({ masterKeys: keys, clock });
      const own = await keyfold.seal("own", context);
      keys[0].failing = first;
      keys[1].failing = second;
      await clock.advance(15 * MINUTE);
      expect(await use(keyfold, own)).toBe(true);
      await clock.advance(10 * SECOND);
      return opens(keyfold, own);
    }

    test("one that is disabled does not drop the key while the other confirms it", async () => {
      expect(await two("ERR_MASTER_KEY_DISABLED", undefined)).toBe(true);
      expect(await two(undefined, "ERR_MASTER_KEY_DISABLED")).toBe(true);
    });

    test("one that is disabled drops the key when the other cannot be reached", async () => {
      expect(await two("ERR_MASTER_KEY_DISABLED", "ERR_MASTER_KEY_UNAVAILABLE")).toBe("ERR_NOT_READY");
      expect(await two("ERR_MASTER_KEY_UNAVAILABLE", "ERR_MASTER_KEY_DISABLED")).toBe("ERR_NOT_READY");
    });

    test("two that cannot be reached drop nothing", async () => {
      expect(await two("ERR_MASTER_KEY_UNAVAILABLE", "ERR_CREDENTIALS")).toBe(true);
    });
  });
});

describe("sealOnly", () => {
  test("refreshes with a new KDK, in the background, and unwraps nothing", async () => {
    const { clock, kms, keyfold, own } = await running({ sealOnly: true });
    await clock.advance(15 * MINUTE);
    const during = keyfold.inspect(keyfold.sealSync("x", context)).kdkId;
    expect(during).toBe(keyfold.inspect(own).kdkId);
    await settled();
    expect(kdkIdOf(keyfold)).not.toBe(during);
    expect([kms.wraps, kms.unwraps]).toEqual([2, 0]);
  });

  test("is told by a refused wrap that it may not seal any more", async () => {
    const { clock, kms, keyfold } = await running({ sealOnly: true });
    kms.failing = "ERR_MASTER_KEY_DISABLED";
    await clock.advance(15 * MINUTE);
    keyfold.sealSync("x", context);
    await settled();
    expect(codeOf(() => keyfold.sealSync("x", context))).toBe("ERR_NOT_READY");
  });

  test("goes on sealing under the old KDK during an outage", async () => {
    const { clock, kms, keyfold, own } = await running({ sealOnly: true });
    kms.failing = "ERR_CREDENTIALS";
    await clock.advance(15 * MINUTE);
    keyfold.sealSync("x", context);
    await settled();
    expect(kms.wraps).toBe(2);
    expect(kdkIdOf(keyfold)).toBe(keyfold.inspect(own).kdkId);
  });
});

describe("kdkLifetime", () => {
  const lives = { kdkLifetime: 4 * HOUR, refreshAfter: DAY, expireAfter: 2 * DAY };

  test("in its last hour the successor is made in the background; what the last one sealed opens without a call", async () => {
    const { clock, kms, keyfold, own } = await running(lives);
    const first = keyfold.inspect(own).kdkId;
    await clock.advance(3 * HOUR);
    expect(kdkIdOf(keyfold)).toBe(first);
    await settled();
    expect(kms.wraps).toBe(1);
    await clock.advance(1);
    expect(kdkIdOf(keyfold)).toBe(first);
    await settled();
    const second = kdkIdOf(keyfold);
    expect(second).not.toBe(first);
    expect(opens(keyfold, own)).toBe(true);
    expect([kms.wraps, kms.unwraps]).toEqual([2, 0]);
    await clock.advance(3 * HOUR);
    expect(kdkIdOf(keyfold)).toBe(second);
  });

  test("is 24 hours unless said otherwise", async () => {
    const { clock, kms, keyfold } = await running({ refreshAfter: 5 * DAY, expireAfter: 10 * DAY });
    await clock.advance(23 * HOUR);
    keyfold.sealSync("x", context);
    await settled();
    expect(kms.wraps).toBe(1);
    await clock.advance(1);
    keyfold.sealSync("x", context);
    await settled();
    expect(kms.wraps).toBe(2);
  });

  test("many seals in the last hour ask for one successor", async () => {
    const { clock, kms, keyfold } = await running(lives);
    const gate = new Gate();
    kms.before = () => gate.opened;
    await clock.advance(3 * HOUR + 1);
    for (let i = 0; i < 100; i++) keyfold.sealSync("x", context);
    await settled();
    gate.open();
    await settled();
    for (let i = 0; i < 100; i++) keyfold.sealSync("x", context);
    expect(kms.wraps).toBe(2);
  });

  test("a successor that cannot be made is tried for every 5 to 60 s, and seals go on until the end", async () => {
    const { clock, kms, keyfold, own } = await running(lives);
    kms.failing = "ERR_CREDENTIALS";
    const times: number[] = [];
    kms.before = () => {
      times.push(clock.monotonic());
    };
    await clock.advance(3 * HOUR + 1);
    for (let seconds = 0; seconds < 3_599; seconds++) {
      keyfold.sealSync("x", context);
      await clock.advance(SECOND);
    }
    expect(kdkIdOf(keyfold)).toBe(keyfold.inspect(own).kdkId);
    const gaps = times.slice(1).map((time, i) => time - (times[i] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(5 * SECOND);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(61 * SECOND);
    expect(times.length).toBeGreaterThan(60);
    expect(times.length).toBeLessThan(160);
  });

  test("after the end a seal waits for a new KDK, and what was sealed before still opens", async () => {
    const { clock, kms, keyfold, own } = await running(lives);
    kms.failing = "ERR_MASTER_KEY_UNAVAILABLE";
    await clock.advance(4 * HOUR - 1);
    keyfold.sealSync("x", context);
    await clock.advance(1);
    expect(codeOf(() => keyfold.sealSync("x", context))).toBe("ERR_NOT_READY");
    const sealing = keyfold.seal("x", context);
    const watched = watch(sealing);
    await clock.advance(SECOND);
    expect(watched.settled).toBe(false);
    kms.failing = undefined;
    await clock.advance(2 * SECOND);
    expect(keyfold.inspect(await sealing).kdkId).not.toBe(keyfold.inspect(own).kdkId);
    expect(opens(keyfold, own)).toBe(true);
    expect(kms.unwraps).toBe(0);
  });

  test("that is short has its successor made half-way", async () => {
    const { clock, kms, keyfold } = await running({ ...lives, kdkLifetime: MINUTE });
    await clock.advance(MINUTE / 2);
    keyfold.sealSync("x", context);
    await settled();
    expect(kms.wraps).toBe(1);
    await clock.advance(1);
    keyfold.sealSync("x", context);
    await settled();
    expect(kms.wraps).toBe(2);
  });

  test("a laptop's sleep counts", async () => {
    const { clock, keyfold } = await running(lives);
    clock.sleepMachine(4 * HOUR);
    expect(codeOf(() => keyfold.sealSync("x", context))).toBe("ERR_NOT_READY");
  });
});

describe("a KEK that seals", () => {
  const lives = { refreshAfter: DAY, expireAfter: 2 * DAY };
  const saltOf = (keyfold: Keyfold) => keyfold.inspect(keyfold.sealSync("x", context)).salt;

  test("keeps its salt for kekLifetime, an hour unless said otherwise, and then there is another, without a call", async () => {
    const { clock, kms, keyfold, own } = await running(lives);
    const { salt } = keyfold.inspect(own);
    await clock.advance(HOUR - 1);
    expect(saltOf(keyfold)).toBe(salt);
    await clock.advance(1);
    const next = saltOf(keyfold);
    expect(next).not.toBe(salt);
    expect(saltOf(keyfold)).toBe(next);
    expect(opens(keyfold, own)).toBe(true);
    expect([kms.wraps, kms.unwraps]).toEqual([1, 0]);
  });

  test("lives for a shorter time if told so", async () => {
    const { clock, keyfold, own } = await running({ ...lives, kekLifetime: 10 });
    await clock.advance(9);
    expect(saltOf(keyfold)).toBe(keyfold.inspect(own).salt);
    await clock.advance(1);
    expect(saltOf(keyfold)).not.toBe(keyfold.inspect(own).salt);
  });

  test("is of one scope: each has a salt of its own, and keeps it", async () => {
    const { kms, keyfold } = await running();
    const scopes = ["", "a", "b"].map((scope) => keyfold.scoped(scope));
    const salts = scopes.map(saltOf);
    expect(new Set(salts).size).toBe(3);
    expect(scopes.map(saltOf)).toEqual(salts);
    expect(kms.wraps).toBe(1);
  });

  test("is one of at most maxKeys: a scope whose KEK was pushed out draws another salt", async () => {
    const { keyfold } = await running({ maxKeys: 2 });
    const [first, ...others] = ["a", "b", "c", "d"].map((scope) => keyfold.scoped(scope));
    const salt = saltOf(first ?? expect.fail());
    for (const scope of others) saltOf(scope);
    expect(saltOf(first ?? expect.fail())).not.toBe(salt);
  });
});

describe("maxKeys", () => {
  test("bounds the KDKs, and those that are seen once do not push out those that are used", async () => {
    const kms = new MemoryKms();
    const keyfold = keyfoldWith({ openWith: kms, maxKeys: 10, unwrapBudget: { burst: 1_000 } });
    const hot = await Promise.all(Array.from({ length: 4 }, () => sealedBy(kms)));
    for (const one of hot) await keyfold.open(one, context);
    for (let i = 0; i < 100; i++) {
      for (const one of hot) expect(keyfold.openTextSync(one, context)).toBe("secret");
      await keyfold.open(await sealedBy(kms), context);
      expect(keyfold.stats().kdks).toBeLessThanOrEqual(10);
      expect(keyfold.stats().keks).toBeLessThanOrEqual(10);
    }
    expect(kms.unwraps).toBe(104);
    expect(keyfold.stats().kdks).toBe(10);
  });

  test("bounds the KEKs apart from the KDKs", async () => {
    const kms = new MemoryKms();
    const sealer = keyfoldWith({ masterKeys: kms });
    const keyfold = keyfoldWith({ openWith: kms, maxKeys: 5 });
    for (let i = 0; i < 20; i++) {
      const sealed = await sealer.scoped(`tenant${i}`).seal("x", context);
      await keyfold.scoped(`tenant${i}`).open(sealed, context);
      expect(keyfold.stats()).toMatchObject({ kdks: 1, keks: Math.min(5, i + 1) });
    }
    expect(kms.unwraps).toBe(1);
  });

  test("a KEK is not kept for an envelope that does not open", async () => {
    const { keyfold, sealed } = await reading();
    for (let i = 0; i < 20; i++) {
      const forged = withHeader(sealed, { salt: new Uint8Array(16).fill(i) });
      expect((await rejection(keyfold.open(forged, context))).code).toBe("ERR_HEADER_REJECTED");
    }
    expect(keyfold.stats().keks).toBe(1);
  });

  test("a key that is pushed out while it is in use finishes its work", async () => {
    const kms = new MemoryKms();
    const sealed = await Promise.all(Array.from({ length: 20 }, () => sealedBy(kms)));
    const gate = new Gate();
    kms.before = () => gate.opened;
    const keyfold = keyfoldWith({ openWith: kms, maxKeys: 1 });
    const opening = sealed.map((one) => keyfold.openText(one, context));
    await settled();
    gate.open();
    expect(new Set(await Promise.all(opening))).toEqual(new Set(["secret"]));
    expect(keyfold.stats()).toMatchObject({ kdks: 1, keks: 1 });
  });

  test("does not count the KDK that seals, which is never pushed out", async () => {
    const { kms, keyfold, own } = await running({ maxKeys: 1 });
    for (let i = 0; i < 10; i++) await keyfold.open(await sealedBy(kms), context);
    expect(opens(keyfold, own)).toBe(true);
    expect(keyfold.stats().kdks).toBe(2);
  });
});

describe("background work", () => {
  const unhandled: unknown[] = [];
  const listen = (reason: unknown) => unhandled.push(reason);
  beforeAll(() => {
    process.on("unhandledRejection", listen);
  });
  afterAll(() => {
    process.off("unhandledRejection", listen);
  });

  test.each(["ERR_MASTER_KEY_DENIED", "ERR_MASTER_KEY_UNAVAILABLE", "ERR_MASTER_KEY_DISABLED"] as const)(
    "that fails with %s rejects nowhere",
    async (code) => {
      const { clock, kms, keyfold, own } = await running({ kdkLifetime: 2 * HOUR });
      kms.failing = code;
      await clock.advance(HOUR + 1);
      keyfold.sealSync("x", context);
      keyfold.openSync(own, context);
      await clock.advance(10 * SECOND);
      expect(kms.wraps).toBeGreaterThan(1);
      expect(kms.unwraps).toBeGreaterThan(0);
      expect(unhandled).toEqual([]);
    },
  );

  test("that close or a late answer finds under way rejects nowhere", async () => {
    const { clock, kms, keyfold, own } = await running({ kdkLifetime: 2 * HOUR });
    const gate = new Gate();
    kms.before = () => gate.opened;
    kms.failing = "ERR_MASTER_KEY_DENIED";
    await clock.advance(HOUR + 1);
    keyfold.sealSync("x", context);
    keyfold.openSync(own, context);
    await settled();
    await keyfold.close();
    await settled();
    expect([kms.wraps, kms.unwraps, clock.pending]).toEqual([2, 1, 0]);
    gate.open();
    await clock.advance(HOUR);
    expect(unhandled).toEqual([]);
  });

  test("keeps no process alive", async () => {
    expect(await child("child-idle.ts")).toBe("1 unwrap and 1 wrap under way");
  });
});

/** What a process prints that runs a file of `support`; it fails unless the process ends by itself, and well, in 20 s. */
async function child(file: string): Promise<string> {
  const path = fileURLToPath(new URL(`support/${file}`, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [path], { timeout: 20_000 });
  return stdout;
}
