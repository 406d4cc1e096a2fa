/** Several master keys as one: who wraps, who is asked, in what order, how long for, and what a failure says. */

import { describe, expect, test, vi } from "vitest";
import { KeyfoldError, type KeyfoldErrorCode } from "../src/errors.ts";
import type { KeyOperation, MasterKeyProvider } from "../src/master-key.ts";
import {
  causes,
  context,
  Gate,
  keyfoldWith,
  rejection,
  SECOND,
  SpyKms,
  sealedBy,
  silence,
  watch,
  wrapsOf,
} from "./support/behaviour.ts";
import { FakeClock, settled } from "./support/fake-clock.ts";
import { MemoryKms } from "./support/memory-kms.ts";

function threeKeys(): [MemoryKms, MemoryKms, MemoryKms] {
  return [new MemoryKms("memory:a"), new MemoryKms("memory:b"), new MemoryKms("memory:c")];
}

describe("any one of several master keys opens", () => {
  test.each([0, 1, 2])("also when the two others refuse (%i is left)", async (left) => {
    const masterKeys = threeKeys();
    const sealed = await sealedBy(masterKeys);
    for (const [i, kms] of masterKeys.entries()) if (i !== left) kms.failing = "ERR_MASTER_KEY_DENIED";
    expect(await keyfoldWith({ masterKeys }).openText(sealed, context)).toBe("secret");
  });

  test.each([0, 1, 2])("also when it is the only one that the opener knows (%i is known)", async (known) => {
    const masterKeys = threeKeys();
    const sealed = await sealedBy(masterKeys);
    const openWith = masterKeys.filter((_, i) => i === known);
    expect(await keyfoldWith({ openWith }).openText(sealed, context)).toBe("secret");
  });

  test("the others are not asked once one has answered", async () => {
    const masterKeys = threeKeys();
    const sealed = await sealedBy(masterKeys);
    await keyfoldWith({ masterKeys: masterKeys[1], openWith: [masterKeys[2], masterKeys[0]] }).open(
      sealed,
      context,
    );
    expect(masterKeys.map(({ unwraps }) => unwraps)).toEqual([0, 1, 0]);
  });
});

describe("a new key is wrapped under every master key", () => {
  test("in the order in which they are configured, whichever answers first", async () => {
    const masterKeys = threeKeys();
    const gate = new Gate();
    masterKeys[0].before = () => gate.opened;
    const keyfold = keyfoldWith({ masterKeys });
    const sealing = keyfold.seal("secret", context);
    await settled();
    gate.open();
    expect(keyfold.inspect(await sealing).masterKeys).toEqual(["memory:a", "memory:b", "memory:c"]);
  });

  test("or sealing fails at once, with the failing key's own code, and the slow ones are let off", async () => {
    const masterKeys = threeKeys();
    const signals: AbortSignal[] = [];
    masterKeys[0].before = ({ signal }) => {
      signals.push(signal);
      return silence();
    };
    masterKeys[2].failing = "ERR_MASTER_KEY_DENIED";
    const error = await rejection(keyfoldWith({ masterKeys, clock: new FakeClock() }).seal("x", context));
    expect(error.code).toBe("ERR_MASTER_KEY_DENIED");
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    expect(masterKeys[2].wraps).toBe(1);
  });

  test("two that answer with one URI are the same master key, and refused", async () => {
    const one = new MemoryKms();
    const twin = new MemoryKms(one.uri, { key: one.key });
    const error = await rejection(keyfoldWith({ masterKeys: [one, twin] }).seal("x", context));
    expect(error.code).toBe("ERR_INVALID_ARGUMENT");
    expect(error.message).toContain("one URI");
  });

  test("openWith wraps nothing", async () => {
    const [masterKeys, old] = threeKeys();
    const keyfold = keyfoldWith({ masterKeys, openWith: old });
    expect(keyfold.inspect(await keyfold.seal("x", context)).masterKeys).toEqual(["memory:a"]);
    expect(old.wraps).toBe(0);
  });

  test("one that changes or keeps what it was lent spoils nothing for the others, and keeps only zeros", async () => {
    const vandal = new SpyKms("memory:vandal");
    vandal.before = () => {
      for (const key of vandal.lent) key.fill(0xff);
    };
    const honest = new SpyKms("memory:honest");
    const sealed = await keyfoldWith({ masterKeys: [vandal, honest] }).seal("secret", context);
    expect(await keyfoldWith({ openWith: honest }).openText(sealed, context)).toBe("secret");
    for (const lent of [...vandal.lent, ...honest.lent]) expect(lent).toEqual(new Uint8Array(32));
    expect(honest.keys[0]).not.toEqual(new Uint8Array(32));
  });
});

