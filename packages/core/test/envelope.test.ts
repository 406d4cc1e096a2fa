import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeHeader,
  decodeText,
  decodeWraps,
  type EnvelopeHeader,
  encodeHeaderPrefix,
  encodeText,
  encodeWraps,
  requireWrap,
} from "../src/envelope.ts";
import { KeyfoldError } from "../src/errors.ts";
import type { WrappedKey } from "../src/master-key.ts";
import { damaged, headerWith, smallWraps, type WholeHeader, wrapsOf } from "./support/arbitraries.ts";
import { hex, unhex } from "./support/hex.ts";
import { codeOf } from "./support/refusal.ts";
import {
  type EnvelopeVector,
  envelopeVectors,
  type InvalidVector,
  invalidVectors,
} from "./support/vectors.ts";

/** What decoding alone can refuse an envelope with. */
const structural = ["ERR_NOT_AN_ENVELOPE", "ERR_UNSUPPORTED_VERSION", "ERR_MALFORMED_ENVELOPE"];

const someHeader: WholeHeader = {
  kdkId: new Uint8Array(16).fill(0xa1),
  salt: new Uint8Array(16).fill(0xb2),
  wraps: ["local:one", "aws-kms://two", "passphrase:"].map((masterKey) => wrap(masterKey)),
  nonce: new Uint8Array(12).fill(0xc3),
  sealedDek: new Uint8Array(48).fill(0xd4),
};
const anyHeader = headerWith(wrapsOf({ min: 0, max: 16 }));

describe("the vectors", () => {
  test("are twelve, with and without wraps", () => {
    expect(envelopeVectors).toHaveLength(12);
    expect(new Set(envelopeVectors.map(({ wraps }) => wraps.length))).toEqual(new Set([0, 1, 3]));
  });

  test.each(envelopeVectors)("$name decodes to its fields and re-encodes to its bytes", (vector) => {
    const { kdkId, salt, nonce, sealedDek, wraps } = vector;
    const envelope = bytesOf(vector);
    const header = decodeHeader(envelope);
    expect(inHex(header)).toEqual({ kdkId, salt, nonce, sealedDek, wraps });
    expect(hex(encode(header))).toBe(hex(envelope.subarray(0, header.length)));
  });

  test.each(envelopeVectors)("$name has its message where its header ends", (vector) => {
    const { length } = decodeHeader(bytesOf(vector));
    if (typeof vector.envelope === "string")
      expect(vector.envelope.slice(2 * length, 2 * length + 48)).toBe(vector.messageSalt);
    else expect(2 * length).toBe(vector.envelope.header.length);
  });

  test.each(envelopeVectors.filter(hasText))("$name has its text form, both ways", (vector) => {
    const envelope = bytesOf(vector);
    expect(encodeText(envelope)).toBe(vector.text);
    expect(hex(decodeText(vector.text))).toBe(hex(envelope));
  });

  function hasText(vector: EnvelopeVector): vector is EnvelopeVector & { text: string } {
    return vector.text !== null;
  }

  /** The whole envelope, or of a long one its header. */
  function bytesOf({ envelope }: EnvelopeVector): Uint8Array {
    return unhex(typeof envelope === "string" ? envelope : envelope.header);
  }
});

describe("the invalid vectors", () => {
  const [refused, passed] = [true, false].map((wanted) =>
    invalidVectors.filter(({ code }) => structural.includes(code) === wanted),
  ) as [InvalidVector[], InvalidVector[]];

  test("are 43, of which decoding alone must refuse 21", () => {
    expect(invalidVectors).toHaveLength(43);
    expect(refused).toHaveLength(21);
    expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(structural));
  });

  test.each(refused)("$name is refused with $code", (vector) => {
    expect(codeOf(() => decodeHeader(bytesOf(vector)))).toBe(vector.code);
  });

  test.each(passed)("$name has a sound header, so it is refused by a key", (vector) => {
    const envelope = bytesOf(vector);
    const header = decodeHeader(envelope);
    expect(hex(encode(header))).toBe(hex(envelope.subarray(0, header.length)));
  });

  function bytesOf({ envelope, text }: InvalidVector): Uint8Array {
    return text === undefined ? unhex(envelope) : decodeText(text);
  }
});

