/** docs/spec/envelope-v1.md, "What an opener accepts", rule by rule. */

import { describe, expect, test } from "vitest";
import { context, keyfoldWith, rejection, sealedBy, withHeader, wrapsOf } from "./support/behaviour.ts";
import { MemoryKms } from "./support/memory-kms.ts";

describe("only its own master keys", () => {
  test("an envelope that is wrapped under another URI alone is refused, and nobody is called", async () => {
    const own = new MemoryKms("memory:own");
    const sealed = await sealedBy(new MemoryKms("memory:stranger"));
    const error = await rejection(keyfoldWith({ masterKeys: own }).open(sealed, context));
    expect(error.code).toBe("ERR_NO_USABLE_WRAP");
    expect(error.message).toContain("memory:own");
    expect(error.message).toContain("memory:stranger");
    expect(own.unwraps).toBe(0);
  });

  test("of several wraps it tries its own and no other", async () => {
    const own = new MemoryKms("memory:own");
    const sealed = await sealedBy([new MemoryKms("memory:a"), own, new MemoryKms("memory:b")]);
    const keyfold = keyfoldWith({ masterKeys: own });
    expect(await keyfold.openText(sealed, context)).toBe("secret");
    expect(own.asked).toEqual(["memory:own"]);
  });

  test("a URI is compared whole: one that begins or ends alike is another's", async () => {
    const own = new MemoryKms("memory:own");
    const keyfold = keyfoldWith({ masterKeys: own });
    const [wrap = expect.fail("no wrap")] = wrapsOf(await sealedBy(own));
    for (const masterKey of ["memory:own2", "memory:ow", "Memory:own", "xmemory:own"]) {
      const envelope = withHeader(await sealedBy(own), { wraps: [{ ...wrap, masterKey }] });
      expect((await rejection(keyfold.open(envelope, context))).code).toBe("ERR_NO_USABLE_WRAP");
    }
    expect(own.unwraps).toBe(0);
  });

  test("the call goes to the configured master key, whatever key of the attacker's the wrap names", async () => {
    const attacker = new MemoryKms("memory:attacker");
    const alias = new MemoryKms("memory:own", { recognizes: () => true });
    const sealed = await sealedBy(attacker);
    const error = await rejection(keyfoldWith({ masterKeys: alias }).open(sealed, context));
    expect(error.code).toBe("ERR_MASTER_KEY_REJECTED");
    expect(alias.asked).toEqual(["memory:attacker"]);
    expect(attacker.unwraps).toBe(0);
  });

  test("an envelope without wraps, whose key is not known, is refused in the name of the configured keys", async () => {
    const masterKeys = [new MemoryKms("memory:one"), new MemoryKms("memory:two")];
    const bare = withHeader(await sealedBy(masterKeys), { wraps: [] });
    const openWith = new MemoryKms("memory:three");
    const error = await rejection(keyfoldWith({ masterKeys, openWith }).open(bare, context));
    expect(error.code).toBe("ERR_NO_USABLE_WRAP");
    expect(error.message).toContain("carries no wrapped key");
    for (const { name, unwraps } of [...masterKeys, openWith]) {
      expect(error.message).toContain(name);
      expect(unwraps).toBe(0);
    }
  });

  test("a long URI of an attacker's choice is not repeated whole in the message", async () => {
    const uri = `memory:${"x".repeat(1_000)}`;
    const sealed = await sealedBy(new MemoryKms(uri));
    const error = await rejection(keyfoldWith({ masterKeys: new MemoryKms() }).open(sealed, context));
    expect(error.code).toBe("ERR_NO_USABLE_WRAP");
    expect(error.message).toContain(uri.slice(0, 100));
    expect(error.message).not.toContain(uri);
  });
});