describe("wrapPolicy { atLeast: n }", () => {
  const atLeast = (n: number) => ({ wrapPolicy: { atLeast: n } });

  test("does without those that fail", async () => {
    const masterKeys = threeKeys();
    masterKeys[1].failing = "ERR_MASTER_KEY_NOT_FOUND";
    const keyfold = keyfoldWith({ masterKeys, ...atLeast(2) });
    expect(keyfold.inspect(await keyfold.seal("x", context)).masterKeys).toEqual(["memory:a", "memory:c"]);
  });

  test("gives the others one second more, and takes what they bring in it", async () => {
    const clock = new FakeClock();
    const masterKeys = threeKeys();
    masterKeys[1].before = () => later(clock, 900);
    const keyfold = keyfoldWith({ masterKeys, clock, ...atLeast(2) });
    const sealing = keyfold.seal("x", context);
    await clock.advance(900);
    expect(keyfold.inspect(await sealing).masterKeys).toEqual(["memory:a", "memory:b", "memory:c"]);
  });

  test("goes on without one that is silent for that second, and aborts it", async () => {
    const clock = new FakeClock();
    const masterKeys = threeKeys();
    let asked: KeyOperation | undefined;
    masterKeys[1].before = (operation) => {
      asked = operation;
      return silence();
    };
    const keyfold = keyfoldWith({ masterKeys, clock, ...atLeast(2) });
    const sealing = keyfold.seal("x", context);
    const seal = watch(sealing);
    await clock.advance(999);
    expect([seal.settled, asked?.signal.aborted]).toEqual([false, false]);
    await clock.advance(1);
    expect([seal.settled, asked?.signal.aborted]).toEqual([true, true]);
    expect(keyfold.inspect(await sealing).masterKeys).toEqual(["memory:a", "memory:c"]);
  });

  test("fails as soon as too many have failed, without retrying a denial or waiting for a silent one", async () => {
    const masterKeys = threeKeys();
    masterKeys[0].before = silence;
    masterKeys[1].failing = "ERR_MASTER_KEY_DISABLED";
    masterKeys[2].failing = "ERR_MASTER_KEY_DISABLED";
    const keyfold = keyfoldWith({ masterKeys, clock: new FakeClock(), ...atLeast(2) });
    const error = await rejection(keyfold.seal("x", context));
    expect(error.code).toBe("ERR_MASTER_KEY_DISABLED");
    expect(masterKeys.map(({ wraps }) => wraps)).toEqual([1, 1, 1]);
  });
});

describe("a keyfold that was not made for it", () => {
  test("does not seal without masterKeys", async () => {
    const kms = new MemoryKms();
    const keyfold = keyfoldWith({ openWith: kms });
    const sealed = await sealedBy(kms);
    for (const action of [
      keyfold.seal("x", context),
      keyfold.sealText("x", context),
      keyfold.rewrap(sealed),
      keyfold.ready(),
    ])
      expect((await rejection(action)).code).toBe("ERR_NOT_CONFIGURED");
    expect(() => keyfold.sealSync("x", context)).toThrow(
      expect.objectContaining({ code: "ERR_NOT_CONFIGURED" }),
    );
    expect(await keyfold.openText(sealed, context)).toBe("secret");
  });

  test("does not open with sealOnly, not even what it sealed itself", async () => {
    const kms = new MemoryKms();
    const keyfold = keyfoldWith({ masterKeys: kms, sealOnly: true });
    const sealed = await keyfold.seal("x", context);
    for (const action of [
      keyfold.open(sealed, context),
      keyfold.openText(sealed, context),
      keyfold.rewrap(sealed),
      keyfold.ready([sealed]),
    ])
      expect((await rejection(action)).code).toBe("ERR_NOT_CONFIGURED");
    expect(() => keyfold.openSync(sealed, context)).toThrow(
      expect.objectContaining({ code: "ERR_NOT_CONFIGURED" }),
    );
    expect(kms.unwraps).toBe(0);
  });
});