describe("a header", () => {
  test("is laid out as the specification says, without wraps", () => {
    const { kdkId, salt, nonce, sealedDek } = someHeader;
    const parts = ["4b46", "01", "00", hex(kdkId), hex(salt), hex(nonce), hex(sealedDek)];
    expect(hex(encode({ ...someHeader, wraps: [] }))).toBe(parts.join(""));
    expect(decodeHeader(encode({ ...someHeader, wraps: [] })).length).toBe(96);
  });

  test("is laid out as the specification says, with wraps", () => {
    const wraps = [wrap("a:", 0x11, 0x22), wrap("bc:", 0x33)];
    const block = ["0011", "02", "0002613a", "00021122", "000362633a", "000133"].join("");
    const { kdkId, salt, nonce, sealedDek } = someHeader;
    const parts = ["4b46", "01", "01", hex(kdkId), hex(salt), block, hex(nonce), hex(sealedDek)];
    expect(hex(encode({ ...someHeader, wraps }))).toBe(parts.join(""));
    expect(hex(encodeWraps(wraps))).toBe(block);
    expect(decodeHeader(encode({ ...someHeader, wraps })).length).toBe(96 + 2 + 0x11);
  });

  test("decodes to what was encoded, whatever message follows it", () => {
    fc.assert(
      fc.property(anyHeader, fc.uint8Array({ maxLength: 80 }), (given, message) => {
        const encoded = encode(given);
        const header = decodeHeader(Buffer.concat([encoded, message]));
        expect(inHex(header)).toEqual(inHex(given));
        expect(header.length).toBe(encoded.length);
        expect(hex(header.aad)).toBe(hex(encodeHeaderPrefix(given)));
      }),
      { numRuns: 200 },
    );
  });

  test("gives nonce and sealed DEK as views of the envelope", () => {
    const memory = new Uint8Array(1_000).fill(0xee);
    const encoded = encode(someHeader);
    memory.set(encoded, 100);
    const { nonce, sealedDek } = decodeHeader(memory.subarray(100));
    for (const view of [nonce, sealedDek]) expect(view.buffer).toBe(memory.buffer);
  });

  test("is its own after one that begins alike, whatever becomes of that one's bytes", () => {
    const nearby = anyHeader.chain((first) =>
      fc.tuple(fc.constant(first), fc.oneof(damaged(fc.constant(encode(first))), anyHeader.map(encode))),
    );
    fc.assert(
      fc.property(nearby, fc.boolean(), ([first, second], inBuffer) => {
        const bytes = inBuffer ? Buffer.from(encode(first)) : encode(first);
        const kept = decodeHeader(bytes);
        bytes.fill(0, 0, kept.aad.length);
        expect(inHex(kept)).toEqual(inHex(first));
        const header = decodedOrCode(() => decodeHeader(second));
        if (typeof header !== "string")
          expect(hex(encode(header))).toBe(hex(second.subarray(0, header.length)));
        expect(inHex(decodeHeader(encode(first)))).toEqual(inHex(first));
      }),
      { numRuns: 500 },
    );
  });

  test("re-encodes to the same bytes if it decodes at all, however it was damaged", () => {
    const whole = fc.oneof(headerWith(smallWraps), headerWith(fc.constant([])), anyHeader);
    expectCanonical(damaged(whole.map(encode)), 3_000);
  });

  test("re-encodes to the same bytes if it decodes at all, of random bytes behind a magic", () => {
    const start = fc.constantFrom("4b460100", "4b460101").map(unhex);
    const rest = fc.uint8Array({ minLength: 80, maxLength: 200 });
    expectCanonical(
      fc.tuple(start, rest).map((parts) => new Uint8Array(Buffer.concat(parts))),
      1_000,
    );
  });

  /** For every input: it decodes and re-encodes to itself, or is refused with a structural code. Some must decode. */
  function expectCanonical(input: fc.Arbitrary<Uint8Array>, numRuns: number): void {
    const met = { decoded: 0, refused: 0 };
    fc.assert(
      fc.property(input, (envelope) => {
        const header = decodedOrCode(() => decodeHeader(envelope));
        if (typeof header === "string") {
          met.refused++;
          expect(structural).toContain(header);
          return;
        }
        met.decoded++;
        expect(hex(encode(header))).toBe(hex(envelope.subarray(0, header.length)));
        expect(hex(header.aad)).toBe(hex(envelope.subarray(0, header.length - 60)));
      }),
      { numRuns },
    );
    for (const count of Object.values(met)) expect(count).toBeGreaterThan(numRuns / 20);
  }
});

