/** Streams: the bytes of the one-shot functions, whatever the writes; nothing before its tag; never an end after a cut. */

import { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sealMessage } from "../src/cobblestone.ts";
import { decodeHeader } from "../src/envelope.ts";
import { KeyfoldError, type KeyfoldErrorCode } from "../src/errors.ts";
import type { Keyfold } from "../src/index.ts";
import { OpeningPieces, type Pieces } from "../src/pieces.ts";
import { streamOf } from "../src/streams.ts";
import { context, Gate, keyfoldWith, rejection } from "./support/behaviour.ts";
import { unhex } from "./support/hex.ts";
import { MemoryKms } from "./support/memory-kms.ts";
import { codeOf } from "./support/refusal.ts";
import {
  type ByteStream,
  collect,
  enveloped,
  openingStream,
  openingStreamWith,
  resealingStream,
  sealingStream,
  sealingStreamWith,
  through,
} from "./support/streaming.ts";
import {
  digestOf,
  envelopeVectors,
  invalidVectors,
  plaintextOf,
  sealVector,
  sha256,
} from "./support/vectors.ts";

const CHUNK = 16_384;
const MIB = 2 ** 20;
const SMALL = 40_000;

/** How the bytes are written: the lengths of the writes, over and over. */
const writings: readonly (readonly [name: string, lengths: readonly number[]])[] = [
  ["byte by byte", [1]],
  ["at once", [10 * MIB]],
  ["in writes of 64 KiB", [65_536]],
  ["in writes that straddle chunks", [16_383, 2, 0, 16_401, 1, 70_000]],
];

function plaintextOfLength(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
}

/** A message under fixed keys, as the one-shot function seals it. */
const fixed = { key: plaintextOfLength(32), salt: plaintextOfLength(24), context: Uint8Array.of(0, 0) };
function messageOver(plaintext: Uint8Array): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(56 + plaintext.length + 16 * (Math.floor(plaintext.length / CHUNK) + 1));
  sealMessage(fixed.key, fixed.salt, fixed.context, plaintext, message);
  return message;
}

describe.each(writings)("the vectors, written %s,", (name, lengths) => {
  const isSmall = ({ envelope }: { envelope: unknown }) =>
    name !== "byte by byte" || (typeof envelope === "string" && envelope.length < 2 * SMALL);
  const written = envelopeVectors.filter((vector) => isSmall(vector) || plaintextOf(vector).length < SMALL);

  test.each(written)("$name is sealed to its bytes", async (vector) => {
    const { bytes, failure } = await through(sealingStream(vector), plaintextOf(vector), lengths);
    expect(failure).toBeUndefined();
    expect(digestOf(bytes, vector.envelope)).toEqual(vector.envelope);
  });

  test.each(written)("$name is opened to its plaintext", async (vector) => {
    const { bytes, failure } = await through(openingStream(vector), sealVector(vector), lengths);
    expect(failure).toBeUndefined();
    expect(sha256(bytes)).toBe(sha256(plaintextOf(vector)));
  });

  const given = invalidVectors.filter(({ text }) => text === undefined);
  test.each(given)("$name is refused with its code", async (vector) => {
    const { bytes, failure } = await through(openingStream(vector), unhex(vector.envelope ?? ""), lengths);
    expect(failure?.code).toBe(vector.code);
    expect(bytes.length % CHUNK, "whole chunks at most").toBe(0);
  });
});