describe("rewrap", () => {
  /** A keyfold that moves from one master key to another, and what the first sealed. */
  async function moving(plaintext = "secret") {
    const [before, after] = threeKeys();
    const keyfold = keyfoldWith({ masterKeys: after, openWith: before });
    return { before, after, keyfold, sealed: await sealedBy(before, plaintext) };
  }

  test("leaves the message as it is, byte for byte, under the new master key alone", async () => {
    const { after, keyfold, sealed } = await moving("x".repeat(20_000));
    const rewrapped = await keyfold.rewrap(sealed);
    const [old, now] = [keyfold.inspect(sealed), keyfold.inspect(rewrapped)];
    expect(now.masterKeys).toEqual(["memory:b"]);
    expect(now.messageBytes).toBe(old.messageBytes);
    expect(rewrapped.subarray(now.headerBytes)).toEqual(sealed.subarray(old.headerBytes));
    expect(await keyfoldWith({ openWith: after }).openText(rewrapped, context)).toBe("x".repeat(20_000));
  });

  test("shares no key with the old header: the old master key does not open the new one", async () => {
    const { before, keyfold, sealed } = await moving();
    const rewrapped = await keyfold.rewrap(sealed);
    const error = await rejection(keyfoldWith({ openWith: before }).open(rewrapped, context));
    expect(error.code).toBe("ERR_NO_USABLE_WRAP");
  });

  test("draws a nonce for every header", async () => {
    const { keyfold, sealed } = await moving();
    const [first, second] = [await keyfold.rewrap(sealed), await keyfold.rewrap(sealed)];
    const { headerBytes } = keyfold.inspect(first);
    expect(first.subarray(headerBytes - 60, headerBytes - 48)).not.toEqual(
      second.subarray(headerBytes - 60, headerBytes - 48),
    );
  });

  test("gives text for text and bytes for bytes, and both open", async () => {
    const { before, after, keyfold } = await moving();
    const text = await keyfoldWith({ masterKeys: before }).sealText("secret", context);
    const rewrapped = await keyfold.rewrap(text);
    expect(rewrapped).toMatch(/^kf1\./);
    expect(await keyfoldWith({ openWith: after }).openText(rewrapped, context)).toBe("secret");
    expect(await keyfold.rewrap(await sealedBy(before))).toBeInstanceOf(Uint8Array);
  });

  test("is what needsRewrap asks for: before it true, after it false, and no call is made to know", async () => {
    const { before, after, keyfold, sealed } = await moving();
    expect(() => keyfold.needsRewrap(sealed)).toThrow(expect.objectContaining({ code: "ERR_NOT_READY" }));
    await keyfold.ready();
    expect(keyfold.needsRewrap(sealed)).toBe(true);
    expect(before.unwraps + after.unwraps).toBe(0);
    expect(keyfold.needsRewrap(await keyfold.rewrap(sealed))).toBe(false);
  });

  test("needsRewrap compares sets of master keys: more, fewer and others differ, order and KDK do not", async () => {
    const [a, b, c] = threeKeys();
    const keyfold = keyfoldWith({ masterKeys: [a, b] });
    await keyfold.ready();
    const needs = async (...keys: MemoryKms[]) => keyfold.needsRewrap(await sealedBy(keys));
    expect([await needs(a, b), await needs(b, a)]).toEqual([false, false]);
    expect([await needs(a), await needs(a, b, c), await needs(a, c)]).toEqual([true, true, true]);
  });

  test("moves an envelope to the scope that it is called in, but opens it in no other", async () => {
    const kms = new MemoryKms();
    const keyfold = keyfoldWith({ masterKeys: kms });
    const sealed = await keyfold.scoped("tenant").seal("secret", context);
    expect((await rejection(keyfold.rewrap(sealed))).code).toBe("ERR_HEADER_REJECTED");
    const rewrapped = await keyfold.scoped("tenant").rewrap(sealed);
    expect(await keyfold.scoped("tenant").openText(rewrapped, context)).toBe("secret");
  });

  test("writes the present KMS context", async () => {
    const masterKeys = new MemoryKms();
    const [old, present] = [{ env: "old" }, { env: "present" }];
    const sealed = await keyfoldWith({ masterKeys, kmsContext: old }).seal("secret", context);
    const keyfold = keyfoldWith({ masterKeys, kmsContext: present, openKmsContexts: [old] });
    const rewrapped = await keyfold.rewrap(sealed);
    const reader = keyfoldWith({ openWith: masterKeys, kmsContext: present });
    expect(await reader.openText(rewrapped, context)).toBe("secret");
    expect((await rejection(reader.open(sealed, context))).code).toBe("ERR_MASTER_KEY_REJECTED");
  });
});

