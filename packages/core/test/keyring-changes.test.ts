/** What changes a keyring, and what becomes of changes at the same time. */

import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeBase64url } from "../src/bytes.ts";
import { KeyfoldError } from "../src/errors.ts";
import { encodeName, importKdk } from "../src/key-hierarchy.ts";
import { createKeyring, type Keyring, openKeyring } from "../src/keyring.ts";
import { sealKdk } from "../src/keyring-key.ts";
import { memoryKeyringStore } from "../src/keyring-store.ts";
import { context, Gate, keyfoldWith, MINUTE, rejection, SpyKms, watch } from "./support/behaviour.ts";
import { FakeClock, settled } from "./support/fake-clock.ts";
import { type Lab, lab, project, resigned } from "./support/keyring-lab.ts";
import { MemoryKms } from "./support/memory-kms.ts";

const encodedProject = encodeName("project", project);

async function retiredId(keyring: Keyring): Promise<string> {
  const [first] = (await keyring.rotate()).keys;
  return first?.id ?? "";
}

/** A keyring of so many keys, all but the last retired. */
function filled(one: Lab, count: number): string {
  return resigned(one, ({ keys }) => {
    const more = Array.from({ length: count - keys.length }, () => {
      const kdk = randomBytes(32);
      const { id } = importKdk(kdk, encodedProject);
      return { id, created: 1, state: "retired" as const, sealed: sealKdk(one.key, id, kdk) };
    });
    return { keys: [...more, ...keys] };
  });
}

describe("dryRun saves nothing, and says what would be", () => {
  test("of every change", async () => {
    const one = await lab();
    const keyring = await one.open();
    const id = await retiredId(keyring);
    const other = await retiredId(keyring);
    await keyring.destroy(other, { confirm: other });
    await keyring.addMasterKey(new MemoryKms("memory:second"));
    const { text } = one.store;
    const { saves } = one.store;
    const before = await keyring.show();
    const dryRun = true;
    const third = new MemoryKms("memory:third");
    const previews = {
      rotate: await keyring.rotate({ dryRun }),
      destroy: await keyring.destroy(id, { confirm: id, dryRun }),
      forget: await keyring.forget(other, { dryRun }),
      add: await keyring.addMasterKey(third, { dryRun }),
      remove: await keyring.removeMasterKey("memory:second", { dryRun }),
      rewrap: await keyring.rewrap({ dryRun }),
      rekey: await keyring.rekey({ dryRun }),
    };
    for (const preview of Object.values(previews)) expect(preview.sequence).toBe(before.sequence + 1);
    expect(previews.rotate.keys).toHaveLength(4);
    expect(previews.destroy.keys[0]?.state).toBe("destroyed");
    expect(previews.forget.keys).toHaveLength(2);
    expect(previews.add.masterKeys).toEqual(["memory:kms", "memory:second", "memory:third"]);
    expect(previews.remove.masterKeys).toEqual(["memory:kms"]);
    expect(previews.rekey.id).not.toBe(one.id);
    expect([one.store.text, one.store.saves]).toEqual([text, saves]);
    expect(await keyring.show()).toEqual(before);
    // A master key that was only tried is not among those that wrap.
    expect((await keyring.rewrap()).masterKeys.toSorted()).toEqual(before.masterKeys.toSorted());
  });
});

