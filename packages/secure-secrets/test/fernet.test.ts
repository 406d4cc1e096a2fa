import { createCipheriv, createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";
import { refusalOf } from "../../../test/support/refusal.ts";
import { type Fernet, fernet, newFernet } from "../src/fernet.ts";
import { cryptoCalls } from "./support/crypto-spies.ts";
import { keyBytes, keyText } from "./support/material.ts";

const NOW = 1_700_000_000_000;
const box = fernet(keyText);

describe("a token", () => {
  test("gives the plaintext back, of any bytes and any length", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (plaintext) => {
        const token = box.encrypt(plaintext);
        expect(token).toMatch(/^gAAAAA[\w-]+={0,2}$/);
        expect(token.length % 4).toBe(0);
        expect(box.decrypt(token)).toEqual(plaintext);
      }),
    );
  });

  test("gives text back, a leading U+FEFF and a NUL with it", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        expect(box.decryptText(box.encrypt(`\ufeff${text}\0`))).toBe(`\ufeff${text}\0`);
      }),
    );
  });

  test("is read from its ASCII bytes as well, also from a view into a larger buffer", () => {
    const token = new TextEncoder().encode(`x${box.encrypt("hello")}`);
    expect(box.decryptText(token.subarray(1))).toBe("hello");
  });

  test("differs each time, and says when it was made, in whole seconds", () => {
    const [first, second] = [0, 0].map(() => Buffer.from(box.encrypt("", { now: NOW + 999 }), "base64url"));
    expect(first).not.toEqual(second);
    expect(first?.readBigUInt64BE(1)).toBe(BigInt(NOW / 1_000));
    const seconds = Number(Buffer.from(box.encrypt(""), "base64url").readBigUInt64BE(1));
    expect(Math.abs(seconds - Date.now() / 1_000)).toBeLessThan(60);
  });

  test("of bytes that are no UTF-8 is not text", () => {
    const token = box.encrypt(Uint8Array.of(0xff));
    expect(refusalOf(() => box.decryptText(token)).code).toBe("ERR_NOT_TEXT");
    expect(box.decrypt(token)).toEqual(Uint8Array.of(0xff));
  });

  test("of another key is refused, be it another in one half only", () => {
    for (const at of [0, 15, 16, 31]) {
      const other = fernet(
        Buffer.from(keyBytes.map((byte, i) => (i === at ? byte ^ 1 : byte)))
          .toString("base64url")
          .concat("="),
      );
      const { code, message } = refusalOf(() => other.decrypt(box.encrypt("hello")));
      expect(code).toBe("ERR_FERNET_INVALID");
      expect(message).toContain(at < 16 ? "HMAC" : "padding");
    }
  });
});

describe("a token is verified", () => {
  test("in constant time, before anything is decrypted", () => {
    const token = box.encrypt("hello");
    const calls = cryptoCalls("createHmac", "timingSafeEqual", "createDecipheriv");
    box.decrypt(token);
    expect(calls).toEqual(["createHmac", "timingSafeEqual", "createDecipheriv"]);
  });

  test("and never decrypted where its HMAC differs or its time is over", () => {
    const token = box.encrypt("hello", { now: NOW });
    const calls = cryptoCalls("createHmac", "timingSafeEqual", "createDecipheriv");
    const later = { timeToLive: 1_000, now: NOW + 5_000 };
    expect(refusalOf(() => newFernet().decrypt(token)).code).toBe("ERR_FERNET_INVALID");
    expect(refusalOf(() => box.decrypt(token, later)).code).toBe("ERR_FERNET_EXPIRED");
    expect(refusalOf(() => newFernet().decrypt(token, later)).code).toBe("ERR_FERNET_INVALID");
    expect(calls).toEqual([
      "createHmac",
      "timingSafeEqual",
      "createHmac",
      "timingSafeEqual",
      "createHmac",
      "timingSafeEqual",
    ]);
  });

  test("and is refused where an authentic one is malformed inside", () => {
    const iv = new Uint8Array(16);
    const cases = {
      version: signed([0x81, 0, 0, 0, 0, 0, 0, 0, 0, ...iv, ...iv]),
      blocks: signed([0x80, 0, 0, 0, 0, 0, 0, 0, 0, ...iv, ...iv, 0]),
      "bytes or more": signed([0x80, 0, 0, 0, 0, 0, 0, 0, 0, ...iv]),
      padding: signed([0x80, 0, 0, 0, 0, 0, 0, 0, 0, ...iv, ...unpadded(new Uint8Array(16))]),
      "PKCS #7": signed([0x80, 0, 0, 0, 0, 0, 0, 0, 0, ...iv, ...unpadded(new Uint8Array(16).fill(17))]),
    };
    for (const [detail, token] of Object.entries(cases)) {
      const { code, message } = refusalOf(() => box.decrypt(token));
      expect(code, detail).toBe("ERR_FERNET_INVALID");
      expect(message).toContain(detail);
    }
  });
});

