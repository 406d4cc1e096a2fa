import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Base64url,
  bufferBase64url,
  concat,
  copyOf,
  decodeBase64url,
  decodeUtf8,
  encodeBase64url,
  encodeUtf8,
  equalBytes,
  lengthPrefixed,
  readU16,
  standardBase64url,
  toHex,
  toLatin1,
  writeU16,
} from "../src/bytes.ts";
import { hex } from "./support/hex.ts";

const anyText = fc.string({ unit: "binary" });
const loneSurrogates = ["\ud800", "\udbff", "\udc00", "\udfff", "a\ud83d", "\ude00\ud83d", "\ud83dx\ude00"];

describe("base64url", () => {
  const implementations = { standard: standardBase64url, buffer: bufferBase64url };

  test.each(Object.entries(implementations))("the %s one encodes what RFC 4648 lists", (_, { encode }) => {
    const rfc4648 = { "": "", f: "Zg", fo: "Zm8", foo: "Zm9v", foob: "Zm9vYg", fooba: "Zm9vYmE" };
    for (const [plain, text] of Object.entries(rfc4648)) expect(encode(Buffer.from(plain))).toBe(text);
    expect(encode(Uint8Array.of(0xfb, 0xff))).toBe("-_8");
  });

  test("both encode alike and decode each other's text, whatever memory the bytes are a view of", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat({ max: 5 }), (whole, from) => {
        const bytes = whole.subarray(from);
        const text = standardBase64url.encode(bytes);
        expect(bufferBase64url.encode(bytes)).toBe(text);
        expect(encodeBase64url(bytes)).toBe(text);
        for (const decode of [standardBase64url.decode, bufferBase64url.decode, decodeBase64url])
          expect(hex(decode(text) ?? Uint8Array.of(0xbad))).toBe(hex(bytes));
      }),
    );
  });

  test.each([
    ["padding that is complete", "Zg=="],
    ["padding of one", "Zm8="],
    ["padding where none is due", "Zm9v="],
    ["padding alone", "="],
    ["a plus", "+_8A"],
    ["a slash", "-/8A"],
    ["the other alphabet", "+/8"],
    ["a space before", " Zm9v"],
    ["a space between", "Zm 9v"],
    ["a newline after", "Zm9v\n"],
    ["a tab after", "Zm9v\t"],
    ["a carriage return after", "Zm9v\r"],
    ["a no-break space", "Zm9v\u00a0"],
    ["a byte order mark", "\ufeffZm9v"],
    ["a zero character", "Zm9v\0"],
    ["an unused bit after one byte", "Zh"],
    ["every unused bit after one byte", "Zv"],
    ["an unused bit after two bytes", "Zm9"],
    ["a letter beyond ASCII", "Zm9é"],
    ["a character whose low byte is in the alphabet", "Zm9\u0141"],
    ["a fullwidth letter", "\uff3am9v"],
    ["an astral character", "Zm9v\u{1f511}"],
    ["a lone surrogate", "Zm9v\ud800"],
    ["a full stop", "Zm9v."],
    ["a length of 1", "Z"],
    ["a length of 5", "Zm9vZ"],
  ])("%s is refused", (_, text) => {
    expect(decodeBase64url(text)).toBeUndefined();
    for (const { decode, encode } of Object.values(implementations))
      expect(strictly({ decode, encode }, text)).toBeUndefined();
  });

  test("what decodes is the text of what it decodes to, and both implementations agree what does", () => {
    const unit = fc.oneof(
      { weight: 12, arbitrary: fc.constantFrom(..."AQgwZz09-_") },
      fc.constantFrom(..."=+/ \n\té\u0141\u{1f511}"),
    );
    let decoded = 0;
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 12 }), (text) => {
        const bytes = decodeBase64url(text);
        for (const implementation of Object.values(implementations))
          expect(strictly(implementation, text)).toBe(bytes && hex(bytes));
        if (bytes === undefined) return;
        expect(encodeBase64url(bytes)).toBe(text);
        if (bytes.length > 0) decoded++;
      }),
      { numRuns: 2_000 },
    );
    expect(decoded).toBeGreaterThan(50);
  });

  /** What `decodeBase64url` does, on an implementation that is named. */
  function strictly({ decode, encode }: Base64url, text: string): string | undefined {
    const bytes = decode(text);
    return bytes !== undefined && encode(bytes) === text ? hex(bytes) : undefined;
  }
});