describe("destroy", () => {
  test("needs the id again, and takes no active key and no unknown one", async () => {
    const one = await lab();
    const keyring = await one.open();
    const id = await retiredId(keyring);
    const active = (await keyring.show()).keys[1]?.id ?? "";
    const { text } = one.store;
    const unknown = encodeBase64url(randomBytes(16));
    for (const [kdkId, confirm] of [
      [id, ""],
      [id, active],
      [active, active],
      [unknown, unknown],
      ["", ""],
    ] as const) {
      expect((await rejection(keyring.destroy(kdkId, { confirm }))).code).toBe("ERR_INVALID_ARGUMENT");
    }
    // @ts-expect-error: the options are required.
    expect((await rejection(keyring.destroy(id))).code).toBe("ERR_INVALID_ARGUMENT");
    expect(one.store.text).toBe(text);
  });

  test("leaves no byte of the key in the document, nor a KEK of it in memory", async () => {
    const one = await lab();
    const keyring = await one.open();
    const keyfold = keyfoldWith({ keyring });
    const sealed = await keyfold.seal("secret", context);
    const id = await retiredId(keyring);
    await keyfold.open(sealed, context);
    expect(keyfold.stats()).toMatchObject({ kdks: 2, keks: 1 });
    const summary = await keyring.destroy(id, { confirm: id });
    expect(summary.keys.map(({ state }) => state)).toEqual(["destroyed", "active"]);
    expect(JSON.parse(one.store.text).keys[0]).toMatchObject({ id, state: "destroyed", sealed: "" });
    expect(keyfold.stats()).toMatchObject({ kdks: 1, keks: 0 });
  });

  test("by another process reaches a keyfold that runs, with its KEKs, within reloadAfter", async () => {
    const clock = new FakeClock();
    const one = await lab(undefined, clock);
    const keyfold = keyfoldWith({ keyring: await one.open(), clock });
    const sealed = await keyfold.seal("secret", context);
    await keyfold.open(sealed, context);
    const writer = await one.open();
    const id = await retiredId(writer);
    await writer.destroy(id, { confirm: id });
    await clock.advance(60_000);
    keyfold.openSync(sealed, context);
    await settled();
    expect((await rejection(keyfold.open(sealed, context))).code).toBe("ERR_KEY_DESTROYED");
    expect(keyfold.stats().keks).toBe(0);
  });
});

test("forget takes a tombstone, and nothing else", async () => {
  const one = await lab();
  const keyring = await one.open();
  const id = await retiredId(keyring);
  expect((await rejection(keyring.forget(id))).code).toBe("ERR_INVALID_ARGUMENT");
  await keyring.destroy(id, { confirm: id });
  expect((await keyring.forget(id)).keys).toHaveLength(1);
  expect((await rejection(keyring.forget(id))).code).toBe("ERR_INVALID_ARGUMENT");
});

test("rotate is refused with 4,096 keys, and goes on after one was forgotten", async () => {
  const one = await lab();
  one.store.put(filled(one, 4_096));
  const keyring = await one.open();
  const { keys } = await keyring.show();
  expect(keys).toHaveLength(4_096);
  expect((await rejection(keyring.rotate())).code).toBe("ERR_KEYRING_FULL");
  expect((await rejection(keyring.rotate({ dryRun: true }))).code).toBe("ERR_KEYRING_FULL");
  const id = keys[7]?.id ?? "";
  await keyring.destroy(id, { confirm: id });
  expect((await rejection(keyring.rotate())).code).toBe("ERR_KEYRING_FULL");
  await keyring.forget(id);
  expect((await keyring.rotate()).keys).toHaveLength(4_096);
});

