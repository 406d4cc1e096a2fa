/** How long the keys of a keyring stay in memory, and what the KMS's answers do to them. */

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { inspect, promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { KeyfoldErrorCode } from "../src/errors.ts";
import { createKeyfold } from "../src/keyfold.ts";
import type { OpenKeyringOptions } from "../src/keyring.ts";
import {
  causes,
  context,
  Gate,
  HOUR,
  keyfoldWith,
  MINUTE,
  rejection,
  SECOND,
  SpyKms,
} from "./support/behaviour.ts";
import { FakeClock, settled } from "./support/fake-clock.ts";
import { lab, project } from "./support/keyring-lab.ts";
import { MemoryKms } from "./support/memory-kms.ts";
import { refusalOf } from "./support/refusal.ts";

async function running(options: Partial<OpenKeyringOptions> = {}) {
  const clock = new FakeClock();
  const one = await lab(undefined, clock);
  const keyring = await one.open(options);
  const keyfold = keyfoldWith({ keyring, clock });
  const sealed = await keyfold.seal("secret", context);
  const unwraps = one.kms.unwraps;
  const use = () => {
    keyfold.sealSync("x", context);
    keyfold.openSync(sealed, context);
  };
  /** One use a second, for so long. */
  const useFor = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += SECOND) {
      await clock.advance(SECOND);
      use();
    }
    await settled();
  };
  return { ...one, clock, keyring, keyfold, sealed, unwraps, use, useFor };
}

/** The code that a synchronous seal is refused with, and that of its cause. */
function lossOf(seal: () => unknown): (KeyfoldErrorCode | undefined)[] {
  const error = refusalOf(seal);
  return causes(error).map((cause) => (cause as { code?: KeyfoldErrorCode }).code);
}

describe("the keyring key is confirmed", () => {
  test("past refreshAfter, by the first use, once, in the background", async () => {
    const { clock, kms, unwraps, use } = await running();
    await clock.advance(15 * MINUTE - 1);
    use();
    await settled();
    expect(kms.unwraps).toBe(unwraps);
    await clock.advance(1);
    for (let i = 0; i < 100; i++) use();
    await settled();
    expect(kms.unwraps).toBe(unwraps + 1);
    await clock.advance(15 * MINUTE - 1);
    use();
    await settled();
    expect(kms.unwraps).toBe(unwraps + 1);
  });

  test("with one call for all KDKs, scopes and keyfolds", async () => {
    const { clock, kms, keyring, keyfold, sealed, unwraps } = await running();
    await keyring.rotate();
    const others = [keyfoldWith({ keyring, clock }), keyfold.scoped("a"), keyfold.scoped("b")];
    await clock.advance(15 * MINUTE);
    for (const other of others) other.sealSync("x", context);
    keyfold.openSync(sealed, context);
    await settled();
    expect(kms.unwraps).toBe(unwraps + 1);
  });

  test("also where the machine slept", async () => {
    const { clock, kms, unwraps, use } = await running();
    clock.sleepMachine(16 * MINUTE);
    use();
    await settled();
    expect(kms.unwraps).toBe(unwraps + 1);
    clock.sleepMachine(24 * HOUR);
    expect(lossOf(use)[0]).toBe("ERR_NOT_READY");
  });
});