describe("a header is refused", () => {
  const encoded = encode(someHeader);

  test("as no envelope where it is cut under 4 bytes, and as malformed at any other place", () => {
    expect(decodeHeader(encoded).wraps).toHaveLength(3);
    for (let length = 0; length < encoded.length; length++) {
      const code = codeOf(() => decodeHeader(encoded.subarray(0, length)));
      expect(code, `of ${length} bytes`).toBe(length < 4 ? "ERR_NOT_AN_ENVELOPE" : "ERR_MALFORMED_ENVELOPE");
    }
  });

  test("as no envelope for any other magic", () => {
    for (const at of [0, 1])
      for (let byte = 0; byte < 256; byte++) {
        if (byte !== encoded[at])
          expect(codeOf(() => decodeHeader(encoded.with(at, byte)))).toBe("ERR_NOT_AN_ENVELOPE");
      }
  });

  test("as unsupported for every version but 1 and every flag but the lowest", () => {
    for (let byte = 0; byte < 256; byte++) {
      if (byte !== 1)
        expect(codeOf(() => decodeHeader(encoded.with(2, byte)))).toBe("ERR_UNSUPPORTED_VERSION");
      if (byte > 1) expect(codeOf(() => decodeHeader(encoded.with(3, byte)))).toBe("ERR_UNSUPPORTED_VERSION");
    }
  });

  test("as unsupported, not as cut, where a version unknown here may be shorter", () => {
    expect(codeOf(() => decodeHeader(unhex("4b460200")))).toBe("ERR_UNSUPPORTED_VERSION");
  });

  test("without memory for the lengths that it merely claims", () => {
    const blockClaims = encode({ ...someHeader, wraps: [] })
      .with(3, 1)
      .fill(0xff, 36, 38);
    const wrapClaims = encoded.slice().fill(0xff, 39, 41);
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 200; i++)
      for (const envelope of [blockClaims, wrapClaims])
        expect(codeOf(() => decodeHeader(envelope))).toBe("ERR_MALFORMED_ENVELOPE");
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
  });
});