describe("KMS contexts", () => {
  const masterKeys = new MemoryKms();
  const sealedUnder = (kmsContext: Record<string, string>) =>
    keyfoldWith({ masterKeys, kmsContext }).seal("secret", context);

  test("the project and the purpose are part of it, beside the user's own", async () => {
    const kms = new MemoryKms();
    const seen: KeyOperation[] = [];
    kms.before = (operation) => {
      seen.push(operation);
    };
    const options = { masterKeys: kms, project: "billing/prod", kmsContext: { env: "prod" } };
    await keyfoldWith(options).open(await keyfoldWith(options).seal("x", context), context);
    const expected = { env: "prod", "keyfold:project": "billing/prod", "keyfold:purpose": "kdk" };
    expect(seen.map((operation) => operation.context)).toEqual([expected, expected]);
  });

  test("a wrap under another one is refused by the master key", async () => {
    const keyfold = keyfoldWith({ masterKeys, kmsContext: { env: "two" } });
    const error = await rejection(keyfold.open(await sealedUnder({ env: "one" }), context));
    expect(error.code).toBe("ERR_MASTER_KEY_REJECTED");
  });

  test("older ones are tried after the present one, each with a call", async () => {
    const openKmsContexts = [{ env: "two" }, { env: "one" }];
    const keyfold = keyfoldWith({ masterKeys, kmsContext: { env: "three" }, openKmsContexts });
    for (const [env, calls] of Object.entries({ three: 1, two: 2, one: 3 })) {
      const before = masterKeys.unwraps;
      expect(await keyfold.openText(await sealedUnder({ env }), context)).toBe("secret");
      expect(masterKeys.unwraps - before).toBe(calls);
    }
  });

  test("older ones are not tried where the master key's answer is another than 'not right'", async () => {
    const kms = new MemoryKms();
    const sealed = await sealedBy(kms);
    kms.failing = "ERR_MASTER_KEY_DENIED";
    const keyfold = keyfoldWith({ masterKeys: kms, openKmsContexts: [{ env: "old" }] });
    expect((await rejection(keyfold.open(sealed, context))).code).toBe("ERR_MASTER_KEY_DENIED");
    expect(kms.unwraps).toBe(1);
  });
});

describe("a master key that is silent", () => {
  async function slowFirst() {
    const clock = new FakeClock();
    const masterKeys = threeKeys();
    const sealed = await sealedBy(masterKeys);
    const operations: KeyOperation[] = [];
    const gate = new Gate();
    masterKeys[0].before = (operation) => {
      operations.push(operation);
      return gate.opened;
    };
    return { clock, masterKeys, sealed, operations, gate, keyfold: keyfoldWith({ masterKeys, clock }) };
  }

  test("is left running after one second while the next is asked; that one wins and the first is aborted", async () => {
    const { clock, masterKeys, sealed, operations, keyfold } = await slowFirst();
    const opening = keyfold.openText(sealed, context);
    await clock.advance(999);
    expect(masterKeys.map(({ unwraps }) => unwraps)).toEqual([1, 0, 0]);
    await clock.advance(1);
    expect(await opening).toBe("secret");
    expect(masterKeys.map(({ unwraps }) => unwraps)).toEqual([1, 1, 0]);
    expect(operations[0]?.signal.aborted).toBe(true);
  });

  test("may still win, and the later one is then aborted", async () => {
    const { clock, masterKeys, sealed, gate, keyfold } = await slowFirst();
    let second: KeyOperation | undefined;
    masterKeys[1].before = (operation) => {
      second = operation;
      return silence();
    };
    const opening = keyfold.openText(sealed, context);
    await clock.advance(1_500);
    expect(second?.signal.aborted).toBe(false);
    gate.open();
    expect(await opening).toBe("secret");
    expect(second?.signal.aborted).toBe(true);
    expect(masterKeys[2].unwraps).toBe(0);
  });

  test("is followed by the third after another second, and at once when the second refuses", async () => {
    const { clock, masterKeys, sealed, keyfold } = await slowFirst();
    masterKeys[1].before = silence;
    const opening = keyfold.openText(sealed, context);
    await clock.advance(1_999);
    expect(masterKeys[2].unwraps).toBe(0);
    await clock.advance(1);
    expect(await opening).toBe("secret");

    const other = await slowFirst();
    other.masterKeys[1].failing = "ERR_MASTER_KEY_DENIED";
    const reopening = other.keyfold.openText(other.sealed, context);
    await other.clock.advance(1_000);
    expect(await reopening).toBe("secret");
  });

  test("that answers after the deadline gave its key to nobody: the array is wiped", async () => {
    const clock = new FakeClock();
    const kms = new SpyKms();
    const sealed = await sealedBy(kms);
    const gate = new Gate();
    kms.before = () => gate.opened;
    kms.unwrapKey = ignoringAbort(kms);
    const opening = rejection(keyfoldWith({ masterKeys: kms, clock }).open(sealed, context));
    await clock.advance(5 * SECOND);
    expect((await opening).code).toBe("ERR_MASTER_KEY_UNAVAILABLE");
    expect(kms.given).toHaveLength(0);
    gate.open();
    await settled();
    expect(kms.given).toEqual([new Uint8Array(32)]);
  });
});