describe("a master key that was disabled", () => {
  test("stops seals and opens at once, within one refresh, and its KEKs are gone", async () => {
    const { kms, keyfold, sealed, use, useFor } = await running();
    kms.failing = "ERR_MASTER_KEY_DISABLED";
    await useFor(15 * MINUTE - SECOND);
    use();
    await expect(useFor(2 * SECOND)).rejects.toMatchObject({ code: "ERR_NOT_READY" });
    expect(lossOf(() => keyfold.sealSync("x", context))).toContain("ERR_MASTER_KEY_DISABLED");
    expect(lossOf(() => keyfold.openSync(sealed, context))).toContain("ERR_MASTER_KEY_DISABLED");
    expect(keyfold.stats()).toMatchObject({ kdks: 0, keks: 0 });
    for (const refused of [keyfold.seal("x", context), keyfold.open(sealed, context), keyfold.ready()])
      expect((await rejection(refused)).code).toBe("ERR_MASTER_KEY_DISABLED");
    kms.failing = undefined;
    expect(await keyfold.openText(sealed, context)).toBe("secret");
    use();
  });

  test("is not outlived by a change that was under way", async () => {
    const { kms, store, clock, keyring, keyfold, use } = await running();
    const gate = new Gate();
    store.beforeSave = () => gate.opened;
    const rotating = keyring.rotate();
    await settled();
    kms.failing = "ERR_MASTER_KEY_DISABLED";
    await clock.advance(4 * SECOND);
    clock.sleepMachine(15 * MINUTE);
    use();
    await settled();
    expect(keyfold.stats()).toMatchObject({ kdks: 0, keks: 0 });
    gate.open();
    expect((await rotating).keys).toHaveLength(2);
    expect(lossOf(() => keyfold.sealSync("x", context))).toContain("ERR_MASTER_KEY_DISABLED");
    expect((await rejection(keyfold.seal("x", context))).code).toBe("ERR_MASTER_KEY_DISABLED");
    kms.failing = undefined;
    expect(keyfold.inspect(await keyfold.seal("x", context)).kdkId).toBe((await rotating).keys[1]?.id);
  });

  test("that the keyring is not wrapped under any more says nothing", async () => {
    const { kms, clock, open } = await running();
    const next = new MemoryKms("memory:next");
    const keyring = await open({ masterKeys: [kms, next], reloadAfter: HOUR });
    const keyfold = keyfoldWith({ keyring, clock });
    const sealed = await keyfold.seal("secret", context);
    const writer = await open();
    await writer.addMasterKey(next);
    await writer.removeMasterKey(kms.uri);
    kms.failing = "ERR_MASTER_KEY_DISABLED";
    const { unwraps } = next;
    await clock.advance(16 * MINUTE);
    keyfold.openSync(sealed, context);
    await settled();
    expect(keyfold.openTextSync(sealed, context)).toBe("secret");
    expect(next.unwraps).toBe(unwraps + 1);
  });
});

describe("a master key that denies", () => {
  test.each(["ERR_MASTER_KEY_DENIED", "ERR_MASTER_KEY_NOT_FOUND"] as const)(
    "stops them at its second answer, 30 s after the first: %s",
    async (code) => {
      const { kms, keyfold, sealed, use, useFor, clock, unwraps } = await running();
      kms.failing = code;
      await useFor(15 * MINUTE + 29 * SECOND);
      expect(kms.unwraps).toBe(unwraps + 1);
      use();
      await clock.advance(SECOND);
      use();
      await settled();
      expect(kms.unwraps).toBe(unwraps + 2);
      expect(lossOf(() => keyfold.sealSync("x", context))).toContain(code);
      expect(lossOf(() => keyfold.openSync(sealed, context))).toContain(code);
      expect((await rejection(keyfold.open(sealed, context))).code).toBe(code);
    },
  );

  test("once, and then answers, stops nothing", async () => {
    const { kms, clock, useFor } = await running();
    kms.failing = "ERR_MASTER_KEY_DENIED";
    await useFor(15 * MINUTE + 10 * SECOND);
    kms.failing = undefined;
    await useFor(15 * MINUTE);
    kms.failing = "ERR_MASTER_KEY_DENIED";
    await clock.advance(10 * MINUTE);
    await useFor(20 * SECOND);
  });
});