describe("UTF-8", () => {
  test("any well-formed text is encoded as Node encodes it, and comes back", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const bytes = encodeUtf8(text) ?? new Uint8Array(0);
        expect(hex(bytes)).toBe(Buffer.from(text, "utf8").toString("hex"));
        expect(decodeUtf8(bytes)).toBe(text);
      }),
    );
  });

  test("encoded bytes are in memory of their own", () => {
    const first = encodeUtf8("first") ?? expect.fail("not encoded");
    const second = encodeUtf8("second") ?? expect.fail("not encoded");
    expect(first.buffer).not.toBe(second.buffer);
    expect(first.buffer.byteLength).toBe(first.length);
  });

  test.each(loneSurrogates)("%j has no encoding", (text) => {
    expect(encodeUtf8(text)).toBeUndefined();
  });

  test.each([
    ["a lone continuation byte", [0x80]],
    ["a sequence that is cut", [0x61, 0xc3]],
    ["an overlong slash", [0xc0, 0xaf]],
    ["an overlong zero of three bytes", [0xe0, 0x80, 0x80]],
    ["an encoded surrogate", [0xed, 0xa0, 0x80]],
    ["a code point over U+10FFFF", [0xf4, 0x90, 0x80, 0x80]],
    ["a byte that UTF-8 never has", [0xff]],
  ])("%s does not decode, and does not disturb the next decoding", (_, bytes) => {
    expect(decodeUtf8(Uint8Array.from(bytes))).toBeUndefined();
    expect(decodeUtf8(Uint8Array.of(0x6f, 0x6b))).toBe("ok");
  });

  test("what decodes encodes to the same bytes", () => {
    const bytes = fc.array(fc.constantFrom(0x61, 0x80, 0xa9, 0xbf, 0xc3, 0xe2, 0xed, 0xef, 0xf0), {
      maxLength: 5,
    });
    fc.assert(
      fc.property(bytes, (units) => {
        const input = Uint8Array.from(units);
        const text = decodeUtf8(input);
        if (text === undefined) expect(Buffer.from(input).toString("utf8")).toContain("\ufffd");
        else expect(hex(encodeUtf8(text) ?? new Uint8Array(0))).toBe(hex(input));
      }),
      { numRuns: 1_000 },
    );
  });

  test("U+FEFF is kept, at the beginning too", () => {
    expect(decodeUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61))).toBe("\ufeffa");
    expect(hex(encodeUtf8("\ufeffa\ufeff") ?? new Uint8Array(0))).toBe("efbbbf61efbbbf");
  });
});

describe("toLatin1", () => {
  const everyByte = Uint8Array.from({ length: 256 }, (_, byte) => byte);

  test.each([0, 1, 2, 63, 64, 65, 66, 127, 128, 256])("of %i bytes is one character for each", (length) => {
    for (const start of [0, 0x40, 0x80, 0xa0]) {
      const bytes = Uint8Array.from({ length }, (_, i) => (start + i) & 0xff);
      expect(toLatin1(bytes)).toBe(Buffer.from(bytes).toString("latin1"));
    }
  });

  test.each([1, 64, 65])("maps each byte to the character of that number, %i at a time", (length) => {
    for (const byte of everyByte)
      expect(toLatin1(new Uint8Array(length).fill(byte))).toBe(String.fromCharCode(byte).repeat(length));
  });

  test("reads a view, not the memory behind it", () => {
    expect(toLatin1(everyByte.subarray(0x41, 0x44))).toBe("ABC");
    expect(toLatin1(everyByte.subarray(0x20, 0x7f))).toHaveLength(0x5f);
  });
});