describe("what a failed open says", () => {
  const codes: KeyfoldErrorCode[] = [
    "ERR_MASTER_KEY_DENIED",
    "ERR_MASTER_KEY_NOT_FOUND",
    "ERR_MASTER_KEY_DISABLED",
    "ERR_MASTER_KEY_REJECTED",
    "ERR_MASTER_KEY_BAD_REPLY",
    "ERR_CREDENTIALS",
  ];

  test.each(codes)(
    "of one that was tried, %s: its own code and its own attempt, after a single call",
    async (code) => {
      const masterKeys = new MemoryKms();
      const sealed = await sealedBy(masterKeys);
      masterKeys.failing = code;
      const keyfold = keyfoldWith({ masterKeys, clock: new FakeClock() });
      const error = await rejection(keyfold.open(sealed, context));
      expect([error.code, error.retryable]).toEqual([code, false]);
      expect(error.message).toContain("memory:one");
      expect(error.attempts).toEqual([
        { provider: "memory:one", masterKey: "memory:one", error: expect.objectContaining({ code }) },
      ]);
      expect(masterKeys.unwraps).toBe(1);
    },
  );

  test("of several: ERR_UNWRAP_FAILED, with each of them and why, in the message too", async () => {
    const masterKeys = threeKeys();
    const sealed = await sealedBy(masterKeys);
    const failing: KeyfoldErrorCode[] = [
      "ERR_MASTER_KEY_DENIED",
      "ERR_CREDENTIALS",
      "ERR_MASTER_KEY_DISABLED",
    ];
    for (const [i, kms] of masterKeys.entries()) kms.failing = failing[i];
    const error = await rejection(keyfoldWith({ masterKeys }).open(sealed, context));
    expect([error.code, error.retryable]).toEqual(["ERR_UNWRAP_FAILED", false]);
    expect(error.attempts?.map((attempt) => [attempt.provider, attempt.error.code])).toEqual([
      ["memory:a", failing[0]],
      ["memory:b", failing[1]],
      ["memory:c", failing[2]],
    ]);
    for (const { provider, error: reason } of error.attempts ?? [])
      expect(error.message).toContain(`${provider}: ${reason.code}`);
  });

  test("of several it is retryable as soon as one of them is", async () => {
    const clock = new FakeClock();
    const masterKeys = threeKeys();
    const sealed = await sealedBy(masterKeys);
    masterKeys[0].failing = "ERR_MASTER_KEY_DENIED";
    masterKeys[1].failing = "ERR_MASTER_KEY_UNAVAILABLE";
    masterKeys[2].failing = "ERR_MASTER_KEY_DISABLED";
    const opening = rejection(keyfoldWith({ masterKeys, clock }).open(sealed, context));
    await clock.advance(5 * SECOND);
    const error = await opening;
    expect([error.code, error.retryable]).toEqual(["ERR_UNWRAP_FAILED", true]);
    expect(error.attempts).toHaveLength(3);
  });

  test("an unwrapped key of another id is no key, and is not kept", async () => {
    const masterKeys = new MemoryKms();
    const [one, two] = [await sealedBy(masterKeys), await sealedBy(masterKeys)];
    const keyfold = keyfoldWith({ masterKeys });
    const { kdkId } = keyfold.inspect(two);
    const swapped = one.slice();
    swapped.set(Buffer.from(kdkId, "base64url"), 4);
    expect((await rejection(keyfold.open(swapped, context))).code).toBe("ERR_KEY_MISMATCH");
    expect(keyfold.stats().kdks).toBe(0);
  });
});