describe("any plaintext in any writes", () => {
  const nearBorder = fc
    .tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: -2, max: 2 }))
    .map(([chunks, off]) => Math.max(0, chunks * CHUNK + off));
  const length = fc.oneof(nearBorder, fc.integer({ min: 0, max: 150_000 }));
  const lengths = fc
    .array(
      fc.oneof(
        fc.integer({ min: 0, max: 100 }),
        fc.integer({ min: 16_300, max: 16_500 }),
        fc.integer({ min: 0, max: 140_000 }),
      ),
      { minLength: 1, maxLength: 8 },
    )
    .filter((all) => all.reduce((sum, one) => sum + one, 0) >= 50);

  test("is sealed as the one-shot function seals it, and opened", async () => {
    await fc.assert(
      fc.asyncProperty(length, lengths, lengths, async (size, toSeal, toOpen) => {
        const plaintext = plaintextOfLength(size);
        const message = messageOver(plaintext);
        const sealed = await through(resealingStream(fixed.key, message, fixed.context), plaintext, toSeal);
        expect(sha256(sealed.bytes)).toBe(sha256(message));
        const opening = openingStreamWith(fixed.key, fixed.context);
        const opened = await through(opening, enveloped(message), toOpen);
        expect([opened.failure, sha256(opened.bytes)]).toEqual([undefined, sha256(plaintext)]);
      }),
      { numRuns: 150 },
    );
  });

  test("gives what is before the altered chunk, and no byte of it or after it", async () => {
    await fc.assert(
      fc.asyncProperty(length, fc.nat(), lengths, async (size, anywhere, toOpen) => {
        const plaintext = plaintextOfLength(size);
        const envelope = enveloped(messageOver(plaintext));
        const chunks = envelope.length - 152;
        const at = anywhere % chunks;
        envelope[152 + at] = (envelope[152 + at] ?? 0) ^ 1;
        const good = Math.floor(at / 16_400) * CHUNK;
        const { bytes, failure } = await through(
          openingStreamWith(fixed.key, fixed.context),
          envelope,
          toOpen,
        );
        expect(failure?.code).toBe("ERR_MESSAGE_ALTERED");
        expect(sha256(bytes)).toBe(sha256(plaintext.subarray(0, good)));
      }),
      { numRuns: 100 },
    );
  });

  test("cut anywhere ends in the error of the whole, behind a whole number of chunks, and never in an end", async () => {
    await fc.assert(
      fc.asyncProperty(length, fc.nat(), lengths, async (size, anywhere, toOpen) => {
        const plaintext = plaintextOfLength(size);
        const envelope = enveloped(messageOver(plaintext));
        await expectCut(envelope.subarray(0, anywhere % envelope.length), plaintext, toOpen);
      }),
      { numRuns: 100 },
    );
  });
});

/** What a stream must say of a message that was cut and not altered: as the format's page sorts the lengths. */
function cutCode(length: number): KeyfoldErrorCode {
  if (length < 4) return "ERR_NOT_AN_ENVELOPE";
  if (length < 96) return "ERR_MALFORMED_ENVELOPE";
  const message = length - 96;
  return message < 56 || (message - 56) % 16_400 < 16 ? "ERR_MESSAGE_TRUNCATED" : "ERR_MESSAGE_ALTERED";
}

async function expectCut(cut: Uint8Array, plaintext: Uint8Array, lengths: readonly number[]) {
  const { bytes, failure } = await through(openingStreamWith(fixed.key, fixed.context), cut, lengths);
  expect(failure?.code).toBe(cutCode(cut.length));
  expect(bytes.length % CHUNK).toBe(0);
  expect(sha256(bytes)).toBe(sha256(plaintext.subarray(0, bytes.length)));
}

describe("a stream that is cut", () => {
  test("at any byte of a small envelope", async () => {
    const plaintext = plaintextOfLength(20);
    const envelope = enveloped(messageOver(plaintext));
    for (let length = 0; length < envelope.length; length++)
      await expectCut(envelope.subarray(0, length), plaintext, [7]);
  });

  test("at and around the borders of chunks, up to the last byte", async () => {
    const plaintext = plaintextOfLength(2 * CHUNK);
    const envelope = enveloped(messageOver(plaintext));
    const borders = [152, 152 + 16_400, 152 + 32_800, envelope.length];
    for (const border of borders)
      for (const off of [-17, -16, -15, -1, 0, 1, 15])
        if (border + off < envelope.length)
          await expectCut(envelope.subarray(0, border + off), plaintext, [5_000]);
  });
});