describe("a new wrap", () => {
  test("is unwrapped once before it is saved: one that does not give the key back is refused", async () => {
    const one = await lab();
    const keyring = await one.open();
    const { text } = one.store;
    const liar = new MemoryKms("memory:liar");
    liar.wrapKey = async (_, operation) => new MemoryKms("memory:liar").wrapKey(randomBytes(32), operation);
    expect((await rejection(keyring.addMasterKey(liar))).code).toBe("ERR_MASTER_KEY_REJECTED");
    const forgetful = new MemoryKms("memory:forgetful");
    const wrapKey = forgetful.wrapKey.bind(forgetful);
    forgetful.wrapKey = async (_, operation) => wrapKey(randomBytes(32), operation);
    expect((await rejection(keyring.addMasterKey(forgetful))).code).toBe("ERR_MASTER_KEY_BAD_REPLY");
    const strange = new MemoryKms("memory:strange");
    strange.unwrapKey = async () => undefined as never;
    expect((await rejection(keyring.addMasterKey(strange))).code).toBe("ERR_MASTER_KEY_BAD_REPLY");
    const creating = createKeyring({ project, store: memoryKeyringStore(), masterKeys: forgetful });
    expect((await rejection(creating)).code).toBe("ERR_MASTER_KEY_BAD_REPLY");
    expect(one.store.text).toBe(text);
  });

  test("under a master key that is there already is refused", async () => {
    const one = await lab();
    const keyring = await one.open();
    expect((await rejection(keyring.addMasterKey(one.kms))).code).toBe("ERR_INVALID_ARGUMENT");
  });

  test("is one of 16 at most", async () => {
    const one = await lab();
    const keyring = await one.open();
    for (let i = 1; i < 16; i++) await keyring.addMasterKey(new MemoryKms(`memory:${i}`));
    const error = await rejection(keyring.addMasterKey(new MemoryKms("memory:16")));
    expect(error.code).toBe("ERR_INVALID_ARGUMENT");
    expect((await keyring.show()).masterKeys).toHaveLength(16);
  });
});

describe("a master key that was added", () => {
  test("wraps from then on, also where it was given as openWith before", async () => {
    const one = await lab();
    const next = new MemoryKms("memory:next");
    const keyring = await one.open({ openWith: next });
    await keyring.addMasterKey(next);
    const { wraps } = next;
    await keyring.rewrap();
    expect(next.wraps).toBe(wraps + 1);
    expect((await keyring.rekey()).masterKeys.toSorted()).toEqual(["memory:kms", "memory:next"]);
  });

  test("opens the keyring alone once the old one is removed, in the same process too", async () => {
    const one = await lab();
    const keyring = await one.open();
    const next = new MemoryKms("memory:next");
    await keyring.addMasterKey(next);
    await keyring.removeMasterKey("memory:kms");
    one.kms.failing = "ERR_MASTER_KEY_DISABLED";
    expect((await keyring.rekey()).masterKeys).toEqual(["memory:next"]);
    expect((await rejection(one.open())).code).toBe("ERR_NO_USABLE_WRAP");
  });
});

describe("removeMasterKey", () => {
  test("refuses what is not there, and names what is", async () => {
    const one = await lab();
    const error = await rejection((await one.open()).removeMasterKey("memory:other"));
    expect(error.code).toBe("ERR_INVALID_ARGUMENT");
    expect(error.message).toContain("memory:kms");
  });

  test("refuses to leave only master keys that are not configured here", async () => {
    const one = await lab();
    await (await one.open()).addMasterKey(new MemoryKms("memory:next"));
    const keyring = await one.open();
    expect((await rejection(keyring.removeMasterKey("memory:kms"))).code).toBe("ERR_NO_USABLE_WRAP");
  });

  test("refuses to leave only unauthenticated wraps to readers without a pin", async () => {
    const one = await lab();
    const rsa = new MemoryKms("memory:rsa", { authenticatesWraps: false });
    const keyring = await one.open();
    await keyring.addMasterKey(rsa);
    expect((await rejection(keyring.removeMasterKey("memory:kms"))).code).toBe("ERR_UNAUTHENTICATED_WRAP");
    const pinned = await one.open({ masterKeys: [one.kms, rsa], pin: one.id });
    expect((await pinned.removeMasterKey("memory:kms")).masterKeys).toEqual(["memory:rsa"]);
  });
});