describe("an outage", () => {
  test.each(["ERR_MASTER_KEY_THROTTLED", "ERR_MASTER_KEY_UNAVAILABLE"] as const)(
    "with %s is retried until the deadline, which names the last error",
    async (code) => {
      const clock = new FakeClock();
      const masterKeys = new MemoryKms();
      const sealed = await sealedBy(masterKeys);
      masterKeys.failing = code;
      const operations = {
        open: (keyfold: ReturnType<typeof keyfoldWith>) => keyfold.open(sealed, context),
        seal: (keyfold: ReturnType<typeof keyfoldWith>) => keyfold.seal("x", context),
      };
      for (const operation of Object.values(operations)) {
        const calls = masterKeys.unwraps + masterKeys.wraps;
        const result = rejection(operation(keyfoldWith({ masterKeys, clock })));
        const watched = watch(result);
        await clock.advance(5 * SECOND - 1);
        expect(watched.settled).toBe(false);
        await clock.advance(1);
        const error = await result;
        expect([error.code, error.retryable]).toEqual(["ERR_MASTER_KEY_UNAVAILABLE", true]);
        expect(error.message).toContain("deadline of 5000 ms");
        expect(causes(error).at(-1)).toMatchObject({ code });
        expect(causes(error).length).toBeGreaterThan(1);
        expect(masterKeys.unwraps + masterKeys.wraps - calls).toBeGreaterThan(2);
      }
    },
  );

  test("that ends in time is not noticed but for the pause", async () => {
    const clock = new FakeClock();
    const masterKeys = new MemoryKms();
    const sealed = await sealedBy(masterKeys);
    masterKeys.failing = "ERR_MASTER_KEY_THROTTLED";
    const keyfold = keyfoldWith({ masterKeys, clock });
    const opening = keyfold.openText(sealed, context);
    await clock.advance(500);
    masterKeys.failing = undefined;
    await clock.advance(2 * SECOND);
    expect(await opening).toBe("secret");
    expect(keyfold.stats().unwrapCalls).toBe(masterKeys.unwraps);
  });

  test("is left alone for as long as the service asked, for every operation", async () => {
    const clock = new FakeClock();
    const masterKeys = new MemoryKms();
    const [first, second] = [await sealedBy(masterKeys), await sealedBy(masterKeys)];
    masterKeys.before = () => {
      masterKeys.before = undefined;
      throw new KeyfoldError("ERR_MASTER_KEY_THROTTLED", undefined, { retryAfter: 3_000 });
    };
    const keyfold = keyfoldWith({ masterKeys, clock });
    const opening = [keyfold.openText(first, context)];
    await settled();
    opening.push(keyfold.openText(second, context));
    await clock.advance(2_999);
    expect(masterKeys.unwraps).toBe(1);
    await clock.advance(1);
    expect(await Promise.all(opening)).toEqual(["secret", "secret"]);
    expect(masterKeys.unwraps).toBe(3);
  });

  test("of one master key leaves the others alone", async () => {
    const clock = new FakeClock();
    const masterKeys = threeKeys();
    const sealed = await sealedBy(masterKeys);
    masterKeys[0].failing = "ERR_MASTER_KEY_UNAVAILABLE";
    const opening = keyfoldWith({ masterKeys, clock }).openText(sealed, context);
    await clock.advance(SECOND);
    expect(await opening).toBe("secret");
    expect(masterKeys[1].unwraps).toBe(1);
  });

  test("with a deadline of the user's own ends then", async () => {
    const clock = new FakeClock();
    const masterKeys = new MemoryKms();
    masterKeys.before = silence;
    const sealing = rejection(keyfoldWith({ masterKeys, clock, deadline: 250 }).seal("x", context));
    await clock.advance(250);
    expect((await sealing).code).toBe("ERR_MASTER_KEY_UNAVAILABLE");
  });
});