describe("few calls, however hostile the header", () => {
  const uris = Array.from({ length: 16 }, (_, i) => `memory:key${i}`);

  /** Sixteen wraps, each of garbage. */
  async function hostile(): Promise<Uint8Array> {
    const wraps = uris.map((masterKey, i) => ({ masterKey, ciphertext: new Uint8Array(60).fill(i) }));
    return withHeader(await sealedBy(new MemoryKms()), { wraps });
  }

  function recognizing(name: string, ...indices: readonly number[]): MemoryKms {
    return new MemoryKms(name, { recognizes: (uri) => indices.some((i) => uri === uris[i]) });
  }

  test("a master key that recognizes all sixteen wraps is asked for the first three", async () => {
    const alias = new MemoryKms("memory:alias", { recognizes: () => true });
    const error = await rejection(keyfoldWith({ masterKeys: alias }).open(await hostile(), context));
    expect(error.code).toBe("ERR_UNWRAP_FAILED");
    expect(alias.asked).toEqual(["memory:key0", "memory:key1", "memory:key2"]);
  });

  test("they are the first three of those that it recognizes", async () => {
    const alias = recognizing("memory:alias", 14, 5, 12, 9);
    const error = await rejection(keyfoldWith({ masterKeys: alias }).open(await hostile(), context));
    expect(error.code).toBe("ERR_UNWRAP_FAILED");
    expect(alias.asked).toEqual(["memory:key5", "memory:key9", "memory:key12"]);
  });

  test("the master keys have their turns in the opener's order, and each has its wraps in the envelope's order", async () => {
    const first = recognizing("memory:first", 15, 3);
    const second = recognizing("memory:second", 8, 0, 1, 2);
    const third = recognizing("memory:third", 4);
    const keyfold = keyfoldWith({ masterKeys: [first, second], openWith: third });
    const error = await rejection(keyfold.open(await hostile(), context));
    expect(error.code).toBe("ERR_UNWRAP_FAILED");
    expect(error.attempts?.map(({ provider, masterKey }) => [provider, masterKey])).toEqual([
      ["memory:first", "memory:key3"],
      ["memory:first", "memory:key15"],
      ["memory:second", "memory:key0"],
      ["memory:second", "memory:key1"],
      ["memory:second", "memory:key2"],
      ["memory:third", "memory:key4"],
    ]);
  });

  test("the third wrap may be the right one, and a fourth is not tried even if it is", async () => {
    const kms = new MemoryKms("memory:key", { recognizes: () => true });
    const sealed = await sealedBy(kms);
    const right = wrapsOf(sealed);
    const wrong = (count: number) =>
      uris.slice(0, count).map((masterKey) => ({ masterKey, ciphertext: new Uint8Array(60) }));
    const open = (wraps: typeof right) =>
      rejection(keyfoldWith({ masterKeys: kms }).open(withHeader(sealed, { wraps }), context));
    // A changed header never opens, but only a key that was unwrapped can tell.
    expect((await open([...wrong(2), ...right])).code).toBe("ERR_HEADER_REJECTED");
    expect((await open([...wrong(3), ...right])).code).toBe("ERR_UNWRAP_FAILED");
  });
});