describe("wraps", () => {
  test("decode to what was encoded", () => {
    fc.assert(
      fc.property(wrapsOf({ min: 1, max: 16 }), (wraps) => {
        const block = encodeWraps(wraps);
        expect(block.length).toBe(2 + Buffer.from(block).readUInt16BE(0));
        expect(wrapsInHex(decodeWraps(block.subarray(2)))).toEqual(wrapsInHex(wraps));
      }),
      { numRuns: 200 },
    );
  });

  test("re-encode to the same bytes if they decode at all, however they were damaged", () => {
    let decoded = 0;
    const blocks = damaged(smallWraps.map((wraps) => encodeWraps(wraps).subarray(2)));
    fc.assert(
      fc.property(blocks, (block) => {
        const wraps = decodedOrCode(() => decodeWraps(block));
        if (typeof wraps === "string") {
          expect(wraps).toBe("ERR_MALFORMED_ENVELOPE");
          return;
        }
        decoded++;
        expect(hex(encodeWraps(wraps).subarray(2))).toBe(hex(block));
      }),
      { numRuns: 5_000 },
    );
    expect(decoded).toBeGreaterThan(250);
  });

  test("of a block that is cut or extended anywhere are malformed", () => {
    const block = encodeWraps(someHeader.wraps).subarray(2);
    for (let length = 0; length < block.length; length++)
      expect(codeOf(() => decodeWraps(block.subarray(0, length)))).toBe("ERR_MALFORMED_ENVELOPE");
    expect(codeOf(() => decodeWraps(Buffer.concat([block, Buffer.of(0)])))).toBe("ERR_MALFORMED_ENVELOPE");
  });

  test("may be 16", () => {
    const wraps = numbered(16);
    expect(decodeWraps(raw(16, ...wraps))).toEqual(wraps);
    expect(hex(encodeWraps(wraps).subarray(2))).toBe(hex(raw(16, ...wraps)));
  });

  test("may not be 17", () => {
    expect(codeOf(() => encodeWraps(numbered(17)))).toBe("ERR_INVALID_ARGUMENT");
    expect(codeOf(() => encodeHeaderPrefix({ ...someHeader, wraps: numbered(17) }))).toBe(
      "ERR_INVALID_ARGUMENT",
    );
    expect(codeOf(() => decodeWraps(raw(17, ...numbered(17))))).toBe("ERR_MALFORMED_ENVELOPE");
  });

  test("may not be 0 where there is a block for them", () => {
    expect(codeOf(() => encodeWraps([]))).toBe("ERR_INVALID_ARGUMENT");
    expect(codeOf(() => decodeWraps(raw(0)))).toBe("ERR_MALFORMED_ENVELOPE");
    expect(codeOf(() => decodeWraps(new Uint8Array(0)))).toBe("ERR_MALFORMED_ENVELOPE");
  });

  test("may not be more or fewer than the count says", () => {
    expect(codeOf(() => decodeWraps(raw(1, ...numbered(2))))).toBe("ERR_MALFORMED_ENVELOPE");
    expect(codeOf(() => decodeWraps(raw(3, ...numbered(2))))).toBe("ERR_MALFORMED_ENVELOPE");
    expect(codeOf(() => decodeWraps(raw(0, ...numbered(1))))).toBe("ERR_MALFORMED_ENVELOPE");
  });

  test("may have a URI of 1 and of 1,024 bytes", () => {
    for (const masterKey of ["!", "~".repeat(1_024)])
      expect(decodeWraps(encodeWraps([wrap(masterKey)]).subarray(2))).toEqual([wrap(masterKey)]);
  });

  test.each([
    ["empty", ""],
    ["of 1,025 bytes", "~".repeat(1_025)],
    ["with a space", "local: x"],
    ["with a trailing newline", "local:x\n"],
    ["with a zero byte", "local:\0"],
    ["with a byte 7F", "local:\x7f"],
    ["with a byte 80", "local:\x80"],
    ["beyond Latin-1", "local:ключ"],
    ["with a lone surrogate", "local:\ud800"],
  ])("may not have a URI that is %s", (_, masterKey) => {
    const wraps = [wrap("local:good"), wrap(masterKey)];
    expect(codeOf(() => requireWrap(wrap(masterKey)))).toBe("ERR_INVALID_ARGUMENT");
    expect(codeOf(() => encodeWraps(wraps))).toBe("ERR_INVALID_ARGUMENT");
    expect(codeOf(() => decodeWraps(raw(2, ...wraps)))).toBe("ERR_MALFORMED_ENVELOPE");
  });

  test("may not have one URI twice, next to each other or apart", () => {
    const [a, b, c] = [wrap("local:a", 1), wrap("local:b", 2), wrap("local:a", 3)];
    for (const wraps of [
      [a, c],
      [a, b, c],
      [a, a],
    ]) {
      expect(codeOf(() => encodeWraps(wraps))).toBe("ERR_INVALID_ARGUMENT");
      expect(codeOf(() => decodeWraps(raw(wraps.length, ...wraps)))).toBe("ERR_MALFORMED_ENVELOPE");
    }
  });

  test("may have URIs that differ in case alone", () => {
    expect(decodeWraps(raw(2, wrap("local:a"), wrap("local:A")))).toHaveLength(2);
  });

  test("may not have an empty ciphertext", () => {
    const empty = { masterKey: "local:x", ciphertext: new Uint8Array(0) };
    expect(codeOf(() => requireWrap(empty))).toBe("ERR_INVALID_ARGUMENT");
    expect(codeOf(() => encodeWraps([empty]))).toBe("ERR_INVALID_ARGUMENT");
    expect(codeOf(() => decodeWraps(raw(1, empty)))).toBe("ERR_MALFORMED_ENVELOPE");
  });

  test("take at most 65,535 bytes together", () => {
    const first = { masterKey: "local:1", ciphertext: new Uint8Array(40_000) };
    const left = 0xffff - 1 - (4 + 7 + 40_000) - (4 + 7);
    const full = [first, { masterKey: "local:2", ciphertext: new Uint8Array(left) }];
    const over = [first, { masterKey: "local:2", ciphertext: new Uint8Array(left + 1) }];
    expect(encodeWraps(full)).toHaveLength(2 + 0xffff);
    expect(wrapsInHex(decodeHeader(encode({ ...someHeader, wraps: full })).wraps)).toEqual(wrapsInHex(full));
    expect(codeOf(() => encodeWraps(over))).toBe("ERR_INVALID_ARGUMENT");
    expect(codeOf(() => encodeHeaderPrefix({ ...someHeader, wraps: over }))).toBe("ERR_INVALID_ARGUMENT");
  });

  test("have no ciphertext of 65,536 bytes, whose length would be written as 0", () => {
    const long = { masterKey: "local:x", ciphertext: new Uint8Array(0x10000) };
    expect(codeOf(() => requireWrap(long))).toBe("ERR_INVALID_ARGUMENT");
    expect(codeOf(() => encodeWraps([long]))).toBe("ERR_INVALID_ARGUMENT");
  });

  test("keep their order", () => {
    const wraps = numbered(5).reverse();
    expect(decodeHeader(encode({ ...someHeader, wraps })).wraps).toEqual(wraps);
  });
});