describe("a master key that cannot be reached", () => {
  test.each([
    "ERR_MASTER_KEY_UNAVAILABLE",
    "ERR_MASTER_KEY_THROTTLED",
    "ERR_CREDENTIALS",
    "ERR_MASTER_KEY_BAD_REPLY",
  ] as const)("stops nothing before expireAfter, and all then: %s", async (code) => {
    const { kms, keyfold, clock, sealed, use } = await running();
    kms.failing = code;
    for (let quarter = 0; quarter < 4 * 24 - 1; quarter++) {
      await clock.advance(15 * MINUTE);
      use();
    }
    await clock.advance(15 * MINUTE - 1);
    use();
    await clock.advance(1);
    expect(refusalOf(use).code).toBe("ERR_NOT_READY");
    expect(keyfold.stats()).toMatchObject({ kdks: 0, keks: 0 });
    kms.failing = undefined;
    const opening = keyfold.openText(sealed, context);
    await clock.advance(3 * SECOND);
    expect(await opening).toBe("secret");
    use();
  });

  test("for an hour loses no seal and no open, and is asked about once a minute at most", async () => {
    const { kms, keyfold, clock, sealed, use, useFor } = await running();
    await useFor(14 * MINUTE);
    kms.failing = "ERR_MASTER_KEY_UNAVAILABLE";
    await useFor(HOUR);
    kms.failing = undefined;
    await clock.advance(MINUTE);
    use();
    await settled();
    const { unwraps } = kms;
    await useFor(10 * MINUTE);
    expect(kms.unwraps).toBe(unwraps);
    expect(await keyfold.openText(sealed, context)).toBe("secret");
  });

  test("says in the end what was last heard from it, and by which name", async () => {
    const { kms, clock, keyfold } = await running();
    await clock.advance(25 * HOUR);
    kms.failing = "ERR_MASTER_KEY_THROTTLED";
    const sealing = rejection(keyfold.seal("x", context));
    await clock.advance(6 * SECOND);
    const error = await sealing;
    expect([error.code, error.retryable]).toEqual(["ERR_MASTER_KEY_UNAVAILABLE", true]);
    expect(causes(error).map((cause) => (cause as { code?: string }).code)).toContain(
      "ERR_MASTER_KEY_THROTTLED",
    );
  });
});

describe("with two master keys", () => {
  async function two() {
    const clock = new FakeClock();
    const one = await lab(undefined, clock);
    const second = new MemoryKms("memory:second");
    await (await one.open()).addMasterKey(second);
    const keyfold = keyfoldWith({ keyring: await one.open({ masterKeys: [one.kms, second] }), clock });
    const sealed = await keyfold.seal("secret", context);
    return { ...one, second, clock, keyfold, sealed };
  }

  test("one that refuses does nothing while the other answers", async () => {
    const { kms, clock, keyfold, sealed } = await two();
    kms.failing = "ERR_MASTER_KEY_DISABLED";
    for (let hour = 0; hour < 48; hour++) {
      await clock.advance(HOUR);
      expect(keyfold.openTextSync(sealed, context)).toBe("secret");
      await settled();
    }
  });

  test("one that refuses decides where the other cannot be reached", async () => {
    const { kms, second, clock, keyfold, sealed } = await two();
    kms.failing = "ERR_MASTER_KEY_DISABLED";
    second.failing = "ERR_MASTER_KEY_UNAVAILABLE";
    await clock.advance(15 * MINUTE);
    keyfold.openSync(sealed, context);
    await clock.advance(6 * SECOND);
    expect(refusalOf(() => keyfold.openSync(sealed, context)).code).toBe("ERR_NOT_READY");
    const opening = rejection(keyfold.open(sealed, context));
    await clock.advance(6 * SECOND);
    const error = await opening;
    expect(error.code).toBe("ERR_UNWRAP_FAILED");
    expect(error.attempts?.map(({ provider, error: { code } }) => [provider, code])).toEqual([
      ["memory:kms", "ERR_MASTER_KEY_DISABLED"],
      ["memory:second", "ERR_MASTER_KEY_UNAVAILABLE"],
    ]);
  });
});

describe("keys that expired", () => {
  test("go from memory by themselves, and a keyfold that was idle opens again with one call", async () => {
    const { clock, kms, keyfold, sealed, unwraps } = await running();
    await clock.advance(25 * HOUR);
    expect(keyfold.stats()).toMatchObject({ kdks: 0, keks: 0 });
    await Promise.all(Array.from({ length: 1_000 }, () => keyfold.openText(sealed, context)));
    expect(kms.unwraps).toBe(unwraps + 1);
  });

  test("are not used for show or a change either: the KMS is asked", async () => {
    const { clock, kms, keyring } = await running({ expireAfter: HOUR, refreshAfter: 30 * MINUTE });
    clock.sleepMachine(2 * HOUR);
    kms.failing = "ERR_MASTER_KEY_DENIED";
    expect((await rejection(keyring.show())).code).toBe("ERR_MASTER_KEY_DENIED");
    expect((await rejection(keyring.rotate())).code).toBe("ERR_MASTER_KEY_DENIED");
  });
});

