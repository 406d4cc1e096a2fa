import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { refusalOf } from "../../../test/support/refusal.ts";
import { decodeBase64, encodeBase64 } from "../src/base64.ts";
import { fernet } from "../src/fernet.ts";
import { formatToken, parseToken, signedPart } from "../src/token.ts";
import { keyText } from "./support/material.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

describe("base64url with its padding", () => {
  test("is that of RFC 4648, section 10, in its alphabet for URLs", () => {
    const vectors = {
      "": "",
      f: "Zg==",
      fo: "Zm8=",
      foo: "Zm9v",
      foob: "Zm9vYg==",
      fooba: "Zm9vYmE=",
      foobar: "Zm9vYmFy",
    };
    for (const [text, encoded] of Object.entries(vectors)) {
      expect(encodeBase64(Buffer.from(text))).toBe(encoded);
      expect(decodeBase64(encoded)).toEqual(Uint8Array.from(Buffer.from(text)));
    }
    expect(encodeBase64(Uint8Array.of(0xfb, 0xff))).toBe("-_8=");
  });

  test("has one text for each string of bytes: what decodes is what encodes to it", () => {
    const texts = fc.string({ unit: fc.constantFrom(...`${ALPHABET}+/= \n\0ä`), maxLength: 12 });
    fc.assert(
      fc.property(texts, (text) => {
        const bytes = decodeBase64(text);
        const isStrict = /^(?:[\w-]{4})*(?:[\w-][AQgw]==|[\w-]{2}[AEIMQUYcgkosw048]=)?$/.test(text);
        expect(bytes !== undefined).toBe(isStrict);
        if (bytes !== undefined) expect(encodeBase64(bytes)).toBe(text);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("the codec", () => {
  const parts = fc.record({
    timestamp: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    iv: bytesOf(16),
    ciphertext: fc.integer({ min: 1, max: 8 }).chain((blocks) => bytesOf(16 * blocks)),
    hmac: bytesOf(32),
  });

  test("reads what it writes", () => {
    fc.assert(
      fc.property(parts, ({ timestamp, iv, ciphertext, hmac }) => {
        const signed = signedPart(timestamp, iv, ciphertext);
        expect(parseToken(formatToken(signed, hmac))).toEqual({ timestamp, iv, ciphertext, hmac, signed });
      }),
    );
  });

  test("reads what is 0x80 and 73 bytes or whole blocks more, and refuses all else", () => {
    const tokens = fc.tuple(
      fc.constantFrom(0x80, 0x80, 0x80, 0, 0x7f, 0x81),
      fc.uint8Array({ maxLength: 150 }),
    );
    fc.assert(
      fc.property(tokens, ([version, rest]) => {
        const text = encodeBase64(Uint8Array.of(version, ...rest));
        const length = rest.length + 1;
        if (version === 0x80 && length >= 73 && (length - 73) % 16 === 0) {
          const { signed, hmac } = parseToken(text);
          expect(formatToken(signed, hmac)).toBe(text);
        } else expect(refusalOf(() => parseToken(text)).code).toBe("ERR_FERNET_INVALID");
      }),
      { numRuns: 2_000 },
    );
  });

  test("refuses any text and any bytes that are no token, with a code", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.uint8Array()), (text) => {
        expect(refusalOf(() => parseToken(text)).code).toBe("ERR_FERNET_INVALID");
      }),
    );
  });
});

describe("an altered token is refused", () => {
  const box = fernet(keyText);
  const tokens = ["", "hello", "a secret of more than sixteen bytes"].map((text) => box.encrypt(text));
  const refused = (token: string | Uint8Array) =>
    refusalOf(() => box.decrypt(token)).code === "ERR_FERNET_INVALID";

  test("at every byte, whatever it is instead", () => {
    for (const token of tokens) {
      const bytes = Buffer.from(token, "base64url");
      for (let at = 0; at < bytes.length; at++) {
        for (let mask = 1; mask < 256; mask++) {
          const altered = Uint8Array.from(bytes);
          altered[at] = (altered[at] ?? 0) ^ mask;
          if (!refused(encodeBase64(altered))) expect.fail(`byte ${at} ^ ${mask} is accepted`);
        }
      }
    }
  });

  test("at every character, whatever it is instead", () => {
    for (const token of tokens) {
      for (let at = 0; at < token.length; at++) {
        for (const other of `${ALPHABET}+/= \n\r\0%ä`) {
          if (other === token[at]) continue;
          const altered = token.slice(0, at) + other + token.slice(at + 1);
          if (!refused(altered)) expect.fail(`character ${at} as ${JSON.stringify(other)} is accepted`);
        }
      }
    }
  });

  test("wherever it is cut, and whatever is added", () => {
    for (const token of tokens) {
      for (let length = 0; length < token.length; length++) {
        expect(refused(token.slice(0, length))).toBe(true);
        expect(refused(token.slice(length + 1))).toBe(true);
        expect(refused(`${token.slice(0, length)}\n${token.slice(length)}`)).toBe(true);
      }
      for (const added of ["=", "A", "AAAA", "\n", " ", token]) {
        expect(refused(token + added)).toBe(true);
        expect(refused(added + token)).toBe(true);
      }
    }
  });

  test("at every bit of its ASCII bytes", () => {
    for (const token of tokens) {
      const ascii = new TextEncoder().encode(token);
      for (let at = 0; at < ascii.length * 8; at++) {
        const altered = ascii.map((byte, i) => (i === at >> 3 ? byte ^ (1 << (at & 7)) : byte));
        expect(refused(altered)).toBe(true);
      }
    }
  });
});