describe("the text form", () => {
  test("decodes to what was encoded, for any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (envelope) => {
        const text = encodeText(envelope);
        expect(text).toMatch(/^kf1\.[\w-]*$/);
        expect(hex(decodeText(text))).toBe(hex(envelope));
      }),
    );
  });

  test("encodes to the same text if it decodes at all, however it was damaged", () => {
    const met = { decoded: 0, refused: 0 };
    const edits = fc.array(
      fc.record({ at: fc.nat(), to: fc.constantFrom(..."AZaz09-_=+/. \nKé", "", "kf1.") }),
      { minLength: 1, maxLength: 2 },
    );
    const texts = fc.tuple(fc.uint8Array({ maxLength: 12 }), edits).map(([bytes, changes]) =>
      changes.reduce((text, { at, to }) => {
        const place = at % (text.length + 1);
        return text.slice(0, place) + to + text.slice(place + 1);
      }, encodeText(bytes)),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const bytes = decodedOrCode(() => decodeText(text));
        if (typeof bytes === "string") {
          met.refused++;
          expect(bytes).toBe("ERR_NOT_AN_ENVELOPE");
          return;
        }
        met.decoded++;
        expect(encodeText(bytes)).toBe(text);
      }),
      { numRuns: 3_000 },
    );
    for (const count of Object.values(met)) expect(count).toBeGreaterThan(150);
  });

  test.each([
    ["nothing", ""],
    ["another version", "kf2.S0YB"],
    ["an upper-case prefix", "KF1.S0YB"],
    ["half a prefix", "kf1"],
    ["no prefix", "S0YB"],
    ["a space before", " kf1.S0YB"],
    ["a byte order mark before", "\ufeffkf1.S0YB"],
    ["a newline after", "kf1.S0YB\n"],
    ["padding", "kf1.S0Y="],
    ["the other alphabet", "kf1.+/8A"],
    ["unused bits that are set", "kf1.S0Z"],
    ["a length of 1 mod 4", "kf1.S0YBA"],
    ["a second prefix", "kf1.kf1.S0YB"],
  ])("is refused with %s", (_, text) => {
    expect(codeOf(() => decodeText(text))).toBe("ERR_NOT_AN_ENVELOPE");
  });
});

/** A whole header: the prefix, then the nonce and the sealed DEK. */
function encode(header: WholeHeader | EnvelopeHeader): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat([encodeHeaderPrefix(header), header.nonce, header.sealedDek]));
}

/** The fields as the vectors give them, which also compare faster. */
function inHex({ kdkId, salt, nonce, sealedDek, wraps }: WholeHeader): object {
  return {
    kdkId: hex(kdkId),
    salt: hex(salt),
    nonce: hex(nonce),
    sealedDek: hex(sealedDek),
    wraps: wrapsInHex(wraps),
  };
}

function wrapsInHex(wraps: readonly WrappedKey[]): object {
  return wraps.map(({ masterKey, ciphertext }) => ({ masterKey, wrapped: hex(ciphertext) }));
}

function wrap(masterKey: string, ...ciphertext: number[]): WrappedKey {
  return { masterKey, ciphertext: Uint8Array.from(ciphertext.length === 0 ? [0x01, 0x77] : ciphertext) };
}

function numbered(count: number): WrappedKey[] {
  return Array.from({ length: count }, (_, i) => wrap(`local:${i}`, i + 1));
}

/** The inside of a wraps block, written from the specification and without any check. */
function raw(count: number, ...wraps: WrappedKey[]): Uint8Array {
  const lp = (bytes: Uint8Array) => [Buffer.of(bytes.length >> 8, bytes.length & 0xff), bytes];
  const parts = wraps.flatMap(({ masterKey, ciphertext }) => [
    ...lp(Buffer.from(masterKey)),
    ...lp(ciphertext),
  ]);
  return new Uint8Array(Buffer.concat([Buffer.of(count), ...parts]));
}

/** What `decode` returns, or the code that it is refused with; any other error goes on. */
function decodedOrCode<T>(decode: () => T): T | string {
  try {
    return decode();
  } catch (error) {
    if (error instanceof KeyfoldError) return error.code;
    throw error;
  }
}