describe("unauthenticated wraps are refused", () => {
  const forgeable = (name = "memory:rsa") => new MemoryKms(name, { authenticatesWraps: false });

  test("when opening: they are not even tried", async () => {
    const rsa = forgeable();
    const sealed = await keyfoldWith({ masterKeys: rsa, acceptUnauthenticatedWraps: true }).seal(
      "secret",
      context,
    );
    const error = await rejection(keyfoldWith({ openWith: rsa }).open(sealed, context));
    expect(error.code).toBe("ERR_UNAUTHENTICATED_WRAP");
    expect(rsa.unwraps).toBe(0);
  });

  test("when opening: acceptUnauthenticatedWraps opens them", async () => {
    const masterKeys = forgeable();
    const options = { masterKeys, acceptUnauthenticatedWraps: true };
    const sealed = await keyfoldWith(options).seal("secret", context);
    expect(await keyfoldWith(options).openText(sealed, context)).toBe("secret");
  });

  test("when opening: beside an authenticated wrap that fails, they are no way out", async () => {
    const [rsa, aes] = [forgeable(), new MemoryKms("memory:aes")];
    const sealed = await sealedBy([rsa, aes]);
    aes.failing = "ERR_MASTER_KEY_DENIED";
    const error = await rejection(keyfoldWith({ masterKeys: [rsa, aes] }).open(sealed, context));
    expect(error.code).toBe("ERR_MASTER_KEY_DENIED");
    expect(rsa.unwraps).toBe(0);
  });

  test("when sealing under master keys of which none authenticates, before any is called", async () => {
    const masterKeys = [forgeable("memory:rsa1"), forgeable("memory:rsa2")];
    const error = await rejection(keyfoldWith({ masterKeys }).seal("secret", context));
    expect(error.code).toBe("ERR_UNAUTHENTICATED_WRAP");
    expect(masterKeys.map(({ wraps }) => wraps)).toEqual([0, 0]);
  });

  test("when sealing: one that authenticates is enough, and the other's wrap is there too", async () => {
    const masterKeys = [forgeable(), new MemoryKms("memory:aes")];
    const keyfold = keyfoldWith({ masterKeys });
    const sealed = await keyfold.seal("secret", context);
    expect(keyfold.inspect(sealed).masterKeys).toEqual(["memory:rsa", "memory:aes"]);
    expect(await keyfoldWith({ masterKeys }).openText(sealed, context)).toBe("secret");
  });

  test("when sealing with a policy: if the only one that wrapped is unauthenticated", async () => {
    const [rsa, aes] = [forgeable(), new MemoryKms("memory:aes")];
    aes.failing = "ERR_MASTER_KEY_DENIED";
    const options = { masterKeys: [rsa, aes], wrapPolicy: { atLeast: 1 } };
    const error = await rejection(keyfoldWith(options).seal("secret", context));
    expect(error.code).toBe("ERR_UNAUTHENTICATED_WRAP");
    expect(rsa.wraps).toBe(1);
    const accepting = keyfoldWith({ ...options, acceptUnauthenticatedWraps: true });
    expect(accepting.inspect(await accepting.seal("secret", context)).masterKeys).toEqual(["memory:rsa"]);
  });
});

describe("a KDK that came from an envelope only opens", () => {
  test("a process that has opened another's envelope seals under a KDK of its own", async () => {
    const kms = new MemoryKms();
    const foreign = await sealedBy(kms);
    const keyfold = keyfoldWith({ masterKeys: kms });
    await keyfold.open(foreign, context);
    const own = await keyfold.seal("mine", context);
    expect(kms.wraps).toBe(2);
    expect(keyfold.inspect(own).kdkId).not.toBe(keyfold.inspect(foreign).kdkId);
    expect(wrapsOf(own)).not.toEqual(wrapsOf(foreign));
  });

  test("having opened makes nobody ready to seal synchronously", async () => {
    const kms = new MemoryKms();
    const keyfold = keyfoldWith({ masterKeys: kms });
    await keyfold.open(await sealedBy(kms), context);
    expect(() => keyfold.sealSync("mine", context)).toThrow(
      expect.objectContaining({ code: "ERR_NOT_READY" }),
    );
  });

  test("rewrap takes the message to the process's own KDK, never to the envelope's", async () => {
    const kms = new MemoryKms();
    const foreign = await sealedBy(kms);
    const keyfold = keyfoldWith({ masterKeys: kms });
    const { kdkId } = keyfold.inspect(await keyfold.rewrap(foreign));
    expect(kdkId).not.toBe(keyfold.inspect(foreign).kdkId);
    expect(kdkId).toBe(keyfold.inspect(await keyfold.seal("mine", context)).kdkId);
  });

  test("a KDK of an attacker's making, in a wrap that its public key made, seals nothing here", async () => {
    const rsa = new MemoryKms("memory:rsa", { authenticatesWraps: false });
    const options = { masterKeys: rsa, acceptUnauthenticatedWraps: true };
    const planted = await keyfoldWith(options).seal("bait", context);
    const victim = keyfoldWith(options);
    for (let i = 0; i < 3; i++) await victim.open(planted, context);
    const sealed = await victim.seal("mine", context);
    expect(victim.inspect(sealed).kdkId).not.toBe(victim.inspect(planted).kdkId);
  });
});
