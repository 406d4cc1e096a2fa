import { pbkdf2Sync } from "node:crypto";
import { describe, expect, expectTypeOf, test } from "vitest";
import { refusalOf, rejectionOf } from "../../../test/support/refusal.ts";
import { type Fernet, fernet } from "../src/fernet.ts";
import { createKeyManagement, type KeyManagement } from "../src/key-management.ts";
import { sealedMasterSecret, sealMasterSecret } from "../src/master-secret.ts";
import { cryptoCalls } from "./support/crypto-spies.ts";
import { keyManagement, keyText, MASTER_SECRET, newKeyfold, PROJECT } from "./support/material.ts";

const salt = Uint8Array.from({ length: 16 }, (_, i) => i);
const kekOf = async (
  masterSecret: Parameters<typeof createKeyManagement>[0]["masterSecret"],
  project = PROJECT,
) => (await createKeyManagement({ project, masterSecret }).generateKek(salt)).kek.exportKey();
const expectedKek = Buffer.from(pbkdf2Sync(MASTER_SECRET + PROJECT, salt, 100_000, 32, "sha256"))
  .toString("base64url")
  .concat("=");

describe("a KEK", () => {
  test("is PBKDF2 of master secret and project, as text with nothing between", async () => {
    expect(await kekOf(MASTER_SECRET)).toBe(expectedKek);
    expect(await kekOf(MASTER_SECRET + PROJECT.slice(0, 2), PROJECT.slice(2))).toBe(expectedKek);
    expect(await kekOf(MASTER_SECRET + PROJECT, "")).toBe(expectedKek);
  });

  test("has a new salt each time, and is the same again with a saved one", async () => {
    const keys = keyManagement();
    const [first, second] = await Promise.all([keys.generateKek(), keys.generateKek()]);
    expect(first.salt).toHaveLength(16);
    expect(first.salt).not.toEqual(second.salt);
    expect(first.kek.exportKey()).not.toBe(second.kek.exportKey());
    const again = await keyManagement().generateKek(first.salt);
    expect(again.kek.exportKey()).toBe(first.kek.exportKey());
  });

  test("does not change with the salt that was given for it", async () => {
    const own = salt.slice();
    const pending = keyManagement().generateKek(own);
    own.fill(0);
    const { kek, salt: returned } = await pending;
    expect(kek.exportKey()).toBe(expectedKek);
    expect(returned).toEqual(salt);
    expect(returned).not.toBe(own);
  });

  test("is derived once, however many ask for it, and while they wait the event loop goes on", async () => {
    const calls = cryptoCalls("pbkdf2");
    const keys = keyManagement();
    let turns = 0;
    const turning = setInterval(() => turns++, 1);
    const all = await Promise.all(Array.from({ length: 100 }, () => keys.generateKek(salt)));
    clearInterval(turning);
    expect(new Set(all.map(({ kek }) => kek)).size).toBe(1);
    await keys.generateKek(salt);
    expect(calls).toHaveLength(1);
    expect(turns).toBeGreaterThan(0);
  });

  test("is forgotten when it was not used for longest, beyond maxKeys", async () => {
    const calls = cryptoCalls("pbkdf2");
    const keys = createKeyManagement({ project: PROJECT, masterSecret: MASTER_SECRET, maxKeys: 2 });
    const [a, b, c] = [1, 2, 3].map((byte) => new Uint8Array(16).fill(byte)) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    for (const each of [a, b, a, c, a, c]) await keys.generateKek(each);
    expect(calls).toHaveLength(3);
    await keys.generateKek(b);
    expect(calls).toHaveLength(4);
    await keys.generateKek(c);
    expect(calls).toHaveLength(4);
    await keys.generateKek(a);
    expect(calls).toHaveLength(5);
  });
});