describe("the time of a token", () => {
  const token = box.encrypt("hello", { now: NOW });
  const outcome = (options: Parameters<Fernet["decrypt"]>[1]): string => {
    try {
      return box.decryptText(token, options);
    } catch (error) {
      return (error as { code: string }).code;
    }
  };

  test.each([
    ["is not looked at without a time to live", {}, "hello"],
    ["is not looked at without one, though it is decades away", { now: 0 }, "hello"],
    ["is over after its time to live", { timeToLive: 60_000, now: NOW + 61_000 }, "ERR_FERNET_EXPIRED"],
    ["is not over at its time to live, in whole seconds", { timeToLive: 60_000, now: NOW + 60_999 }, "hello"],
    ["may be now, with no time to live at all", { timeToLive: 0, now: NOW }, "hello"],
    ["may lie a minute in the future", { timeToLive: 60_000, now: NOW - 60_000 }, "hello"],
    ["may not lie further in the future", { timeToLive: 60_000, now: NOW - 61_000 }, "ERR_FERNET_INVALID"],
    [
      "may lie as far in the future as clockSkew",
      { timeToLive: 1, clockSkew: 5_000, now: NOW - 5_000 },
      "hello",
    ],
    ["and no further", { timeToLive: 1, clockSkew: 5_000, now: NOW - 6_000 }, "ERR_FERNET_INVALID"],
    ["is looked at for clockSkew alone", { clockSkew: 0, now: NOW - 1_000 }, "ERR_FERNET_INVALID"],
    ["is then not too old", { clockSkew: 0, now: NOW + 1e12 }, "hello"],
  ])("%s", (_, options, expected) => {
    expect(outcome(options)).toBe(expected);
  });

  test("is an unsigned number of 64 bits", () => {
    const iv = new Uint8Array(16);
    const last = signed([
      0x80,
      ...new Uint8Array(8).fill(255),
      ...iv,
      ...unpadded(new Uint8Array(16).fill(16)),
    ]);
    expect(box.decrypt(last)).toEqual(new Uint8Array(0));
    expect(refusalOf(() => box.decrypt(last, { timeToLive: 1 })).code).toBe("ERR_FERNET_INVALID");
  });
});

describe("a wrong argument", () => {
  test.each([
    ["a key without its padding", keyText.slice(0, -1)],
    ["a key of 31 bytes", Buffer.alloc(31).toString("base64url").concat("==")],
    ["a key of 33 bytes", Buffer.alloc(33).toString("base64url")],
    ["a key in base64", Buffer.from(keyBytes).toString("base64")],
    ["a key with a line break", `${keyText}\n`],
    ["a key with bits that no byte has", keyText.replace(/.=$/, "N=")],
    ["no text", ""],
  ])("%s", (_, key) => {
    expect(refusalOf(() => fernet(key)).code).toBe("ERR_INVALID_ARGUMENT");
  });

  test("of another kind", () => {
    const wrong: (() => unknown)[] = [
      // @ts-expect-error A key is text.
      () => fernet(Uint8Array.from(keyBytes)),
      // @ts-expect-error A token is text or bytes.
      () => box.decrypt(1),
      // @ts-expect-error So is a plaintext.
      () => box.encrypt(null),
      () => box.encrypt("\ud800"),
      // @ts-expect-error No such option: it is timeToLive.
      () => box.decrypt(box.encrypt(""), { ttl: 60 }),
      () => box.decrypt(box.encrypt(""), { timeToLive: -1 }),
      () => box.decrypt(box.encrypt(""), { timeToLive: Number.NaN }),
      () => box.decrypt(box.encrypt(""), { clockSkew: -1 }),
      () => box.decrypt(box.encrypt(""), { now: Number.NaN }),
      () => box.encrypt("", { now: -1 }),
    ];
    for (const action of wrong) expect(refusalOf(action).code).toBe("ERR_INVALID_ARGUMENT");
  });
});

test("a key goes out as it came in, and a new one is new", () => {
  expect(box.exportKey()).toBe(keyText);
  const one = newFernet();
  expect(fernet(one.exportKey()).decryptText(one.encrypt("hello"))).toBe("hello");
  expect(one.exportKey()).not.toBe(newFernet().exportKey());
  expect(one.exportKey()).toMatch(/^[\w-]{43}=$/);
});

test("types", () => {
  expectTypeOf(box.encrypt).returns.toEqualTypeOf<string>();
  expectTypeOf(box.decrypt).returns.toEqualTypeOf<Uint8Array<ArrayBuffer>>();
  expectTypeOf(box.decryptText).returns.toEqualTypeOf<string>();
});

/** A token whose HMAC is right, whatever is in it. */
function signed(bytes: readonly number[]): string {
  const all = Uint8Array.from(bytes);
  const hmac = createHmac("sha256", Uint8Array.from(keyBytes.slice(0, 16)))
    .update(all)
    .digest();
  const text = Buffer.concat([all, hmac]).toString("base64url");
  return text.padEnd(Math.ceil(text.length / 4) * 4, "=");
}

/** AES-128-CBC under an IV of zeros, of whole blocks as they are. */
function unpadded(blocks: Uint8Array): Uint8Array {
  const key = Uint8Array.from(keyBytes.slice(16));
  const cipher = createCipheriv("aes-128-cbc", key, new Uint8Array(16)).setAutoPadding(false);
  return Buffer.concat([cipher.update(blocks), cipher.final()]);
}