describe("a stream of a keyfold", () => {
  test("and the one-shot functions open what the other sealed, over every size around a border", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    for (const size of [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 4 * CHUNK, 5 * CHUNK - 1, 1_000_000]) {
      const plaintext = plaintextOfLength(size);
      const streamed = await through(keyfold.sealStream(context), plaintext, [10_000]);
      expect(sha256(await keyfold.open(streamed.bytes, context))).toBe(sha256(plaintext));
      const opened = await through(
        keyfold.openStream(context),
        await keyfold.seal(plaintext, context),
        [10_000],
      );
      expect([opened.failure, sha256(opened.bytes)]).toEqual([undefined, sha256(plaintext)]);
    }
    expect(keyfold.stats()).toMatchObject({ seals: 16, opens: 16, wrapCalls: 1 });
  });

  test("opens a header of 16 wraps and 64 KiB that arrives in pieces", async () => {
    const masterKeys = Array.from({ length: 16 }, (_, i) => new MemoryKms(`memory:${i}`));
    const [first] = masterKeys;
    for (const kms of masterKeys) {
      if (kms === first) continue;
      kms.wrapKey = async () => ({ masterKey: kms.uri, ciphertext: new Uint8Array(4_300) });
    }
    const { bytes } = await through(
      keyfoldWith({ masterKeys }).sealStream(context),
      plaintextOfLength(50_000),
      [9_999],
    );
    expect(decodeHeader(bytes).length).toBeGreaterThan(64_000);
    const reader = keyfoldWith({ masterKeys: first ?? [] });
    for (const lengths of [[1], [1_000], [10 * MIB]]) {
      const opened = await through(reader.openStream(context), bytes, lengths);
      expect([opened.failure, sha256(opened.bytes)]).toEqual([undefined, sha256(plaintextOfLength(50_000))]);
    }
  });

  test("is a TransformStream, and iterates through pipeThrough", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const plaintext = plaintextOfLength(300_000);
    const sealing = keyfold.sealStream(context);
    expect(sealing).toBeInstanceOf(TransformStream);
    const parts: Uint8Array[] = [];
    const sealed = new Blob([plaintext]).stream().pipeThrough(sealing);
    for await (const part of sealed.pipeThrough(keyfold.openStream(context))) parts.push(part);
    expect(sha256(Buffer.concat(parts))).toBe(sha256(plaintext));
  });

  test("works in Node's pipeline, between generators and between Node's streams", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const plaintext = plaintextOfLength(300_000);
    for (const source of [() => Readable.from(partsOf(plaintext)), () => partsOf(plaintext)]) {
      const parts: Uint8Array[] = [];
      const sink = new Writable({
        write(part, _encoding, done) {
          parts.push(part);
          done();
        },
      });
      await pipeline(source(), keyfold.sealStream(context), keyfold.openStream(context), sink);
      expect(sha256(Buffer.concat(parts))).toBe(sha256(plaintext));
    }
  });

  test("fails the pipeline of a cut envelope, and the iteration", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const sealed = await keyfold.seal(plaintextOfLength(3 * CHUNK), context);
    const cut = sealed.subarray(0, -16);
    const sink = new Writable({ write: (_part, _encoding, done) => done() });
    const piped = pipeline(partsOf(cut), keyfold.openStream(context), sink);
    expect((await rejection(piped)).code).toBe("ERR_MESSAGE_TRUNCATED");
    const through = ReadableStream.from(partsOf(cut)).pipeThrough(keyfold.openStream(context));
    const { bytes, failure } = await collect(through);
    expect([failure?.code, bytes.length]).toEqual(["ERR_MESSAGE_TRUNCATED", 3 * CHUNK]);
  });
});