describe("rewrap and rekey", () => {
  test("rewrap replaces the wraps, and nothing else", async () => {
    const one = await lab();
    const keyring = await one.open();
    const before = JSON.parse(one.store.text);
    await keyring.rewrap();
    const after = JSON.parse(one.store.text);
    expect(after.wraps[0].wrapped).not.toBe(before.wraps[0].wrapped);
    expect({ ...after, wraps: 0, mac: 0 }).toEqual({ ...before, wraps: 0, mac: 0, sequence: 2 });
  });

  test("rewrap keeps the wraps of master keys that are not here, and of openWith", async () => {
    const one = await lab();
    const next = new MemoryKms("memory:next");
    await (await one.open()).addMasterKey(next);
    const stranger = JSON.parse(one.store.text).wraps[1];
    expect((await (await one.open()).rewrap()).masterKeys).toEqual(["memory:kms", "memory:next"]);
    await (await one.open({ openWith: next })).rewrap();
    expect(JSON.parse(one.store.text).wraps).toContainEqual(stranger);
  });

  test("are refused where no master key that wraps is one of the keyring's", async () => {
    const one = await lab();
    const keyring = await one.open({ masterKeys: new MemoryKms("memory:other"), openWith: one.kms });
    const { text } = one.store;
    expect((await rejection(keyring.rewrap())).code).toBe("ERR_NO_USABLE_WRAP");
    expect((await rejection(keyring.rekey())).code).toBe("ERR_NO_USABLE_WRAP");
    expect(one.store.text).toBe(text);
  });

  test("rekey locks no master key out unasked", async () => {
    const one = await lab();
    await (await one.open()).addMasterKey(new MemoryKms("memory:next"));
    const error = await rejection((await one.open()).rekey());
    expect(error.code).toBe("ERR_INVALID_ARGUMENT");
    expect(error.message).toContain("memory:next");
  });

  test("rekey keeps tombstones and every KDK, and touches each sealed KDK", async () => {
    const one = await lab();
    const keyring = await one.open();
    const id = await retiredId(keyring);
    await retiredId(keyring);
    await keyring.destroy(id, { confirm: id });
    const before = JSON.parse(one.store.text).keys;
    const { keys } = await keyring.rekey();
    expect(keys.map(({ state }) => state)).toEqual(["destroyed", "retired", "active"]);
    const after = JSON.parse(one.store.text).keys;
    expect(after[0]).toEqual(before[0]);
    for (const i of [1, 2]) {
      expect(after[i].id).toBe(before[i].id);
      expect(after[i].sealed).not.toBe(before[i].sealed);
    }
  });
});

describe("createKeyring", () => {
  test("never replaces one", async () => {
    const one = await lab();
    const { text } = one.store;
    const making = createKeyring({ project, store: one.store, masterKeys: one.kms });
    expect((await rejection(making)).code).toBe("ERR_KEYRING_CONFLICT");
    expect(one.store.text).toBe(text);
  });

  test("binds its wraps to the KMS context, and openKeyring takes that from the document", async () => {
    const kms = new MemoryKms();
    const contexts: unknown[] = [];
    kms.before = ({ context }) => void contexts.push(context);
    const store = memoryKeyringStore();
    const made = await createKeyring({ project, store, masterKeys: kms, kmsContext: { team: "payments" } });
    expect(made.kmsContext).toEqual({ team: "payments" });
    await (await openKeyring({ project, store, masterKeys: kms })).rewrap();
    const full = { team: "payments", "keyfold:project": project, "keyfold:purpose": "keyring" };
    for (const given of contexts) expect(given).toMatchObject(full);
    expect(contexts.length).toBeGreaterThan(3);
  });

  test.each([
    [{ project: "" }],
    [{ masterKeys: [] }],
    [{ store: {} }],
    [{ kmsContext: { "keyfold:project": "other" } }],
    [{ pin: "x" }],
    [{ deadline: 0 }],
  ])("refuses %j", async (wrong) => {
    const store = memoryKeyringStore();
    const options = { project, store, masterKeys: new MemoryKms(), ...wrong } as never;
    expect((await rejection(createKeyring(options))).code).toBe("ERR_INVALID_ARGUMENT");
    expect(await store.load()).toBeUndefined();
  });
});