describe("toHex", () => {
  test("writes two lower-case digits for each byte", () => {
    expect(toHex(new Uint8Array(0))).toBe("");
    expect(toHex(Uint8Array.of(0x00, 0x0f, 0xf0, 0xff, 0xab))).toBe("000ff0ffab");
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(toHex(bytes)).toBe(hex(bytes));
      }),
    );
  });
});

describe("concat", () => {
  test("joins what it is given, in order, into memory of its own", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), (parts) => {
        const whole = concat(...parts);
        expect(hex(whole)).toBe(parts.map(hex).join(""));
        expect(whole.buffer.byteLength).toBe(whole.length);
      }),
    );
  });

  test("of one part is a copy of it, and of none is empty", () => {
    const part = Uint8Array.of(1, 2, 3);
    const whole = concat(part);
    part.fill(9);
    expect(hex(whole)).toBe("010203");
    expect(concat()).toHaveLength(0);
  });
});

describe("copyOf", () => {
  test("copies the view and nothing of the memory around it", () => {
    const memory = Uint8Array.of(0, 1, 2, 3, 4, 5);
    const copy = copyOf(memory.subarray(2, 4));
    expect(hex(copy)).toBe("0203");
    expect(copy.byteOffset).toBe(0);
    expect(copy.buffer.byteLength).toBe(2);
  });

  test("does not alias, in either direction", () => {
    const original = Uint8Array.of(1, 2, 3);
    const copy = copyOf(original);
    original[0] = 0x77;
    copy[1] = 0x88;
    expect(hex(original)).toBe("770203");
    expect(hex(copy)).toBe("018803");
  });

  test("turns a Buffer of the pool into a Uint8Array that is not of the pool", () => {
    const copy = copyOf(Buffer.from("pooled"));
    expect(Buffer.isBuffer(copy)).toBe(false);
    expect(copy.buffer.byteLength).toBe(6);
  });
});

describe("equalBytes", () => {
  test("says whether length and every byte are the same", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3 }), fc.uint8Array({ maxLength: 3 }), (a, b) => {
        expect(equalBytes(a, b)).toBe(hex(a) === hex(b));
        expect(equalBytes(a, a.slice())).toBe(true);
      }),
    );
  });

  test("sees a difference at any place, and bytes that only one of them has", () => {
    const bytes = Uint8Array.of(1, 2, 3, 4);
    for (const at of bytes.keys()) {
      expect(equalBytes(bytes, bytes.with(at, 0))).toBe(false);
      expect(equalBytes(bytes, bytes.subarray(0, at))).toBe(false);
      expect(equalBytes(bytes.subarray(0, at), bytes)).toBe(false);
    }
  });
});

describe("u16", () => {
  test("is big-endian, for all 65,536 values", () => {
    const bytes = new Uint8Array(4);
    for (let value = 0; value <= 0xffff; value++) {
      writeU16(bytes, 1, value);
      if (readU16(bytes, 1) !== value || bytes[1] !== value >> 8 || bytes[2] !== value % 256)
        expect.fail(`${value} became ${hex(bytes)}`);
    }
    expect([bytes[0], bytes[3]]).toEqual([0, 0]);
  });

  test("lengthPrefixed is the length, then the bytes, as many as 65,535 of them", () => {
    expect(hex(lengthPrefixed(new Uint8Array(0)))).toBe("0000");
    expect(hex(lengthPrefixed(Uint8Array.of(0xaa, 0xbb)))).toBe("0002aabb");
    const longest = lengthPrefixed(new Uint8Array(0xffff).fill(0xcc));
    expect(hex(longest.subarray(0, 3))).toBe("ffffcc");
    expect(longest).toHaveLength(2 + 0xffff);
  });
});