describe("a provider that does not keep the contract", () => {
  const boom = new Error("boom");
  const badUnwraps: Record<string, unknown> = {
    nothing: undefined,
    null: null,
    text: "k".repeat(32),
    "a number": 32,
    "an array of numbers": Array.from({ length: 32 }, () => 1),
    "an object": { length: 32 },
    "an ArrayBuffer": new ArrayBuffer(32),
    "no bytes": new Uint8Array(0),
    "31 bytes": new Uint8Array(31),
    "33 bytes": new Uint8Array(33),
    "64 bytes": new Uint8Array(64),
  };

  test.each(Object.entries(badUnwraps))("and unwraps %s gave a bad reply", async (_, reply) => {
    const kms = new MemoryKms();
    const sealed = await sealedBy(kms);
    const error = await rejection(
      keyfoldWith({ openWith: faulty(kms, { unwrapKey: async () => reply }) }).open(sealed, context),
    );
    expect(error.code).toBe("ERR_MASTER_KEY_BAD_REPLY");
  });

  const ciphertext = new Uint8Array(60);
  const badWraps: Record<string, unknown> = {
    nothing: undefined,
    null: null,
    bytes: ciphertext,
    "no URI": { ciphertext },
    "an empty URI": { masterKey: "", ciphertext },
    "a URI with a space": { masterKey: "memory: one", ciphertext },
    "a URI beyond ASCII": { masterKey: "memory:é", ciphertext },
    "a URI of 1,025 characters": { masterKey: "m".repeat(1_025), ciphertext },
    "a URI that is no string": { masterKey: 1, ciphertext },
    "no ciphertext": { masterKey: "memory:one" },
    "an empty ciphertext": { masterKey: "memory:one", ciphertext: new Uint8Array(0) },
    "65,536 bytes of ciphertext": { masterKey: "memory:one", ciphertext: new Uint8Array(65_536) },
    "ciphertext that is text": { masterKey: "memory:one", ciphertext: "sealed" },
    "ciphertext that is a number": { masterKey: "memory:one", ciphertext: 60 },
    "ciphertext that is an array": { masterKey: "memory:one", ciphertext: [1, 2, 3] },
  };

  test.each(Object.entries(badWraps))("and wraps to %s gave a bad reply", async (_, reply) => {
    const masterKeys = faulty(new MemoryKms("memory:one", { recognizes: () => true }), {
      wrapKey: async () => reply,
    });
    const error = await rejection(keyfoldWith({ masterKeys }).seal("x", context));
    expect(error.code).toBe("ERR_MASTER_KEY_BAD_REPLY");
  });

  test("and wraps under a URI that it would not take back gave a bad reply", async () => {
    const masterKeys = faulty(new MemoryKms(), {
      wrapKey: async () => ({ masterKey: "memory:other", ciphertext }),
    });
    const error = await rejection(keyfoldWith({ masterKeys }).seal("x", context));
    expect(error.code).toBe("ERR_MASTER_KEY_BAD_REPLY");
  });

  const failures: Record<string, () => unknown> = {
    "throws at once": () => {
      throw boom;
    },
    "rejects with an error of its own": () => Promise.reject(boom),
  };

  test.each(Object.entries(failures))("and %s gave a bad reply, with its error as cause", async (_, fail) => {
    const kms = new MemoryKms();
    const sealed = await sealedBy(kms);
    const keyfold = keyfoldWith({ masterKeys: faulty(kms, { wrapKey: fail, unwrapKey: fail }) });
    for (const operation of [keyfold.open(sealed, context), keyfold.seal("x", context)]) {
      const error = await rejection(operation);
      expect(error.code).toBe("ERR_MASTER_KEY_BAD_REPLY");
      expect(causes(error)).toContain(boom);
    }
  });

  test("does not stand in the way of the next one", async () => {
    const [bad, good] = threeKeys();
    const sealed = await sealedBy([bad, good]);
    for (const unwrapKey of [async () => "rubbish", ...Object.values(failures)]) {
      const keyfold = keyfoldWith({ openWith: [faulty(bad, { unwrapKey }), good] });
      expect(await keyfold.openText(sealed, context)).toBe("secret");
    }
  });

  test("and changes the ciphertext that it was given changes its own copy", async () => {
    const [bad, good] = threeKeys();
    const sealed = await sealedBy([bad, good]);
    const intact = sealed.slice();
    const keyfold = keyfoldWith({
      openWith: [
        faulty(bad, {
          unwrapKey: async (wrapped: { ciphertext: Uint8Array }) => {
            wrapped.ciphertext.fill(0);
            throw boom;
          },
        }),
        good,
      ],
    });
    expect(await keyfold.openText(sealed, context)).toBe("secret");
    expect(sealed).toEqual(intact);
  });

  test("and goes on using the ciphertext that it returned changes no envelope", async () => {
    const kms = new MemoryKms();
    const returned: Uint8Array[] = [];
    const masterKeys = faulty(kms, {
      wrapKey: async (key: Uint8Array, operation: KeyOperation) => {
        const wrap = await kms.wrapKey(key, operation);
        returned.push(wrap.ciphertext);
        return wrap;
      },
    });
    const keyfold = keyfoldWith({ masterKeys });
    await keyfold.ready();
    for (const bytes of returned) bytes.fill(0);
    expect(wrapsOf(await keyfold.seal("x", context))[0]?.ciphertext.some((byte) => byte !== 0)).toBe(true);
  });
});