describe("1,000 callers at once", () => {
  test("that find no key in memory cause one read and one call", async () => {
    const { clock, kms, store, keyfold, sealed, unwraps } = await running();
    await clock.advance(25 * HOUR);
    const loads = store.loads;
    const gate = new Gate();
    kms.before = () => gate.opened;
    const callers = Array.from({ length: 1_000 }, (_, i) =>
      i % 2 === 0 ? keyfold.seal("x", context) : keyfold.open(sealed, context),
    );
    await settled();
    gate.open();
    await Promise.all(callers);
    expect([store.loads - loads, kms.unwraps - unwraps]).toEqual([1, 1]);
  });

  test("lose one who aborts, and only that one", async () => {
    const { clock, kms, keyfold, sealed } = await running();
    await clock.advance(25 * HOUR);
    const gate = new Gate();
    kms.before = () => gate.opened;
    const controller = new AbortController();
    const lost = keyfold.open(sealed, context, { signal: controller.signal });
    const others = Array.from({ length: 10 }, () => keyfold.openText(sealed, context));
    await settled();
    controller.abort();
    expect((await rejection(lost)).code).toBe("ERR_ABORTED");
    gate.open();
    expect(new Set(await Promise.all(others))).toEqual(new Set(["secret"]));
  });
});

describe("one keyring", () => {
  test("serves several keyfolds and scopes, which do not open each other's scope", async () => {
    const { clock, kms, keyring, unwraps } = await running();
    const a = keyfoldWith({ keyring, clock, scope: "a" });
    const b = keyfoldWith({ keyring, clock }).scoped("b");
    const sealed = await a.seal("secret", context);
    expect(await keyfoldWith({ keyring, clock }).scoped("a").openText(sealed, context)).toBe("secret");
    expect((await rejection(b.open(sealed, context))).code).toBe("ERR_HEADER_REJECTED");
    await a.close();
    expect(b.openTextSync(b.sealSync("x", context), context)).toBe("x");
    expect(kms.unwraps).toBe(unwraps);
  });

  test("may be given with masterKeys, which then wrap nothing", async () => {
    const { keyring, kms, clock } = await running();
    const keyfold = keyfoldWith({ keyring, masterKeys: kms, clock });
    const { wraps } = kms;
    expect((await keyfold.seal("secret", context)).length).toBe(168 + 6);
    expect(kms.wraps).toBe(wraps);
  });

  test("serves one who may only seal", async () => {
    const { keyring, sealed, clock, keyfold } = await running();
    const sealing = keyfoldWith({ keyring, clock, sealOnly: true });
    await sealing.ready();
    expect(await keyfold.openText(sealing.sealSync("secret", context), context)).toBe("secret");
    expect((await rejection(sealing.open(sealed, context))).code).toBe("ERR_NOT_CONFIGURED");
    await clock.advance(16 * MINUTE);
    sealing.sealSync("x", context);
    await settled();
    expect(sealing.stats().wrapCalls).toBe(0);
  });
});