describe("a save", () => {
  test("that fails changes nothing, also in memory", async () => {
    const one = await lab();
    const keyring = await one.open();
    const keyfold = keyfoldWith({ keyring });
    one.store.beforeSave = () => {
      throw new Error("disk full");
    };
    const error = await rejection(keyring.rotate());
    expect([error.code, error.retryable]).toEqual(["ERR_KEYRING_UNAVAILABLE", true]);
    expect(error.cause).toEqual(new Error("disk full"));
    expect((await keyring.show()).keys).toHaveLength(1);
    expect(keyfold.inspect(await keyfold.seal("x", context)).kdkId).toBe((await keyring.show()).keys[0]?.id);
  });

  test("that the store never answers ends with the deadline", async () => {
    const clock = new FakeClock();
    const one = await lab(undefined, clock);
    const keyring = await one.open();
    const gate = new Gate();
    one.store.beforeSave = () => gate.opened;
    const rotating = keyring.rotate();
    const watched = watch(rotating);
    await clock.advance(4_999);
    expect(watched.settled).toBe(false);
    await clock.advance(2);
    expect((await rejection(rotating)).code).toBe("ERR_KEYRING_UNAVAILABLE");
    // What was saved after all is taken over by whoever reads next.
    gate.open();
    await settled();
    expect((await keyring.show()).keys).toHaveLength(2);
  });

  test("is left by its caller's abort, and by close", async () => {
    const one = await lab();
    const keyring = await one.open();
    one.store.beforeSave = () => new Gate().opened;
    const controller = new AbortController();
    const rotating = keyring.rotate({ signal: controller.signal });
    const closed = keyring.rotate();
    await settled();
    controller.abort(new Error("enough"));
    const error = await rejection(rotating);
    expect([error.code, error.cause]).toEqual(["ERR_ABORTED", new Error("enough")]);
    await keyring.close();
    expect((await rejection(closed)).code).toBe("ERR_CLOSED");
  });

  test("whose draft throws saves nothing, and the next change goes on", async () => {
    const one = await lab();
    const keyring = await one.open();
    const { saves } = one.store;
    one.kms.failing = "ERR_MASTER_KEY_DENIED";
    for (const change of [keyring.rewrap(), keyring.rekey(), keyring.addMasterKey(new MemoryKms("memory:2"))])
      expect((await rejection(change)).code).toBe("ERR_MASTER_KEY_DENIED");
    expect(one.store.saves).toBe(saves);
    one.kms.failing = undefined;
    expect((await keyring.rotate()).keys).toHaveLength(2);
  });

  test("that loses again and again says so in the end", async () => {
    const clock = new FakeClock();
    const one = await lab(undefined, clock);
    const keyring = await one.open();
    let lost = 0;
    one.store.beforeSave = () => {
      lost++;
      throw new KeyfoldError("ERR_KEYRING_CONFLICT");
    };
    const rotating = rejection(keyring.rotate());
    await clock.advance(MINUTE);
    const error = await rotating;
    expect([error.code, error.retryable]).toEqual(["ERR_KEYRING_CONFLICT", true]);
    expect(lost).toBeGreaterThan(10);
  });
});

