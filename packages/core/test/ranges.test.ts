/** Ranges: any part of a stored envelope, by no more reads than it takes, and the end verified where it matters. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat } from "../src/bytes.ts";
import { MessageKeys, messageBytes } from "../src/cobblestone.ts";
import { encodeContext } from "../src/context.ts";
import { KeyfoldError } from "../src/errors.ts";
import type { ByteRange, ByteSource } from "../src/index.ts";
import { openRangeWith, plaintextLengthWith } from "../src/ranges.ts";
import { context, keyfoldWith, rejection } from "./support/behaviour.ts";
import { MemoryKms } from "./support/memory-kms.ts";
import { dekInHand } from "./support/streaming.ts";
import { envelopeVectors, plaintextOf, sealVector, sha256 } from "./support/vectors.ts";

const CHUNK = 16_384;
const GIB = 2 ** 30;

/** A source over bytes that notes what it was asked for. */
class Noted implements ByteSource {
  readonly size: number;
  readonly reads: (readonly [offset: number, length: number])[] = [];
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.size = bytes.length;
    this.#bytes = bytes;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    this.reads.push([offset, length]);
    return this.#bytes.subarray(offset, offset + length);
  }

  get bytesRead(): number {
    return this.reads.reduce((sum, [, length]) => sum + length, 0);
  }
}

function plaintextOfLength(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
}

async function sealed(length: number) {
  const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
  const plaintext = plaintextOfLength(length);
  return { keyfold, plaintext, envelope: await keyfold.seal(plaintext, context) };
}

describe("a range", () => {
  test("of any vector is that part of its plaintext, and the length is its length", async () => {
    for (const vector of envelopeVectors) {
      const plaintext = plaintextOf(vector);
      const source = new Noted(sealVector(vector));
      const obtainDek = async ({ length }: { length: number }) =>
        dekInHand(vector, await source.read(0, length));
      const encoded = encodeContext(vector.context);
      for (const range of [{ start: 0 }, { start: 5 }, { start: 1, end: 40_000 }, { last: 17_000 }]) {
        const [start, end] = rangeIn(range, plaintext.length);
        if (start > plaintext.length) continue;
        const opened = await openRangeWith(obtainDek, source, encoded, range);
        expect(sha256(opened)).toBe(sha256(plaintext.subarray(start, end)));
      }
      expect(await plaintextLengthWith(obtainDek, source, encoded)).toBe(plaintext.length);
    }
  });

  test("of any plaintext is what slicing the plaintext gives", async () => {
    const near = fc
      .tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: -2, max: 2 }))
      .map(([chunks, off]) => Math.max(0, chunks * CHUNK + off));
    const offset = fc.oneof(near, fc.integer({ min: 0, max: 100_000 }));
    const envelopes = new Map<number, Awaited<ReturnType<typeof sealed>>>();
    await fc.assert(
      fc.asyncProperty(offset, offset, offset, fc.boolean(), async (length, a, b, fromTheEnd) => {
        const made = envelopes.get(length) ?? (await sealed(length));
        envelopes.set(length, made);
        const range = fromTheEnd ? { last: a } : { start: Math.min(a, b, length), end: Math.max(a, b) };
        const opened = await made.keyfold.openRange(new Noted(made.envelope), context, range);
        const [start, end] = rangeIn(range, length);
        expect(sha256(opened)).toBe(sha256(made.plaintext.subarray(start, end)));
      }),
      { numRuns: 300 },
    );
  });

  test("of many chunks takes reads of 64 chunks at most, in order from the end", async () => {
    const { keyfold, plaintext, envelope } = await sealed(200 * CHUNK);
    const source = new Noted(envelope);
    const opened = await keyfold.openRange(source, context, { start: 0 });
    expect(sha256(opened)).toBe(sha256(plaintext));
    const [first, ...rest] = source.reads.map(([, length]) => length);
    expect(first).toBe(4_096);
    expect(rest).toEqual([63 * 16_400 + 16, 64 * 16_400, 64 * 16_400, 9 * 16_400]);
  });

  test("reads a small envelope once, and of a large one the header and the chunks of the range", async () => {
    const small = await sealed(1_000);
    const once = new Noted(small.envelope);
    await small.keyfold.openRange(once, context, { start: 10, end: 20 });
    expect(once.reads).toEqual([[0, small.envelope.length]]);

    const { keyfold, envelope } = await sealed(10 * CHUNK);
    const { headerBytes } = keyfold.inspect(envelope);
    const source = new Noted(envelope);
    await keyfold.openRange(source, context, { start: 3 * CHUNK + 5, end: 5 * CHUNK });
    expect(source.reads).toEqual([
      [0, 4_096],
      [headerBytes + 56 + 3 * 16_400, 2 * 16_400],
    ]);
  });

  test("reads a header that is longer than the first read with one more", async () => {
    const masterKeys = Array.from({ length: 16 }, (_, i) => new MemoryKms(`memory:${i}`));
    for (const kms of masterKeys.slice(1))
      kms.wrapKey = async () => ({ masterKey: kms.uri, ciphertext: new Uint8Array(4_300) });
    const keyfold = keyfoldWith({ masterKeys });
    const envelope = await keyfold.seal(plaintextOfLength(100_000), context);
    const { headerBytes } = keyfold.inspect(envelope);
    const source = new Noted(envelope);
    const opened = await keyfold.openRange(source, context, { start: 99_999 });
    expect(opened).toEqual(plaintextOfLength(100_000).subarray(99_999));
    expect(source.reads.slice(0, 2)).toEqual([
      [0, 4_096],
      [4_096, headerBytes + 56 - 4_096],
    ]);
  });

  test("counts as an open, and the length does not", async () => {
    const { keyfold, envelope } = await sealed(100);
    await keyfold.openRange(new Noted(envelope), context, { last: 1 });
    await keyfold.plaintextLength(new Noted(envelope), context);
    expect(keyfold.stats().opens).toBe(1);
  });
});

