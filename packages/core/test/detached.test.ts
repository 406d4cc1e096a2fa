import { describe, expect, test } from "vitest";
import { concat } from "../src/bytes.ts";
import { context, keyfoldWith, rejection, wrapsOf } from "./support/behaviour.ts";
import { MemoryKms } from "./support/memory-kms.ts";
import { codeOf } from "./support/refusal.ts";

const detached = { detached: true } as const;

/** Sealed by one process, to be opened by another with the same master key. */
async function sealedApart(plaintext: string | Uint8Array = "secret") {
  const kms = new MemoryKms();
  const parts = await keyfoldWith({ masterKeys: kms }).seal(plaintext, context, detached);
  return { kms, ...parts, opener: keyfoldWith({ masterKeys: kms }) };
}

describe("a detached envelope", () => {
  test("is an envelope in two parts, each in memory of its own", async () => {
    const { header, message, opener } = await sealedApart();
    const whole = concat(header, message);
    expect(opener.inspect(whole)).toMatchObject({ headerBytes: header.length, messageBytes: message.length });
    expect(await opener.openText(whole, context)).toBe("secret");
    expect([header.buffer.byteLength, message.buffer.byteLength]).toEqual([header.length, message.length]);
  });

  test("opens as a pair, through every door", async () => {
    const { header, message, opener } = await sealedApart();
    const pair = { header, message };
    expect(await opener.openText(pair, context)).toBe("secret");
    expect(Buffer.from(await opener.open(pair, context)).toString()).toBe("secret");
    expect(opener.openTextSync(pair, context)).toBe("secret");
    expect(Buffer.from(opener.openSync(pair, context)).toString()).toBe("secret");
  });

  test("holds a plaintext of many chunks, and of none", async () => {
    for (const length of [0, 16_383, 16_384, 50_000]) {
      const plaintext = new Uint8Array(length).fill(7);
      const { header, message, opener } = await sealedApart(plaintext);
      expect(await opener.open({ header, message }, context)).toEqual(plaintext);
    }
  });

  test("is sealed from memory as well as with a call", async () => {
    const kms = new MemoryKms();
    const keyfold = keyfoldWith({ masterKeys: kms });
    const [first, second] = [
      await keyfold.seal("one", context, detached),
      await keyfold.seal("two", context, detached),
    ];
    expect(await Promise.all([first, second].map((pair) => keyfold.openText(pair, context)))).toEqual([
      "one",
      "two",
    ]);
    expect([kms.wraps, keyfold.stats().seals]).toEqual([1, 2]);
  });

  test("is refused with bytes after its header, and with a header that is cut", async () => {
    const { header, message, opener } = await sealedApart();
    const longer = concat(header, Uint8Array.of(0));
    for (const wrong of [longer, header.subarray(0, -1)]) {
      const error = await rejection(opener.open({ header: wrong, message }, context));
      expect(error.code).toBe("ERR_MALFORMED_ENVELOPE");
    }
  });

  test("is refused with another envelope's header or message", async () => {
    const { kms, header, message, opener } = await sealedApart();
    const other = await keyfoldWith({ masterKeys: kms }).seal("other", context, detached);
    for (const pair of [
      { header, message: other.message },
      { header: other.header, message },
    ]) {
      expect((await rejection(opener.open(pair, context))).code).toBe("ERR_CONTEXT_MISMATCH");
    }
  });

  test("is refused with a message that is cut, before any call", async () => {
    const { kms, header, message, opener } = await sealedApart();
    const error = await rejection(opener.open({ header, message: message.subarray(0, 60) }, context));
    expect([error.code, kms.unwraps]).toEqual(["ERR_MESSAGE_TRUNCATED", 0]);
  });

  test("is refused where a part is no Uint8Array", async () => {
    const { header, message, opener } = await sealedApart();
    const text = "text" as unknown as Uint8Array;
    for (const pair of [
      { header: text, message },
      { header, message: text },
    ]) {
      expect((await rejection(opener.open(pair, context))).code).toBe("ERR_INVALID_ARGUMENT");
      expect(codeOf(() => opener.openSync(pair, context))).toBe("ERR_INVALID_ARGUMENT");
    }
  });
});

describe("rewrap of a detached header", () => {
  test("gives the new header alone, and the message stays", async () => {
    const { kms, header, message } = await sealedApart();
    const next = new MemoryKms("memory:next");
    const mover = keyfoldWith({ masterKeys: next, openWith: kms });
    const moved = await mover.rewrap(header, detached);
    expect(wrapsOf(moved).map(({ masterKey }) => masterKey)).toEqual(["memory:next"]);
    expect(moved.buffer.byteLength).toBe(moved.length);
    const opener = keyfoldWith({ openWith: next });
    expect(await opener.openText({ header: moved, message }, context)).toBe("secret");
    expect(await opener.openText(concat(moved, message), context)).toBe("secret");
  });

  test("is refused where bytes stand after the header", async () => {
    const { header, message, opener } = await sealedApart();
    const error = await rejection(opener.rewrap(concat(header, message), detached));
    expect(error.code).toBe("ERR_MALFORMED_ENVELOPE");
  });

  test("is not taken for that of an envelope whose message is lost", async () => {
    const { header, opener } = await sealedApart();
    expect((await rejection(opener.rewrap(header))).code).toBe("ERR_MESSAGE_TRUNCATED");
  });

  test("is refused with sealOnly, and without masterKeys", async () => {
    const { kms, header } = await sealedApart();
    for (const options of [{ masterKeys: kms, sealOnly: true }, { openWith: kms }]) {
      expect((await rejection(keyfoldWith(options).rewrap(header, detached))).code).toBe(
        "ERR_NOT_CONFIGURED",
      );
    }
  });
});