async function* partsOf(bytes: Uint8Array, length = 10_000) {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

/** Pieces that count what was asked of them. */
class Counted implements Pieces {
  readonly made: Uint8Array<ArrayBuffer>[] = [];
  wiped = 0;
  #left = 0;
  readonly #each: number;
  readonly #length: number;

  constructor(piecesForEachInput: number, pieceBytes = 3) {
    this.#each = piecesForEachInput;
    this.#length = pieceBytes;
  }

  take(): undefined {
    this.#left = this.#each;
  }

  next(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#left === 0) return undefined;
    this.#left--;
    return this.#make();
  }

  async finish(): Promise<Uint8Array<ArrayBuffer>> {
    return this.#make();
  }

  wipe(): void {
    this.wiped++;
  }

  #make(): Uint8Array<ArrayBuffer> {
    const piece = new Uint8Array(this.#length).fill(7);
    this.made.push(piece);
    return piece;
  }
}

/** Long enough for everything that needs no reader to have happened. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

describe("back-pressure", () => {
  test.each([
    { bytes: 65_600, atOnce: 1 },
    { bytes: 16_384, atOnce: 4 },
  ])(
    "one write is worked off as it is read, $atOnce pieces of $bytes bytes at a time",
    async ({ bytes, atOnce }) => {
      const pieces = new Counted(100, bytes);
      const { writable, readable } = streamOf(pieces, () => {});
      const writing = writable.getWriter().write(new Uint8Array(1));
      let done = false;
      writing.then(() => {
        done = true;
      });
      await settled();
      expect(pieces.made).toHaveLength(1);
      const reader = readable.getReader();
      for (let read = 1; read < 100; read++) {
        await reader.read();
        await settled();
        const asked = Math.ceil(read / atOnce) * atOnce;
        expect([pieces.made.length, done]).toEqual(asked < 100 ? [asked + 1, false] : [100, true]);
      }
      await reader.read();
      await writing;
    },
  );

  test("of a slow reader reaches the source, and the bytes are the same", async () => {
    const plaintext = plaintextOfLength(40 * CHUNK);
    const message = messageOver(plaintext);
    let given = 0;
    let taken = 0;
    const source = async function* () {
      for await (const part of partsOf(plaintext, CHUNK)) {
        given += part.length;
        yield part;
      }
    };
    const sealing = resealingStream(fixed.key, message, fixed.context);
    const parts: Uint8Array[] = [];
    for await (const part of ReadableStream.from(source()).pipeThrough(sealing)) {
      await settled();
      parts.push(part);
      taken += part.length;
      expect(given - taken, "read ahead").toBeLessThanOrEqual(4 * CHUNK);
    }
    expect(sha256(Buffer.concat(parts))).toBe(sha256(message));
  });

  test("a 10-MiB write gives pieces of 64 KiB sealed, and of 16 KiB opened", async () => {
    const plaintext = plaintextOfLength(10 * MIB);
    const message = messageOver(plaintext);
    const sealed = await through(resealingStream(fixed.key, message, fixed.context), plaintext, [10 * MIB]);
    expect([sealed.pieces, sha256(sealed.bytes)]).toEqual([161, sha256(message)]);
    const opening = openingStreamWith(fixed.key, fixed.context);
    const opened = await through(opening, enveloped(message), [10 * MIB + 60_000]);
    expect([opened.pieces, sha256(opened.bytes)]).toEqual([640, sha256(plaintext)]);
  });

  test("writes that fill no chunk are done without a reader", async () => {
    const { writable } = sealingStreamWith(new Uint8Array(96), fixed.key, fixed.salt, fixed.context);
    const writer = writable.getWriter();
    for (let i = 0; i < 100; i++) await writer.write(new Uint8Array(100));
    expect(writer.desiredSize).toBe(1);
  });
});

describe("the two sides", () => {
  test.each([["a string"], [42], [null], [undefined], [[1, 2]], [new DataView(new ArrayBuffer(4))]])(
    "end with ERR_INVALID_ARGUMENT for a write of %j",
    async (wrong) => {
      const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
      for (const stream of [keyfold.sealStream(context), keyfold.openStream(context)]) {
        const writing = stream.writable.getWriter().write(wrong as unknown as Uint8Array);
        const reading = collect(stream.readable);
        expect((await rejection(writing)).code).toBe("ERR_INVALID_ARGUMENT");
        expect((await reading).failure?.code).toBe("ERR_INVALID_ARGUMENT");
      }
    },
  );

  test("a reader that cancels ends the writer with its reason, and what waits is wiped", async () => {
    const pieces = new Counted(3);
    const { writable, readable } = streamOf(pieces, () => {});
    const writer = writable.getWriter();
    const writing = writer.write(new Uint8Array(1));
    await settled();
    const reason = new Error("enough");
    await readable.cancel(reason);
    await expect(writing).rejects.toBe(reason);
    await expect(writer.closed).rejects.toBe(reason);
    expect(pieces.made).toEqual([new Uint8Array(3)]);
    expect(pieces.wiped).toBeGreaterThan(0);
  });

  test("a writer that aborts ends the reader with its reason, though a write waits, and what waits is wiped", async () => {
    const pieces = new Counted(3);
    const { writable, readable } = streamOf(pieces, () => {});
    const writer = writable.getWriter();
    const writing = writer.write(new Uint8Array(1));
    await settled();
    const reason = new Error("enough");
    await Promise.all([writer.abort(reason), expect(writing).rejects.toBe(reason)]);
    await expect(readable.getReader().read()).rejects.toBe(reason);
    expect(pieces.made).toEqual([new Uint8Array(3)]);
    expect(pieces.wiped).toBeGreaterThan(0);
  });

  test("the end is counted once, and not before the last piece was taken", async () => {
    let finished = 0;
    const { writable, readable } = streamOf(new Counted(0), () => finished++);
    const closing = writable.getWriter().close();
    await settled();
    expect(finished).toBe(0);
    await collect(readable);
    await closing;
    expect(finished).toBe(1);
  });
});

describe("keys", () => {
  test("are asked for with the first write, or the end where there is none", async () => {
    const kms = new MemoryKms();
    const keyfold = keyfoldWith({ masterKeys: kms });
    const unused = keyfold.sealStream(context);
    await settled();
    expect(kms.wraps).toBe(0);
    await through(unused, new Uint8Array(0), [1]);
    expect(kms.wraps).toBe(1);
  });

  test("are not asked for by an envelope that no message is long enough for", async () => {
    const kms = new MemoryKms();
    const sealed = await keyfoldWith({ masterKeys: kms }).seal("", context);
    const cut = sealed.subarray(0, -1);
    const { failure } = await through(keyfoldWith({ masterKeys: kms }).openStream(context), cut, [50]);
    expect([failure?.code, kms.unwraps]).toEqual(["ERR_MESSAGE_TRUNCATED", 0]);
  });

  test("that a master key refuses end both sides with its code", async () => {
    const kms = new MemoryKms();
    const sealed = await keyfoldWith({ masterKeys: kms }).seal("secret", context);
    kms.failing = "ERR_MASTER_KEY_DENIED";
    const keyfold = keyfoldWith({ masterKeys: kms });
    for (const stream of [keyfold.sealStream(context), keyfold.openStream(context)]) {
      const { bytes, failure } = await through(stream, sealed, [100]);
      expect([failure?.code, bytes.length]).toEqual(["ERR_MASTER_KEY_DENIED", 0]);
    }
    expect(keyfold.stats()).toMatchObject({ seals: 0, opens: 0 });
  });

  test("of another context or scope do not open", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const sealed = await keyfold.seal("secret", context);
    const other = await through(keyfold.openStream({ name: "other" }), sealed, [100]);
    expect([other.failure?.code, other.bytes.length]).toEqual(["ERR_CONTEXT_MISMATCH", 0]);
    const scoped = await through(keyfold.scoped("tenant").openStream(context), sealed, [100]);
    expect([scoped.failure?.code, scoped.bytes.length]).toEqual(["ERR_HEADER_REJECTED", 0]);
  });
});

describe("arguments and states are checked at the call", () => {
  const streams: readonly (readonly [string, (keyfold: Keyfold, ...rest: never[]) => ByteStream])[] = [
    ["sealStream", (keyfold, ...[given = context, options]) => keyfold.sealStream(given, options)],
    ["openStream", (keyfold, ...[given = context, options]) => keyfold.openStream(given, options)],
  ];

  test.each(streams)("%s", async (_name, make) => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const given = (...rest: unknown[]) => codeOf(() => make(keyfold, ...(rest as never[])));
    expect(given({ "keyfold:x": "reserved" })).toBe("ERR_INVALID_ARGUMENT");
    expect(given(null)).toBe("ERR_INVALID_ARGUMENT");
    expect(given(context, { signal: "no signal" })).toBe("ERR_INVALID_ARGUMENT");
    expect(given(context, { signal: AbortSignal.abort() })).toBe("ERR_ABORTED");
    await keyfold.close();
    expect(given()).toBe("ERR_CLOSED");
  });

  test("what it was not made for", () => {
    const kms = new MemoryKms();
    const sealOnly = keyfoldWith({ masterKeys: kms, sealOnly: true });
    expect(codeOf(() => sealOnly.openStream(context))).toBe("ERR_NOT_CONFIGURED");
    const openOnly = keyfoldWith({ openWith: kms });
    expect(codeOf(() => openOnly.sealStream(context))).toBe("ERR_NOT_CONFIGURED");
  });

  test("a keyfold that is closed later ends a stream that has no key yet", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const sealed = await keyfold.seal("secret", context);
    const streams = [keyfold.sealStream(context), keyfold.openStream(context)];
    await keyfold.close();
    for (const stream of streams)
      expect((await through(stream, sealed, [100])).failure?.code).toBe("ERR_CLOSED");
  });
});

describe("a signal", () => {
  const reason = new Error("enough");

  test("ends a stream that waits for a key, and the call of nobody else", async () => {
    const kms = new MemoryKms();
    const gate = new Gate();
    kms.before = () => gate.opened;
    const keyfold = keyfoldWith({ masterKeys: kms });
    const aborting = new AbortController();
    const ended = through(keyfold.sealStream(context, { signal: aborting.signal }), new Uint8Array(10), [5]);
    const other = through(keyfold.sealStream(context), new Uint8Array(10), [5]);
    await settled();
    aborting.abort(reason);
    const { failure } = await ended;
    expect([failure?.code, failure?.cause]).toEqual(["ERR_ABORTED", reason]);
    gate.open();
    expect((await other).failure).toBeUndefined();
    expect(kms.wraps).toBe(1);
  });

  test("ends a stream that waits for its reader, and one that waits for its writer", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const aborting = new AbortController();
    const { signal } = aborting;
    const full = keyfold.sealStream(context, { signal });
    const writing = full.writable.getWriter().write(new Uint8Array(MIB));
    const idle = keyfold.openStream(context, { signal });
    const reading = collect(idle.readable);
    await settled();
    aborting.abort(reason);
    expect((await rejection(writing)).code).toBe("ERR_ABORTED");
    expect((await collect(full.readable)).failure?.code).toBe("ERR_ABORTED");
    expect((await reading).failure?.cause).toBe(reason);
    expect((await rejection(idle.writable.getWriter().write(new Uint8Array(1)))).code).toBe("ERR_ABORTED");
  });

  test("no longer matters once the stream has ended", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const aborting = new AbortController();
    const stream = keyfold.sealStream(context, { signal: aborting.signal });
    expect((await through(stream, new Uint8Array(10), [5])).failure).toBeUndefined();
    aborting.abort(reason);
    await settled();
    await stream.writable.close().then(
      () => {
        throw new Error("It was closed twice.");
      },
      (error: unknown) => expect(error).not.toBeInstanceOf(KeyfoldError),
    );
  });
});

describe("secrets", () => {
  test("the DEK is wiped, whether or not the commitment is its own", async () => {
    for (const lent of [fixed.key.slice(), new Uint8Array(32)]) {
      const opening = streamOf(new OpeningPieces(async () => lent, fixed.context), () => {});
      await through(opening, enveloped(messageOver(new Uint8Array(5))), [1_000]);
      expect(lent).toEqual(new Uint8Array(32));
    }
  });
});
