import { describe, expect, test } from "vitest";
import { createKeyring, type Keyring, type OpenKeyringOptions, openKeyring } from "../src/keyring.ts";
import { type KeyringStore, memoryKeyringStore } from "../src/keyring-store.ts";
import { context, keyfoldWith, rejection, sealedBy } from "./support/behaviour.ts";
import { MemoryKms } from "./support/memory-kms.ts";

const project = "test";

/** A keyring in memory, and one who has opened it. */
async function opened(options: Partial<OpenKeyringOptions> = {}) {
  const store = options.store ?? memoryKeyringStore();
  const kms = new MemoryKms("memory:kms");
  const { id } = await createKeyring({ project, store, masterKeys: kms });
  const keyring = await openKeyring({ project, store, masterKeys: kms, ...options });
  return { store, kms, id, keyring };
}

/** The same keyring, opened in a process of its own. */
function another(store: KeyringStore, kms: MemoryKms): Promise<Keyring> {
  return openKeyring({ project, store, masterKeys: kms });
}

describe("a keyfold with a keyring", () => {
  test("seals 168 bytes over the plaintext, and opens in another process with one call", async () => {
    const { store, kms, keyring } = await opened();
    const keyfold = keyfoldWith({ keyring });
    const sealed = await keyfold.seal("secret", context);
    expect(sealed.length).toBe(168 + 6);
    const before = kms.unwraps;
    const reader = keyfoldWith({ keyring: await another(store, kms) });
    expect(await reader.openText(sealed, context)).toBe("secret");
    expect(kms.unwraps - before).toBe(1);
  });

  test("opens every envelope of the project synchronously, whoever sealed it and under whatever KDK", async () => {
    const { store, kms, keyring } = await opened();
    const sealed: Uint8Array[] = [];
    for (let i = 0; i < 5; i++) {
      sealed.push(await keyfoldWith({ keyring }).seal(`secret ${i}`, context));
      await keyring.rotate();
    }
    const ring = await another(store, kms);
    const reader = keyfoldWith({ keyring: ring });
    const calls = kms.unwraps;
    await reader.ready();
    expect(sealed.map((one) => reader.openTextSync(one, context))).toEqual(
      [0, 1, 2, 3, 4].map((i) => `secret ${i}`),
    );
    expect(kms.unwraps).toBe(calls);
  });

  test("seals with the active KDK after a rotation, also one of another process", async () => {
    const { store, kms, keyring } = await opened();
    const keyfold = keyfoldWith({ keyring });
    const old = await keyfold.seal("old", context);
    const { keys } = await keyring.rotate();
    const fresh = await keyfold.seal("new", context);
    expect(keyfold.inspect(fresh).kdkId).toBe(keys[1]?.id);
    expect([keyfold.needsRewrap(old), keyfold.needsRewrap(fresh)]).toEqual([true, false]);
    const moved = await keyfold.rewrap(old);
    expect([keyfold.needsRewrap(moved), await keyfold.openText(moved, context)]).toEqual([false, "old"]);
    const late = await another(store, kms);
    await late.rotate();
    const sealedElsewhere = await keyfoldWith({ keyring: late }).seal("elsewhere", context);
    expect(await keyfold.openText(sealedElsewhere, context)).toBe("elsewhere");
  });

  test("ignores embedded wraps, unless told to accept them", async () => {
    const { kms, keyring } = await opened();
    const embedded = await sealedBy(kms);
    expect((await rejection(keyfoldWith({ keyring, masterKeys: kms }).open(embedded, context))).code).toBe(
      "ERR_UNKNOWN_KEY",
    );
    const accepting = keyfoldWith({ keyring, masterKeys: kms, embedded: "accept" });
    expect(await accepting.openText(embedded, context)).toBe("secret");
    expect(accepting.needsRewrap(embedded)).toBe(true);
    const moved = await accepting.rewrap(embedded);
    expect(await keyfoldWith({ keyring }).openText(moved, context)).toBe("secret");
  });

  test("refuses what is under a destroyed KDK, and keeps nothing of it", async () => {
    const { keyring } = await opened();
    const keyfold = keyfoldWith({ keyring });
    const sealed = await keyfold.seal("secret", context);
    const { kdkId } = keyfold.inspect(sealed);
    await keyring.rotate();
    expect(await keyfold.openText(sealed, context)).toBe("secret");
    await keyring.destroy(kdkId, { confirm: kdkId });
    expect((await rejection(keyfold.open(sealed, context))).code).toBe("ERR_KEY_DESTROYED");
    await keyring.forget(kdkId);
    expect((await rejection(keyfold.open(sealed, context))).code).toBe("ERR_UNKNOWN_KEY");
  });

  test("is refused for another project, and for what is no keyring", async () => {
    const { keyring } = await opened();
    const other = () => keyfoldWith({ keyring, project: "other" });
    expect(other).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }));
    const promise = () => keyfoldWith({ keyring: {} as Keyring });
    expect(promise).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }));
  });
});