/** Where a range of a plaintext of this length begins and ends. */
function rangeIn(range: ByteRange, length: number): [start: number, end: number] {
  if ("last" in range) return [Math.max(0, length - range.last), length];
  return [range.start, Math.min(range.end ?? length, length)];
}

describe("the end", () => {
  const cases: readonly (readonly [string, ByteRange])[] = [
    ["a range without an end", { start: 0 }],
    ["a range whose end is the plaintext's", { start: 0, end: 2 * CHUNK }],
    ["a range whose end is beyond it", { start: CHUNK, end: 9 * CHUNK }],
    ["a range counted from it", { last: 1 }],
    ["the last 0 bytes", { last: 0 }],
    ["a start at the end", { start: 2 * CHUNK }],
    ["a start beyond the end", { start: 2 * CHUNK + 1 }],
  ];

  test.each(cases)("is verified for %s", async (_name, range) => {
    const { keyfold, envelope } = await sealed(2 * CHUNK);
    const altered = envelope.with(envelope.length - 1, (envelope.at(-1) ?? 0) ^ 1);
    const opening = keyfold.openRange(new Noted(altered), context, range);
    expect((await rejection(opening)).code).toBe("ERR_MESSAGE_ALTERED");
    // One that was cut and made to look whole again: the length that it claims is not authentic.
    const { headerBytes } = keyfold.inspect(envelope);
    const shorter = envelope.subarray(0, headerBytes + 56 + 16_400 + 30);
    expect((await rejection(keyfold.openRange(new Noted(shorter), context, range))).code).toBe(
      "ERR_MESSAGE_ALTERED",
    );
  });

  test("is not read for a range before it", async () => {
    const { keyfold, plaintext, envelope } = await sealed(2 * CHUNK);
    const altered = envelope.with(envelope.length - 1, (envelope.at(-1) ?? 0) ^ 1);
    const opened = await keyfold.openRange(new Noted(altered), context, { start: 1, end: 2 * CHUNK - 1 });
    expect(sha256(opened)).toBe(sha256(plaintext.subarray(1, -1)));
    expect((await rejection(keyfold.plaintextLength(new Noted(altered), context))).code).toBe(
      "ERR_MESSAGE_ALTERED",
    );
  });

  test("before the start is an argument that is wrong, once it is verified", async () => {
    for (const length of [0, 5, CHUNK]) {
      const { keyfold, envelope } = await sealed(length);
      const at = (start: number) => keyfold.openRange(new Noted(envelope), context, { start });
      expect(await at(length)).toEqual(new Uint8Array(0));
      expect((await rejection(at(length + 1))).code).toBe("ERR_INVALID_ARGUMENT");
    }
  });
});