describe("a reading that a change of one's own overtakes", () => {
  test.each(["rotate", "rekey"] as const)("is done again: %s", async (change) => {
    const one = await lab();
    const keyring = await one.open();
    const gate = new Gate();
    one.store.beforeSave = async () => {
      // Begins before the save takes hold, and ends after it.
      one.store.beforeLoad = () => gate.opened;
      showing = keyring.show();
      await settled();
      one.store.beforeLoad = undefined;
    };
    let showing: Promise<unknown> = Promise.resolve();
    const { sequence, id } = await keyring[change]();
    gate.open();
    expect(await showing).toMatchObject({ sequence, id });
    expect(await keyring.show()).toMatchObject({ sequence: 2, id });
  });

  test("does not take a change back that another process made on top", async () => {
    const one = await lab();
    const keyring = await one.open();
    const other = await one.open();
    one.store.afterSave = async () => {
      one.store.afterSave = undefined;
      await other.rotate();
      await keyring.show();
    };
    await keyring.rotate();
    const keyfold = keyfoldWith({ keyring });
    const { keys } = await other.show();
    expect(keys).toHaveLength(3);
    expect(keyfold.inspect(await keyfold.seal("x", context)).kdkId).toBe(keys[2]?.id);
  });

  test("of a rekey is no surprise to its own process, before save has returned", async () => {
    const one = await lab();
    const keyring = await one.open({ pin: one.id });
    let shown: unknown;
    one.store.afterSave = async () => {
      shown = await keyring.show();
    };
    const { id } = await keyring.rekey();
    expect(shown).toMatchObject({ id, sequence: 2 });
    const keyfold = keyfoldWith({ keyring });
    expect(await keyfold.openText(await keyfold.seal("secret", context), context)).toBe("secret");
  });
});

describe("show", () => {
  test("gives what was saved before it was called, whatever reading is under way", async () => {
    const one = await lab();
    const keyring = await one.open();
    const gate = new Gate();
    one.store.beforeLoad = () => gate.opened;
    const early = keyring.show();
    await settled();
    one.store.beforeLoad = undefined;
    await (await one.open()).rotate();
    const late = keyring.show();
    await settled();
    gate.open();
    await early;
    expect((await late).keys).toHaveLength(2);
  });
});

test("verify names a wrap that nobody here can unwrap, and changes nothing", async () => {
  const one = await lab();
  await (await one.open()).addMasterKey(new MemoryKms("memory:next"));
  const { text } = one.store;
  const [mine, other] = await (await one.open()).verify();
  expect(mine).toMatchObject({ masterKey: "memory:kms", ok: true });
  expect(other).toMatchObject({
    masterKey: "memory:next",
    ok: false,
    error: { code: "ERR_NO_USABLE_WRAP" },
  });
  expect(other?.provider).toBeUndefined();
  expect(one.store.text).toBe(text);
});

test("a keyring that was closed does nothing any more", async () => {
  const one = await lab();
  const keyring = await one.open();
  const keyfold = keyfoldWith({ keyring });
  const sealed = await keyfold.seal("secret", context);
  await keyring.close();
  await keyring.close();
  const calls = [one.store.loads, one.kms.unwraps];
  for (const refused of [
    keyring.show(),
    keyring.rotate(),
    keyring.verify(),
    keyring.rekey(),
    keyfold.seal("x", context),
    keyfold.open(sealed, context),
    keyfold.ready(),
  ])
    expect((await rejection(refused)).code).toBe("ERR_CLOSED");
  expect([one.store.loads, one.kms.unwraps]).toEqual(calls);
});

// Every operation that changes a keyring, as ten writers would do them, and one that tries to seal and open.

type Step =
  | { readonly kind: "rotate" | "rewrap" | "seal" | "show" | "destroy" | "forget" | "rekey" }
  | { readonly kind: "add" | "remove"; readonly masterKey: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.constant<Step>({ kind: "rotate" }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: "rekey" }) },
  {
    weight: 8,
    arbitrary: fc
      .constantFrom<Step["kind"]>("rewrap", "seal", "show", "destroy", "forget")
      .map((kind) => ({ kind }) as Step),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("add" as const, "remove" as const),
      masterKey: fc.integer({ min: 1, max: 3 }),
    }),
  },
);

describe("ten writers at once", () => {
  test("lose nothing, whatever they do and in whatever order their saves come", {
    timeout: 120_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 10, maxLength: 10 }),
        interleaved,
      ),
      { numRuns: 40 },
    );
  });
});