describe("the master secret", () => {
  test("may be text, its UTF-8, or what a callback gives of them", async () => {
    const bytes = new TextEncoder().encode(MASTER_SECRET);
    expect(await kekOf(bytes)).toBe(expectedKek);
    expect(bytes).toEqual(new TextEncoder().encode(MASTER_SECRET));
    expect(await kekOf(() => MASTER_SECRET)).toBe(expectedKek);
    expect(await kekOf(async () => bytes.slice())).toBe(expectedKek);
  });

  test("in bytes may be wiped once it was given", async () => {
    const bytes = new TextEncoder().encode(MASTER_SECRET);
    const keys = createKeyManagement({ project: PROJECT, masterSecret: bytes });
    bytes.fill(0);
    expect((await keys.generateKek(salt)).kek.exportKey()).toBe(expectedKek);
  });

  test("from a callback is asked for with each derivation, wiped after it, and refused if it was wiped before", async () => {
    const bytes = new TextEncoder().encode(MASTER_SECRET);
    let asked = 0;
    const keys = createKeyManagement({
      project: PROJECT,
      masterSecret: () => {
        asked++;
        return bytes;
      },
    });
    await keys.generateKek(salt);
    await keys.generateKek(salt);
    expect(asked).toBe(1);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    const { code, message } = await rejectionOf(keys.generateKek());
    expect([code, message]).toEqual(["ERR_INVALID_ARGUMENT", expect.stringContaining("a copy each time")]);
  });

  test("that could not be had is asked for again", async () => {
    let isThere = false;
    const failure = new Error("not yet");
    const keys = createKeyManagement({
      project: PROJECT,
      masterSecret: () => {
        if (!isThere) throw failure;
        return MASTER_SECRET;
      },
    });
    await expect(keys.generateKek(salt)).rejects.toBe(failure);
    isThere = true;
    expect((await keys.generateKek(salt)).kek.exportKey()).toBe(expectedKek);
  });

  test.each([
    ["empty text", ""],
    ["no bytes", new Uint8Array(0)],
    ["bytes that are no UTF-8", Uint8Array.of(0x61, 0xff)],
    ["a lone surrogate", "\ud83d"],
  ])("is not %s", async (_, masterSecret) => {
    const made = refusalOf(() => createKeyManagement({ project: PROJECT, masterSecret }));
    expect(made.code).toBe("ERR_INVALID_ARGUMENT");
    const keys = createKeyManagement({ project: PROJECT, masterSecret: () => masterSecret });
    expect((await rejectionOf(keys.generateKek())).code).toBe("ERR_INVALID_ARGUMENT");
  });

  test("is kept sealed, and opened with one call for all derivations", async () => {
    const { keyfold, masterKey } = newKeyfold();
    const sealed = await sealMasterSecret(keyfold, MASTER_SECRET);
    expect(sealed).toMatch(/^kf1\./);
    expect(await kekOf(sealedMasterSecret(keyfold, sealed))).toBe(expectedKek);
    const bytes = new TextEncoder().encode(MASTER_SECRET);
    const other = Buffer.from((await sealMasterSecret(keyfold, bytes)).slice(4), "base64url");
    expect(bytes).toEqual(new TextEncoder().encode(MASTER_SECRET));
    expect(await kekOf(sealedMasterSecret(keyfold, other))).toBe(expectedKek);
    expect(masterKey.calls.wraps + masterKey.calls.unwraps).toBe(1);
  });

  test("is not to be had from another envelope, or while the master key is denied", async () => {
    const { keyfold, masterKey } = newKeyfold();
    const other = await keyfold.sealText(MASTER_SECRET, {});
    expect((await rejectionOf(kekOf(sealedMasterSecret(keyfold, other)))).code).toBe("ERR_CONTEXT_MISMATCH");
    const sealed = await sealMasterSecret(keyfold, MASTER_SECRET);
    masterKey.deny();
    const { createKeyfold } = await import("@keyfold/core");
    const elsewhere = createKeyfold({ project: PROJECT, openWith: masterKey.reopen() });
    const code = (await rejectionOf(kekOf(sealedMasterSecret(elsewhere, sealed)))).code;
    expect(code).toBe("ERR_MASTER_KEY_DENIED");
    expect((await rejectionOf(sealMasterSecret(keyfold, ""))).code).toBe("ERR_INVALID_ARGUMENT");
  });
});