describe("load", () => {
  test("is awaited before the first call, once, and before the deadline starts", async () => {
    const clock = new FakeClock();
    const kms = new MemoryKms();
    const gate = new Gate();
    const load = vi.fn(() => gate.opened);
    const keyfold = keyfoldWith({ masterKeys: loading(kms, load), clock });
    const sealing = Promise.all([keyfold.seal("x", context), keyfold.seal("y", context)]);
    await clock.advance(60 * SECOND);
    expect(kms.wraps).toBe(0);
    gate.open();
    await keyfoldWith({ openWith: kms }).open((await sealing)[0], context);
    await keyfold.ready();
    expect(load).toHaveBeenCalledTimes(1);
  });

  test("is not waited for by a caller who gave up", async () => {
    const keyfold = keyfoldWith({ masterKeys: loading(new MemoryKms(), silence) });
    const controller = new AbortController();
    const sealing = rejection(keyfold.seal("x", context, { signal: controller.signal }));
    controller.abort();
    expect((await sealing).code).toBe("ERR_ABORTED");
  });

  test("that fails affects only that master key, and is tried again later", async () => {
    const [broken, sound] = threeKeys();
    const sealed = [await sealedBy([broken, sound]), await sealedBy(broken)] as const;
    let missing = true;
    const load = async () => {
      if (missing) throw new KeyfoldError("ERR_IO", "The SDK is not installed.");
    };
    const keyfold = keyfoldWith({ openWith: [loading(broken, load), sound] });
    expect(await keyfold.openText(sealed[0], context)).toBe("secret");
    expect((await rejection(keyfold.open(sealed[1], context))).code).toBe("ERR_IO");
    expect(broken.unwraps).toBe(0);
    missing = false;
    expect(await keyfold.openText(sealed[1], context)).toBe("secret");
  });
});

function later(clock: FakeClock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimeout(resolve, ms);
  });
}

/** The same master key, but for these methods, which need not be what a provider's are. */
function faulty(kms: MemoryKms, methods: Readonly<Record<string, unknown>>): MasterKeyProvider {
  const sound: MasterKeyProvider = {
    name: kms.name,
    authenticatesWraps: true,
    recognizes: (masterKey) => kms.recognizes(masterKey),
    wrapKey: (key, operation) => kms.wrapKey(key, operation),
    unwrapKey: (wrapped, operation) => kms.unwrapKey(wrapped, operation),
  };
  return Object.assign(sound, methods);
}

function loading(kms: MemoryKms, load: () => Promise<void>): MasterKeyProvider {
  return faulty(kms, { load });
}

/** `unwrapKey` of a client that goes on whatever its signal says. */
function ignoringAbort(kms: SpyKms): SpyKms["unwrapKey"] {
  const unwrapKey = SpyKms.prototype.unwrapKey.bind(kms);
  return (wrapped, operation) => unwrapKey(wrapped, { ...operation, signal: new AbortController().signal });
}