/** Refusals that others' changes explain: the key is another's tombstone already, the master key is gone or there. */
const explained = new Set(["ERR_INVALID_ARGUMENT", "ERR_KEYRING_INVALID", "ERR_NO_USABLE_WRAP"]);

async function interleaved(scheduler: fc.Scheduler, plans: readonly (readonly Step[])[]): Promise<void> {
  const one = await lab();
  const masterKeys = [one.kms, ...[1, 2, 3].map((i) => new SpyKms(`memory:${i}`))];
  const rekeys = plans.flat().some(({ kind }) => kind === "rekey");
  const destroyed = new Set<string>();
  const sealed: { envelope: Uint8Array; kdkId: string }[] = [];
  const sequences: number[] = [];
  one.store.beforeLoad = () => scheduler.schedule(Promise.resolve(), "load");
  one.store.beforeSave = () => scheduler.schedule(Promise.resolve(), "save");
  const opening = Promise.all(plans.map(() => one.open({ masterKeys })));
  await scheduler.waitFor(opening);
  const writers = (await opening).map((keyring) => ({ keyring, keyfold: keyfoldWith({ keyring }) }));
  const act = async ({ keyring, keyfold }: (typeof writers)[number], { kind, ...rest }: Step) => {
    const masterKey = "masterKey" in rest ? masterKeys[rest.masterKey] : undefined;
    if (kind === "seal") {
      const envelope = await keyfold.seal("secret", context);
      sealed.push({ envelope, kdkId: keyfold.inspect(envelope).kdkId });
    } else if (kind === "destroy" || kind === "forget") {
      const wanted = kind === "destroy" ? "retired" : "destroyed";
      const id = (await keyring.show()).keys.find(({ state }) => state === wanted)?.id;
      if (id === undefined) return;
      if (kind === "destroy") destroyed.add(id);
      sequences.push((await keyring[kind](id, { confirm: id })).sequence);
    } else if (kind === "add" && masterKey !== undefined) {
      sequences.push((await keyring.addMasterKey(masterKey)).sequence);
    } else if (kind === "remove" && masterKey !== undefined) {
      sequences.push((await keyring.removeMasterKey(masterKey.uri)).sequence);
    } else if (kind === "rotate" || kind === "rewrap" || kind === "rekey") {
      sequences.push((await keyring[kind]()).sequence);
    } else if (kind === "show") await keyring.show();
  };
  const working = Promise.all(
    writers.map(async (writer, i) => {
      for (const each of plans[i] ?? []) {
        await act(writer, each).catch((error: unknown) => {
          if (!(error instanceof KeyfoldError) || !explained.has(error.code)) throw error;
          // Only a rekey makes a running reader refuse the keyring that it had.
          if (error.code === "ERR_KEYRING_INVALID" && !rekeys) throw error;
        });
      }
    }),
  );
  await scheduler.waitFor(working);
  one.store.beforeLoad = undefined;
  one.store.beforeSave = undefined;
  await expectNothingLost(one, masterKeys, sequences, sealed, destroyed);
}

async function expectNothingLost(
  one: Lab,
  masterKeys: readonly MemoryKms[],
  sequences: readonly number[],
  sealed: readonly { envelope: Uint8Array; kdkId: string }[],
  destroyed: ReadonlySet<string>,
): Promise<void> {
  const keyring = await one.open({ masterKeys });
  const { sequence, keys } = await keyring.show();
  // Each change that was reported as done is one number, none given twice, none left out.
  expect(sequences.toSorted((a, b) => a - b)).toEqual(sequences.map((_, i) => i + 2));
  expect(sequence).toBe(sequences.length + 1);
  expect(keys.filter(({ state }) => state === "active")).toHaveLength(1);
  const reader = keyfoldWith({ keyring });
  for (const { envelope, kdkId } of sealed) {
    if (destroyed.has(kdkId)) continue;
    expect(await reader.openText(envelope, context)).toBe("secret");
  }
}