describe("an envelope of 20 GiB", () => {
  /** The true header and the last two chunks; a read of anything else is an error. */
  function virtual(size: number) {
    const key = plaintextOfLength(32);
    const header = concat(Uint8Array.of(0x4b, 0x46, 1, 0), new Uint8Array(92));
    const keys = new MessageKeys(key, plaintextOfLength(24), encodeContext(context));
    const total = header.length + messageBytes(size);
    const last = Math.floor(size / CHUNK);
    const tail = new Uint8Array(16_400 + (size % CHUNK) + 16);
    const before = keys.seal(last - 1, new Uint8Array(CHUNK).fill(1), tail, 0);
    keys.seal(last, new Uint8Array(size % CHUNK).fill(2), tail, before);
    const start = concat(header, keys.head);
    let read = 0;
    const source: ByteSource = {
      size: total,
      async read(offset, length) {
        read += length;
        // The first read is a guess: what is behind the start of the message in it is not looked at.
        if (offset === 0) return concat(start, new Uint8Array(length - start.length));
        if (offset < total - tail.length) throw new Error(`Bytes from ${offset} on were read.`);
        return tail.slice(offset - (total - tail.length)).subarray(0, length);
      },
    };
    return { source, obtainDek: async () => key.slice(), bytesRead: () => read };
  }

  const encoded = encodeContext(context);

  test.each([20 * GIB + 1_234, 20 * GIB, 20 * GIB - 1, 2 ** 47 + 77])(
    "(of %d bytes) opens at its end with under 100 KiB read",
    async (size) => {
      const { source, obtainDek, bytesRead } = virtual(size);
      const inLast = size % CHUNK;
      const opened = await openRangeWith(obtainDek, source, encoded, { last: inLast + 10 });
      expect(opened).toEqual(concat(new Uint8Array(10).fill(1), new Uint8Array(inLast).fill(2)));
      const range = { start: size - inLast - 10, end: size - inLast + Math.min(5, inLast) };
      const part = await openRangeWith(obtainDek, source, encoded, range);
      expect(part).toEqual(concat(new Uint8Array(10).fill(1), new Uint8Array(Math.min(5, inLast)).fill(2)));
      expect(bytesRead()).toBeLessThan(2 * 100 * 1_024);
      const before = bytesRead();
      expect(await plaintextLengthWith(obtainDek, source, encoded)).toBe(size);
      expect(bytesRead() - before).toBeLessThan(100 * 1_024);
    },
  );

  test("a read elsewhere is what the source says", async () => {
    const { source, obtainDek } = virtual(20 * GIB);
    const opening = openRangeWith(obtainDek, source, encoded, { start: 5 * GIB, end: 5 * GIB + 1 });
    expect(await rejection(opening)).toMatchObject({
      code: "ERR_IO",
      cause: new Error(`Bytes from ${96 + 56 + (5 * GIB * 16_400) / CHUNK} on were read.`),
    });
  });

  test("all of it is too much for one array, and says so", async () => {
    const { source, obtainDek } = virtual(2 ** 51);
    const opening = openRangeWith(obtainDek, source, encoded, { start: 0, end: 2 ** 51 - 1 });
    expect((await rejection(opening)).code).toBe("ERR_INVALID_ARGUMENT");
  });
});

