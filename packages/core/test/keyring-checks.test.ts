/** What a reader of a keyring checks, and in which order. */

import { createHmac, type KeyObject, randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { encodeBase64url } from "../src/bytes.ts";
import type { KeyfoldErrorCode } from "../src/errors.ts";
import { encodeName, importKdk } from "../src/key-hierarchy.ts";
import { createKeyring, openKeyring } from "../src/keyring.ts";
import { type KeyringEntry, macInput, parseKeyring } from "../src/keyring-document.ts";
import { importKeyringKey, sealKdk } from "../src/keyring-key.ts";
import { memoryKeyringStore, staticKeyring } from "../src/keyring-store.ts";
import { context, keyfoldWith, rejection, SpyKms } from "./support/behaviour.ts";
import { altered, type Lab, lab, project, resigned, SpyStore } from "./support/keyring-lab.ts";
import { MemoryKms } from "./support/memory-kms.ts";

const encodedProject = encodeName("project", project);

/** What opening gives, and how many unwraps it took to know. */
async function openingOf(one: Lab, text: string, pin?: string): Promise<[KeyfoldErrorCode, number]> {
  const calls = one.kms.unwraps;
  one.store.put(text);
  const { code } = await rejection(one.open({ pin }));
  return [code, one.kms.unwraps - calls];
}

/** A KDK that the attacker knows, sealed as a keyring seals. */
function planted(key: Lab["key"], state: KeyringEntry["state"] = "retired"): KeyringEntry {
  const kdk = randomBytes(32);
  const { id } = importKdk(kdk, encodedProject);
  return { id, created: 1, state, sealed: sealKdk(key, id, kdk) };
}

describe("a reader refuses", () => {
  test("what is no keyring, before it asks a master key", async () => {
    const one = await lab();
    for (const text of ["", "{", "[]", "{}", "kf1.AAAA", `${one.store.text}x`]) {
      expect(await openingOf(one, text)).toEqual(["ERR_KEYRING_INVALID", 0]);
    }
  });

  test("an empty store, before it asks a master key", async () => {
    const kms = new MemoryKms();
    const opening = openKeyring({ project, store: memoryKeyringStore(), masterKeys: kms });
    expect((await rejection(opening)).code).toBe("ERR_KEYRING_NOT_FOUND");
    expect(kms.unwraps).toBe(0);
  });

  test("the keyring of another project, before it asks a master key", async () => {
    const one = await lab();
    const opening = openKeyring({ project: "other", store: one.store, masterKeys: one.kms });
    expect((await rejection(opening)).code).toBe("ERR_KEYRING_INVALID");
    expect(one.kms.unwraps).toBe(1);
  });

  test("one without a wrap for a configured master key, and says which it has and which would do", async () => {
    const one = await lab();
    const other = new MemoryKms("memory:other");
    const error = await rejection(one.open({ masterKeys: other }));
    expect(error.code).toBe("ERR_NO_USABLE_WRAP");
    expect(error.message).toContain("memory:kms");
    expect(error.message).toContain("memory:other");
    expect(error.message).toContain("keyring");
    expect(other.unwraps).toBe(0);
  });

  test("one whose unwrapped key does not give its id, under one master key and under two", async () => {
    const one = await lab();
    const keyring = await one.open();
    expect(
      await openingOf(
        one,
        resigned(one, () => ({ id: randomBytes(16) })),
      ),
    ).toEqual(["ERR_KEYRING_INVALID", 1]);
    const two = await lab();
    const next = new MemoryKms("memory:next");
    await (await two.open()).addMasterKey(next);
    two.store.put(resigned(two, () => ({ id: randomBytes(16) })));
    const error = await rejection(two.open({ masterKeys: [two.kms, next] }));
    expect(error.code).toBe("ERR_KEYRING_INVALID");
    await keyring.close();
  });

  test("one that is not pinned, before it looks at the mac", async () => {
    const one = await lab();
    const pin = encodeBase64url(randomBytes(16));
    const text = altered(one, () => ({ mac: randomBytes(32) }));
    one.store.put(text);
    const error = await rejection(one.open({ pin }));
    expect(error.code).toBe("ERR_KEYRING_INVALID");
    expect(error.message).toContain("pinned");
  });

  test("one whose mac is another", async () => {
    const one = await lab();
    const text = altered(one, ({ mac }) => ({ mac: mac.map((byte, i) => (i === 31 ? byte ^ 1 : byte)) }));
    expect(await openingOf(one, text)).toEqual(["ERR_KEYRING_INVALID", 1]);
  });

  test("a mac of the right key over another document", async () => {
    const one = await lab();
    const wrong = altered(one, (document) => ({
      mac: createHmac("sha512", one.key.macKey as KeyObject)
        .update(macInput({ ...document, sequence: document.sequence + 1 }))
        .digest()
        .subarray(0, 32),
    }));
    expect(await openingOf(one, wrong)).toEqual(["ERR_KEYRING_INVALID", 1]);
  });

  test.each([
    ["no active KDK", "retired"],
    ["two active KDKs", "active"],
  ] as const)("%s, though the mac is right", async (_, state) => {
    const one = await lab();
    const text = resigned(one, ({ keys }) => ({
      keys: [...keys.map((entry) => ({ ...entry, state })), planted(one.key, state)],
    }));
    expect(await openingOf(one, text)).toEqual(["ERR_KEYRING_INVALID", 1]);
  });

  test("a KDK that does not open, though the mac is right", async () => {
    const one = await lab();
    const stranger = importKeyringKey(randomBytes(32), encodedProject);
    const text = resigned(one, ({ keys }) => ({ keys: [planted(stranger), ...keys] }));
    expect(await openingOf(one, text)).toEqual(["ERR_KEYRING_INVALID", 1]);
  });

  test("a KDK that opens and has another id, though the mac is right", async () => {
    const one = await lab();
    const kdk = randomBytes(32);
    const id = randomBytes(16);
    const wrong: KeyringEntry = { id, created: 1, state: "retired", sealed: sealKdk(one.key, id, kdk) };
    expect(
      await openingOf(
        one,
        resigned(one, ({ keys }) => ({ keys: [wrong, ...keys] })),
      ),
    ).toEqual(["ERR_KEYRING_INVALID", 1]);
  });
});

describe("an attacker who can write the store", () => {
  test("cannot plant a KDK that he knows", async () => {
    const one = await lab();
    const keyring = await one.open();
    const his = importKeyringKey(randomBytes(32), encodedProject);
    const text = altered(one, ({ keys, sequence }) => ({
      sequence: sequence + 1,
      keys: [...keys.map((entry) => ({ ...entry, state: "retired" as const })), planted(his, "active")],
    }));
    expect(await openingOf(one, text)).toEqual(["ERR_KEYRING_INVALID", 1]);
    expect((await rejection(keyring.show())).code).toBe("ERR_KEYRING_INVALID");
    expect((await rejection(keyring.rotate())).code).toBe("ERR_KEYRING_INVALID");
    expect(one.store.text).toBe(text);
  });

  test("cannot bring a destroyed KDK back, nor reorder, drop or re-date keys", async () => {
    const one = await lab();
    const keyring = await one.open();
    const [first] = (await keyring.rotate()).keys;
    const before = parseKeyring(one.store.text).keys;
    await keyring.destroy(first?.id ?? "", { confirm: first?.id ?? "" });
    const good = one.store.text;
    for (const keys of [
      before,
      parseKeyring(good).keys.slice(1),
      parseKeyring(good).keys.toReversed(),
      parseKeyring(good).keys.map((entry) => ({ ...entry, created: entry.created + 1 })),
    ]) {
      one.store.put(good);
      const text = altered(one, ({ sequence }) => ({ keys, sequence: sequence + 1 }));
      expect(await openingOf(one, text)).toEqual(["ERR_KEYRING_INVALID", 1]);
      expect((await rejection(keyring.show())).code).toBe("ERR_KEYRING_INVALID");
    }
  });

  test("cannot replace the keyring under a pin", async () => {
    const one = await lab();
    const pinned = await one.open({ pin: one.id });
    const his = await lab(one.kms);
    one.store.put(his.store.text);
    expect((await rejection(one.open({ pin: one.id }))).code).toBe("ERR_KEYRING_INVALID");
    expect((await rejection(pinned.show())).code).toBe("ERR_KEYRING_INVALID");
  });

  test("cannot replace it under a reader that runs, also one without a pin", async () => {
    const one = await lab();
    const keyring = await one.open();
    const keyfold = keyfoldWith({ keyring });
    const sealed = await keyfold.seal("secret", context);
    const his = await lab(one.kms);
    await (await his.open()).rotate();
    one.store.put(his.store.text);
    expect((await rejection(keyring.show())).code).toBe("ERR_KEYRING_INVALID");
    expect((await rejection(keyring.rotate())).code).toBe("ERR_KEYRING_INVALID");
    expect(await keyfold.openText(sealed, context)).toBe("secret");
    expect(keyfold.inspect(await keyfold.seal("more", context)).kdkId).toBe(keyfold.inspect(sealed).kdkId);
    // One that starts afresh without a pin follows: that is what the pin is for.
    await expect(one.open()).resolves.toBeDefined();
  });

  test("cannot roll it back under a reader that runs", async () => {
    const one = await lab();
    const keyring = await one.open();
    const old = one.store.text;
    await keyring.rotate();
    one.store.put(old);
    expect((await rejection(keyring.show())).code).toBe("ERR_KEYRING_ROLLBACK");
    expect((await rejection(keyring.rotate())).code).toBe("ERR_KEYRING_ROLLBACK");
    expect(one.store.text).toBe(old);
  });

  test("cannot give it another document of the same sequence", async () => {
    const one = await lab();
    const keyring = await one.open();
    const forked = resigned(one, () => ({ kmsContext: { fork: "yes" } }));
    one.store.put(forked);
    expect((await rejection(keyring.show())).code).toBe("ERR_KEYRING_ROLLBACK");
  });

  test("cannot change one byte of it unseen", async () => {
    const one = await lab();
    await (await one.open()).rotate();
    const { text } = one.store;
    const step = 7;
    for (let at = 0; at < text.length; at += step) {
      if (/\s/.test(text[at] ?? "")) continue;
      const other = text[at] === "A" ? "B" : "A";
      one.store.put(`${text.slice(0, at)}${other}${text.slice(at + 1)}`);
      const { code } = await rejection(one.open());
      expect(["ERR_KEYRING_INVALID", "ERR_NO_USABLE_WRAP", "ERR_MASTER_KEY_REJECTED"]).toContain(code);
    }
  });
});

describe("a pin", () => {
  const unauthenticated = () => new SpyKms("memory:rsa", { authenticatesWraps: false });

  test("is required where the wrap is not authenticated, before a master key is asked", async () => {
    const one = await lab(unauthenticated());
    const calls = one.kms.unwraps;
    const error = await rejection(one.open());
    expect(error.code).toBe("ERR_UNAUTHENTICATED_WRAP");
    expect(error.message).toContain("pin");
    expect(one.kms.unwraps).toBe(calls);
    const keyring = await one.open({ pin: one.id });
    const keyfold = keyfoldWith({ keyring });
    expect(await keyfold.openText(await keyfold.seal("secret", context), context)).toBe("secret");
  });

  test("is not required where another wrap is authenticated, and that one is the one used", async () => {
    const rsa = unauthenticated();
    const kms = new MemoryKms("memory:kms");
    const store = new SpyStore();
    await createKeyring({ project, store, masterKeys: [rsa, kms] });
    const calls = [rsa.unwraps, kms.unwraps];
    await openKeyring({ project, store, masterKeys: [rsa, kms] });
    expect([rsa.unwraps, kms.unwraps]).toEqual([calls[0], (calls[1] ?? 0) + 1]);
    kms.failing = "ERR_MASTER_KEY_DENIED";
    const error = await rejection(openKeyring({ project, store, masterKeys: [rsa, kms] }));
    expect(error.code).toBe("ERR_MASTER_KEY_DENIED");
  });

  test("keeps whoever has only the public key from making a keyring of his own", async () => {
    const one = await lab(unauthenticated());
    const his = await lab(one.kms);
    one.store.put(his.store.text);
    expect((await rejection(one.open({ pin: one.id }))).code).toBe("ERR_KEYRING_INVALID");
  });

  test("may be several, around a rekey", async () => {
    const one = await lab();
    const old = await one.open({ pin: one.id });
    const sealed = await keyfoldWith({ keyring: old }).seal("secret", context);
    const preview = await old.rekey({ dryRun: true });
    expect(preview.id).not.toBe(one.id);
    const { id } = await old.rekey();
    const both = await one.open({ pin: [one.id, id] });
    expect(await keyfoldWith({ keyring: both }).openText(sealed, context)).toBe("secret");
    // Who made the change goes on, although its own pin is the old id.
    expect((await old.rotate()).id).toBe(id);
    expect((await rejection(one.open({ pin: one.id }))).code).toBe("ERR_KEYRING_INVALID");
  });

  test("of the new id follows a rekey by another process, where a running reader without a pin does not", async () => {
    const one = await lab();
    const unpinned = await one.open();
    const { id } = await (await one.open()).rekey();
    expect((await (await one.open({ pin: [one.id, id] })).show()).id).toBe(id);
    expect((await rejection(unpinned.show())).code).toBe("ERR_KEYRING_INVALID");
  });

  test.each([["too short"], [encodeBase64url(new Uint8Array(15))], [[]], [7], ["=".repeat(22)]])(
    "that is %j is refused at once",
    async (pin) => {
      const opening = openKeyring({
        project,
        store: memoryKeyringStore(),
        masterKeys: new MemoryKms(),
        pin: pin as string,
      });
      expect((await rejection(opening)).code).toBe("ERR_INVALID_ARGUMENT");
    },
  );
});

describe("a static keyring", () => {
  test("is read, and cannot be changed", async () => {
    const one = await lab();
    const keyring = await one.open({ store: staticKeyring(one.store.text) });
    const keyfold = keyfoldWith({ keyring });
    expect(await keyfold.openText(await keyfold.seal("secret", context), context)).toBe("secret");
    expect((await rejection(keyring.rotate())).code).toBe("ERR_KEYRING_READ_ONLY");
    expect((await keyring.rotate({ dryRun: true })).keys).toHaveLength(2);
    expect((await keyring.show()).sequence).toBe(1);
  });

  test("is not made anew", async () => {
    const one = await lab();
    const making = createKeyring({ project, store: staticKeyring(one.store.text), masterKeys: one.kms });
    expect((await rejection(making)).code).toBe("ERR_KEYRING_READ_ONLY");
  });

  test.each([undefined, "", " \n"])("of no text (%j) is refused at once", (text) => {
    expect(() => staticKeyring(text)).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }));
  });
});