describe("in the background", () => {
  const unhandled: unknown[] = [];
  const listen = (reason: unknown) => void unhandled.push(reason);

  beforeAll(() => void process.on("unhandledRejection", listen));
  afterAll(() => void process.off("unhandledRejection", listen));

  test("nothing rejects unhandled, whatever fails, and whenever it is closed", async () => {
    for (const code of [
      "ERR_MASTER_KEY_DISABLED",
      "ERR_MASTER_KEY_UNAVAILABLE",
      "ERR_MASTER_KEY_DENIED",
    ] as const) {
      for (const storeFails of [false, true]) {
        const { clock, kms, store, keyring, use } = await running();
        kms.failing = code;
        if (storeFails) store.failing = new Error("down");
        await clock.advance(16 * MINUTE);
        use();
        await clock.advance(2 * SECOND);
        await keyring.close();
        await clock.advance(HOUR);
        expect(clock.pending).toBe(0);
      }
    }
    expect(unhandled).toEqual([]);
  });

  test("nothing goes on after close, and an answer that comes late is not kept", async () => {
    const { clock, kms, store, keyring, keyfold, use } = await running();
    const gate = new Gate();
    kms.before = () => gate.opened;
    store.beforeLoad = () => gate.opened;
    await clock.advance(16 * MINUTE);
    use();
    await settled();
    await keyring.close();
    const calls = [store.loads, kms.unwraps];
    gate.open();
    await clock.advance(HOUR);
    expect([store.loads, kms.unwraps]).toEqual(calls);
    expect([clock.pending, keyfold.stats().kdks, keyfold.stats().keks]).toEqual([0, 0, 0]);
    expect(unhandled).toEqual([]);
  });

  test("no process is kept alive", async () => {
    const path = fileURLToPath(new URL("support/child-keyring-idle.ts", import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [path], { timeout: 20_000 });
    expect(stdout).toBe("1 unwrap and a load under way");
  });
});

describe("bytes of the keyring key", () => {
  test("that a master key lent or gave are wiped, whatever was done with them", async () => {
    const clock = new FakeClock();
    const one = await lab(undefined, clock);
    const keyring = await one.open();
    const second = new SpyKms("memory:second");
    await keyring.addMasterKey(second);
    await keyring.rewrap();
    await keyring.rekey();
    await keyring.verify();
    await keyring.removeMasterKey("memory:second");
    const keyfold = keyfoldWith({ keyring, clock });
    await clock.advance(16 * MINUTE);
    keyfold.sealSync("x", context);
    await settled();
    for (const kms of [one.kms, second]) {
      expect(kms.given.length).toBeGreaterThan(2);
      for (const bytes of [...kms.given, ...kms.lent]) expect(bytes.every((byte) => byte === 0)).toBe(true);
      expect(kms.keys.every((bytes) => bytes.some((byte) => byte !== 0))).toBe(true);
    }
  });

  test("are wiped where the answer comes when nobody waits any more", async () => {
    const clock = new FakeClock();
    const one = await lab(undefined, clock);
    const keyring = await one.open();
    const second = new SpyKms("memory:second");
    const gate = new Gate();
    const unwrapKey = second.unwrapKey.bind(second);
    second.unwrapKey = async (...given) => {
      const bytes = await unwrapKey(...given);
      await gate.opened;
      return bytes;
    };
    const adding = rejection(keyring.addMasterKey(second));
    await settled();
    await clock.advance(6 * SECOND);
    expect((await adding).code).toBe("ERR_MASTER_KEY_UNAVAILABLE");
    gate.open();
    await settled();
    expect(second.given.map((bytes) => bytes.every((byte) => byte === 0))).toEqual([true]);
  });

  test("and of KDKs are printed by nothing: not by a keyring, nor its keyfold, nor an error", async () => {
    const one = await lab();
    const keyring = await one.open();
    const keyfold = createKeyfold({ project, keyring });
    const sealed = await keyfold.seal("secret", context);
    await keyfold.open(sealed, context);
    one.kms.failing = "ERR_MASTER_KEY_DENIED";
    const errors = [await rejection(keyring.rewrap()), await rejection(one.open())];
    one.store.put("{}");
    errors.push(await rejection(keyring.show()));
    const secrets = [...one.kms.keys.map((bytes) => Buffer.from(bytes))];
    for (const [i, value] of [keyring, keyfold, ...errors, await keyring.verify().catch(String)].entries()) {
      const printed = inspect(value, { showHidden: true, depth: Number.POSITIVE_INFINITY, getters: true });
      for (const bytes of secrets) {
        for (const form of [
          bytes.toString("hex"),
          bytes.toString("base64"),
          [...bytes.subarray(0, 8)].join(", "),
        ])
          expect(printed.includes(form), `${i}`).toBe(false);
      }
    }
    expect(JSON.stringify(keyring)).toBe("{}");
  });
});