describe("a source", () => {
  test("that gives fewer or more bytes, or none at all, is ERR_IO", async () => {
    const { keyfold, envelope } = await sealed(50_000);
    const answers: readonly ((offset: number, length: number) => unknown)[] = [
      (offset, length) => envelope.subarray(offset, offset + length - 1),
      (offset, length) => concat(envelope.subarray(offset, offset + length), new Uint8Array(1)),
      (offset, length) => Array.from(envelope.subarray(offset, offset + length)),
      () => undefined,
    ];
    for (const answer of answers) {
      for (const good of [0, 1]) {
        let asked = 0;
        const source = {
          size: envelope.length,
          read: async (offset: number, length: number) =>
            (asked++ < good
              ? envelope.subarray(offset, offset + length)
              : answer(offset, length)) as Uint8Array,
        };
        expect((await rejection(keyfold.openRange(source, context, { last: 5 }))).code).toBe("ERR_IO");
      }
    }
  });

  test("that fails is ERR_IO with its error as the cause, and a KeyfoldError of its own goes through", async () => {
    const { keyfold, envelope } = await sealed(5);
    const cause = new Error("the network");
    for (const read of [
      () => Promise.reject(cause),
      () => {
        throw cause;
      },
    ]) {
      const failing = keyfold.plaintextLength({ size: envelope.length, read }, context);
      expect(await rejection(failing)).toMatchObject({ code: "ERR_IO", cause });
    }
    const read = () => Promise.reject(new KeyfoldError("ERR_CLOSED"));
    const closed = keyfold.plaintextLength({ size: envelope.length, read }, context);
    expect((await rejection(closed)).code).toBe("ERR_CLOSED");
  });

  test("of a size that no envelope or no message has says what opening it would say", async () => {
    const { keyfold, envelope } = await sealed(2 * CHUNK);
    for (const size of [0, 3, 4, 37, 38, 95, 200, envelope.length - 1, envelope.length - 16]) {
      const cut = envelope.subarray(0, size);
      const { code } = await rejection(keyfold.open(cut, context));
      expect((await rejection(keyfold.openRange(new Noted(cut), context, { start: 0 }))).code).toBe(code);
      expect((await rejection(keyfold.plaintextLength(new Noted(cut), context))).code).toBe(code);
    }
  });

  test("that is no source, a range that is no range, and other wrong arguments are refused", async () => {
    const { keyfold, envelope } = await sealed(5);
    const source = new Noted(envelope);
    const read = source.read.bind(source);
    const refused = async (...[from, inContext, range, options]: unknown[]) => {
      const [a, b, c, d] = [from, inContext, range, options] as Parameters<typeof keyfold.openRange>;
      return (await rejection(keyfold.openRange(a, b, c, d))).code;
    };
    const whole = { start: 0 };
    for (const wrong of [
      null,
      envelope,
      {},
      { size: 5 },
      { size: -1, read },
      { size: 1.5, read },
      { size: 5n, read },
    ])
      expect(await refused(wrong, context, whole)).toBe("ERR_INVALID_ARGUMENT");
    for (const wrong of [
      undefined,
      null,
      {},
      { start: -1 },
      { start: 0.5 },
      { start: 5, end: 4 },
      { start: 0, end: 2 ** 53 },
      { last: -1 },
      { last: Number.NaN },
      { start: 0, last: undefined },
    ])
      expect(await refused(source, context, wrong)).toBe("ERR_INVALID_ARGUMENT");
    expect(await refused(source, { "keyfold:x": "" }, whole)).toBe("ERR_INVALID_ARGUMENT");
    expect(await refused(source, { name: "other" }, whole)).toBe("ERR_CONTEXT_MISMATCH");
    expect(await refused(source, context, whole, { signal: AbortSignal.abort() })).toBe("ERR_ABORTED");
    await keyfold.close();
    expect(await refused(source, context, whole)).toBe("ERR_CLOSED");
    const sealOnly = keyfoldWith({ masterKeys: new MemoryKms(), sealOnly: true });
    expect((await rejection(sealOnly.plaintextLength(source, context))).code).toBe("ERR_NOT_CONFIGURED");
  });

  test("that never answers is left when the signal aborts", async () => {
    const { keyfold } = await sealed(5);
    const aborting = new AbortController();
    const reason = new Error("enough");
    const source = { size: 500, read: () => new Promise<Uint8Array>(() => {}) };
    const opening = rejection(keyfold.plaintextLength(source, context, { signal: aborting.signal }));
    aborting.abort(reason);
    expect(await opening).toMatchObject({ code: "ERR_ABORTED", cause: reason });
  });
});