describe("the operations", () => {
  test("lead from a text to its token and back", async () => {
    const keys = keyManagement();
    const { encryptedDek, salt: saved } = await keys.initialize();
    const { kek } = await keys.generateKek(saved);
    const dek = keys.decryptDek(encryptedDek, kek);
    expect(keys.decryptData(keys.encryptData("hunter2 ü", dek), dek)).toBe("hunter2 ü");
    // A DEK is encrypted as its text, 44 characters, and not as its 32 bytes.
    expect(kek.decryptText(encryptedDek)).toBe(dek.exportKey());
  });

  test("take keys as objects and as texts", () => {
    const keys = keyManagement();
    const dek = keys.generateDek();
    const token = keys.encryptDek(dek.exportKey(), keyText);
    expect(keys.decryptDek(token, fernet(keyText)).exportKey()).toBe(dek.exportKey());
    expect(keys.decryptData(keys.encryptData("x", dek), dek.exportKey())).toBe("x");
  });

  test("give each DEK once", () => {
    const keys = keyManagement();
    expect(keys.generateDek().exportKey()).not.toBe(keys.generateDek().exportKey());
  });

  test("heed a time to live", () => {
    const keys = keyManagement();
    const token = fernet(keyText).encrypt("x", { now: 1_000_000 });
    const options = { timeToLive: 1_000, now: 1_002_000 };
    expect(refusalOf(() => keys.decryptData(token, keyText, options)).code).toBe("ERR_FERNET_EXPIRED");
  });

  test("refuse a token that holds no key where a DEK is to be", () => {
    const keys = keyManagement();
    for (const text of ["hunter2", "", keyText.slice(0, 43), `${keyText}\n`, new Uint8Array(32)]) {
      const { code, message } = refusalOf(() => keys.decryptDek(keys.encryptData(text, keyText), keyText));
      expect([code, message]).toEqual(["ERR_FERNET_INVALID", expect.stringContaining("no Fernet key")]);
    }
  });

  test("refuse a DEK under another master secret, project or salt", async () => {
    const keys = keyManagement();
    const { encryptedDek, salt: saved } = await keys.initialize();
    const others: readonly (readonly [KeyManagement, Uint8Array])[] = [
      [createKeyManagement({ project: PROJECT, masterSecret: `${MASTER_SECRET}!` }), saved],
      [createKeyManagement({ project: "warehouse", masterSecret: MASTER_SECRET }), saved],
      [keys, salt],
    ];
    for (const [other, otherSalt] of others) {
      const { kek } = await other.generateKek(otherSalt);
      expect(refusalOf(() => other.decryptDek(encryptedDek, kek)).code).toBe("ERR_FERNET_INVALID");
    }
  });

  test("end with close: what waits for a key, and what would ask for one", async () => {
    const keys = keyManagement();
    const pending = keys.generateKek();
    await keys.close();
    expect((await rejectionOf(pending)).code).toBe("ERR_CLOSED");
    expect((await rejectionOf(keys.generateKek())).code).toBe("ERR_CLOSED");
    await keys[Symbol.asyncDispose]();
  });
});

test("a wrong argument is refused", async () => {
  const options = { project: PROJECT, masterSecret: MASTER_SECRET };
  const wrong: (() => unknown)[] = [
    // @ts-expect-error Both are needed.
    () => createKeyManagement({ project: PROJECT }),
    // @ts-expect-error Both are needed.
    () => createKeyManagement({ masterSecret: MASTER_SECRET }),
    // @ts-expect-error No such option.
    () => createKeyManagement({ ...options, salt }),
    () => createKeyManagement({ ...options, project: "\udc00" }),
    () => createKeyManagement({ ...options, maxKeys: 0 }),
    () => createKeyManagement({ ...options, maxKeys: 1.5 }),
    () => keyManagement().encryptData("x", "not a key"),
    // @ts-expect-error An envelope is text or bytes.
    () => sealedMasterSecret(newKeyfold().keyfold, undefined),
  ];
  for (const action of wrong) expect(refusalOf(action).code).toBe("ERR_INVALID_ARGUMENT");
  for (const length of [0, 15, 17, 32]) {
    const refusal = await rejectionOf(keyManagement().generateKek(new Uint8Array(length)));
    expect(refusal.code).toBe("ERR_INVALID_ARGUMENT");
  }
});

test("types", () => {
  expectTypeOf<KeyManagement["generateKek"]>().returns.resolves.toEqualTypeOf<{
    readonly kek: Fernet;
    readonly salt: Uint8Array<ArrayBuffer>;
  }>();
  expectTypeOf<KeyManagement["decryptDek"]>().parameter(1).toEqualTypeOf<Fernet | string>();
  expectTypeOf<KeyManagement["decryptData"]>().returns.toBeString();
});