describe("changes", () => {
  test("add and remove master keys without touching an envelope", async () => {
    const { store, kms, keyring } = await opened();
    const sealed = await keyfoldWith({ keyring }).seal("secret", context);
    const next = new MemoryKms("memory:next");
    await keyring.addMasterKey(next);
    expect((await keyring.show()).masterKeys).toEqual(["memory:kms", "memory:next"]);
    await keyring.removeMasterKey("memory:kms");
    kms.failing = "ERR_MASTER_KEY_DISABLED";
    const reader = keyfoldWith({ keyring: await another(store, next) });
    expect(await reader.openText(sealed, context)).toBe("secret");
  });

  test("never remove the last master key, nor the last that is configured", async () => {
    const { kms, keyring } = await opened();
    expect((await rejection(keyring.removeMasterKey(kms.uri))).code).toBe("ERR_INVALID_ARGUMENT");
    const next = new MemoryKms("memory:next");
    await keyring.addMasterKey(next);
    next.failing = "ERR_MASTER_KEY_DENIED";
    expect((await rejection(keyring.removeMasterKey(kms.uri))).code).toBe("ERR_MASTER_KEY_DENIED");
    expect((await keyring.show()).masterKeys).toEqual([kms.uri, next.uri]);
  });

  test("by dry run save nothing", async () => {
    const { keyring } = await opened();
    const before = await keyring.show();
    expect((await keyring.rotate({ dryRun: true })).keys).toHaveLength(2);
    expect(await keyring.show()).toEqual(before);
  });

  test("of two writers at once are both kept", async () => {
    const { store, kms, keyring } = await opened();
    const second = await another(store, kms);
    await Promise.all([keyring.rotate(), second.rotate(), keyring.rotate(), second.rotate()]);
    const { keys, sequence } = await keyring.show();
    expect([keys.length, sequence]).toEqual([5, 5]);
    expect(keys.filter(({ state }) => state === "active")).toHaveLength(1);
  });

  test("rekey gives a new id, and everything opens as before", async () => {
    const { store, kms, keyring, id } = await opened();
    const sealed = await keyfoldWith({ keyring }).seal("secret", context);
    const rekeyed = await keyring.rekey();
    expect(rekeyed.id).not.toBe(id);
    expect(await keyfoldWith({ keyring }).openText(sealed, context)).toBe("secret");
    const reader = keyfoldWith({ keyring: await another(store, kms) });
    expect(await reader.openText(sealed, context)).toBe("secret");
    const pinned = { project, store, masterKeys: kms };
    expect((await rejection(openKeyring({ ...pinned, pin: id }))).code).toBe("ERR_KEYRING_INVALID");
    await expect(openKeyring({ ...pinned, pin: [id, rekeyed.id] })).resolves.toBeDefined();
  });

  test("verify says which master key opens it now", async () => {
    const { keyring } = await opened();
    const next = new MemoryKms("memory:next");
    await keyring.addMasterKey(next);
    next.failing = "ERR_MASTER_KEY_DISABLED";
    expect(await keyring.verify()).toEqual([
      { masterKey: "memory:kms", provider: "memory:kms", ok: true },
      {
        masterKey: "memory:next",
        provider: "memory:next",
        ok: false,
        error: expect.objectContaining({ code: "ERR_MASTER_KEY_DISABLED" }),
      },
    ]);
  });
});
