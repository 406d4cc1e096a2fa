/** A range of a stored envelope, by as few reads as that takes. */

import { isUint8Array } from "node:util/types";
import { type Bytes, concat } from "./bytes.ts";
import { type OperationOptions, requireNotAborted, settle } from "./callers.ts";
import { promptly } from "./clock.ts";
import {
  CHUNK_BYTES,
  discard,
  MESSAGE_HEAD_BYTES,
  MessageKeys,
  plaintextBytes,
  SEALED_CHUNK_BYTES,
} from "./cobblestone.ts";
import type { EncryptionContext } from "./context.ts";
import { decodeHeader, type EnvelopeHeader } from "./envelope.ts";
import { KeyfoldError, requireArgument } from "./errors.ts";
import type { Operations } from "./operations.ts";
import { HEADER_START_BYTES, headerLength } from "./pieces.ts";

/** The first read: most headers are shorter, and so are most envelopes of a small secret. */
const FIRST_READ_BYTES = 4_096;
/** At most this many chunks in one read: 1,049,600 bytes. */
const CHUNKS_A_READ = 64;

/** Where a stored envelope can be read from: a file, or an object store that knows range requests. */
export interface ByteSource {
  /** How long the whole envelope is, in bytes: up to 2^53 - 1. */
  readonly size: number;
  /**
   * Reads exactly `length` bytes from `offset` on. Asked for one read at a time, of at most 1 MiB and 1 KiB, never for none
   * and never past `size`. What it gives is used before it is asked again, and not kept.
   */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/**
 * Which bytes of the plaintext: from `start` up to, and not including, `end`, or up to the end of the plaintext where `end`
 * is left out or beyond it; or the `last` so many, or all where there are fewer.
 */
export type ByteRange =
  | { readonly start: number; readonly end?: number | undefined }
  | { readonly last: number };

/** Gives the DEK, 32 bytes that are wiped here. */
export type ObtainDek = (header: EnvelopeHeader) => Promise<Uint8Array>;

/** A range of the plaintext of a stored envelope. */
export async function openRange(
  operations: Operations,
  source: ByteSource,
  context: EncryptionContext,
  range: ByteRange,
  options?: OperationOptions,
): Promise<Bytes> {
  const encoded = checked(operations, source, context, options);
  requireRange(range);
  const plaintext = await openRangeWith(dekBy(operations, options), source, encoded, range, options);
  operations.shared.counts.opens++;
  return plaintext;
}

/** How long the plaintext of a stored envelope is, by its last chunk. */
export async function plaintextLength(
  operations: Operations,
  source: ByteSource,
  context: EncryptionContext,
  options?: OperationOptions,
): Promise<number> {
  const encoded = checked(operations, source, context, options);
  return plaintextLengthWith(dekBy(operations, options), source, encoded, options);
}

/** The part of {@link openRange} that knows no key hierarchy, for it and for test vectors. */
export async function openRangeWith(
  obtainDek: ObtainDek,
  source: ByteSource,
  context: Uint8Array,
  range: ByteRange,
  options?: OperationOptions,
): Promise<Bytes> {
  const message = await StoredMessage.of(obtainDek, new Reader(source, options), context);
  const start = "last" in range ? Math.max(0, message.length - range.last) : range.start;
  const end = Math.min("last" in range ? message.length : (range.end ?? message.length), message.length);
  if (start <= message.length) return message.open(start, end);
  await message.verifyLength();
  throw new KeyfoldError(
    "ERR_INVALID_ARGUMENT",
    `The plaintext ends at ${message.length}, before the start.`,
  );
}

/** The part of {@link plaintextLength} that knows no key hierarchy. */
export async function plaintextLengthWith(
  obtainDek: ObtainDek,
  source: ByteSource,
  context: Uint8Array,
  options?: OperationOptions,
): Promise<number> {
  const message = await StoredMessage.of(obtainDek, new Reader(source, options), context);
  await message.verifyLength();
  return message.length;
}

/** The message of an envelope in a source, its key in hand. */
class StoredMessage {
  /** Of the plaintext, by the size of the source: what it says until the last chunk was opened. */
  readonly length: number;
  readonly #reader: Reader;
  readonly #keys: MessageKeys;
  readonly #chunksAt: number;

  private constructor(reader: Reader, keys: MessageKeys, length: number, chunksAt: number) {
    this.length = length;
    this.#reader = reader;
    this.#keys = keys;
    this.#chunksAt = chunksAt;
  }

  /** @throws as `open` does for a whole envelope, but for what the chunks hold */
  static async of(obtainDek: ObtainDek, reader: Reader, context: Uint8Array): Promise<StoredMessage> {
    const start = await reader.readStart();
    const header = decodeHeader(start);
    const length = plaintextBytes(reader.size - header.length);
    const chunksAt = header.length + MESSAGE_HEAD_BYTES;
    const dek = await obtainDek(header);
    try {
      const keys = MessageKeys.of(dek, start.subarray(header.length, chunksAt), context);
      return new StoredMessage(reader, keys, length, chunksAt);
    } finally {
      dek.fill(0);
    }
  }

  /** Opens the last chunk, which is shorter than any other, so that no other length has it. @throws `ERR_MESSAGE_ALTERED` */
  async verifyLength(): Promise<void> {
    await this.open(this.length, this.length);
  }

  /**
   * The plaintext from `start` to `end`, neither beyond its length. The chunks are opened from the last to the first, so
   * that of a range that touches the end the length is verified before anything else is read.
   */
  async open(start: number, end: number): Promise<Bytes> {
    const first = Math.floor(start / CHUNK_BYTES);
    const stop = end === this.length ? Math.floor(end / CHUNK_BYTES) + 1 : Math.ceil(end / CHUNK_BYTES);
    const target = new Target(start, end);
    try {
      for (let next = stop; next > first; ) {
        const from = Math.max(first, next - CHUNKS_A_READ);
        await this.#openChunks(from, next, target);
        next = from;
      }
    } catch (error) {
      target.wipe();
      throw error;
    }
    return target.bytes;
  }

  /** Opens the chunks from `from` up to, and not including, `stop`. */
  async #openChunks(from: number, stop: number, target: Target): Promise<void> {
    const at = this.#chunksAt + from * SEALED_CHUNK_BYTES;
    const end = Math.min(this.#chunksAt + stop * SEALED_CHUNK_BYTES, this.#reader.size);
    const sealed = await this.#reader.read(at, end - at);
    for (let index = stop - 1; index >= from; index--) {
      const offset = (index - from) * SEALED_CHUNK_BYTES;
      target.take(this.#keys, index, sealed.subarray(offset, offset + SEALED_CHUNK_BYTES));
    }
  }
}

/** The bytes of a range, filled from the end. */
class Target {
  readonly bytes: Bytes;
  readonly #start: number;
  readonly #end: number;
  /** Where in `bytes` what was opened begins. */
  #from: number;

  constructor(start: number, end: number) {
    this.bytes = room(end - start);
    this.#start = start;
    this.#end = end;
    this.#from = this.bytes.length;
  }

  /** Opens a chunk, and keeps what belongs to the range. */
  take(keys: MessageKeys, index: number, sealed: Uint8Array): void {
    const begin = index * CHUNK_BYTES;
    const chunk = keys.open(index, sealed);
    const part = chunk.subarray(Math.max(0, this.#start - begin), Math.max(0, this.#end - begin));
    this.#from = Math.max(0, begin - this.#start);
    this.bytes.set(part, this.#from);
    discard(chunk);
  }

  wipe(): void {
    this.bytes.fill(0, this.#from);
  }
}

/** A source that is held to what it promised. */
class Reader {
  readonly size: number;
  readonly #source: ByteSource;
  readonly #options: OperationOptions | undefined;
  #start: Uint8Array = new Uint8Array(0);

  constructor(source: ByteSource, options: OperationOptions | undefined) {
    this.size = source.size;
    this.#source = source;
    this.#options = options;
  }

  /** The header and the head of the message, or all there is: what the first read gave, and a second one if need be. */
  async readStart(): Promise<Uint8Array> {
    this.#start = await this.read(0, Math.min(this.size, FIRST_READ_BYTES));
    if (this.#start.length < HEADER_START_BYTES) return this.#start;
    const wanted = Math.min(this.size, headerLength(this.#start) + MESSAGE_HEAD_BYTES);
    const more = Math.max(0, wanted - this.#start.length);
    this.#start = concat(this.#start, await this.read(this.#start.length, more));
    return this.#start;
  }

  /** Bytes that are good until the next call. */
  async read(offset: number, length: number): Promise<Uint8Array> {
    const known = this.#start.subarray(offset, offset + length);
    if (known.length === length) return known;
    requireNotAborted(this.#options);
    const bytes: unknown = await this.#ask(offset, length);
    if (isUint8Array(bytes) && bytes.length === length) return bytes;
    throw new KeyfoldError("ERR_IO", `The source did not give the ${length} bytes that it was asked for.`, {
      remedy: "See whether it is being changed, and whether its size is right.",
    });
  }

  async #ask(offset: number, length: number): Promise<unknown> {
    const signal = this.#options?.signal;
    try {
      const reading = this.#source.read(offset, length);
      return await (signal === undefined ? reading : settle(promptly(reading, signal), this.#options));
    } catch (cause) {
      if (cause instanceof KeyfoldError) throw cause;
      throw new KeyfoldError("ERR_IO", "The source of the envelope failed.", { cause, remedy: "See cause." });
    }
  }
}

function checked(
  operations: Operations,
  source: ByteSource,
  context: EncryptionContext,
  options?: OperationOptions,
): Bytes {
  operations.requireMayOpen();
  const encoded = operations.contextOf(context);
  requireNotAborted(options);
  requireArgument(
    typeof source === "object" &&
      source !== null &&
      typeof source.read === "function" &&
      isOffset(source.size),
    "A source is { size, read(offset, length) }, and size a whole number up to 2^53 - 1.",
  );
  return encoded;
}

function requireRange(range: ByteRange): void {
  const isRange = typeof range === "object" && range !== null;
  requireArgument(
    isRange && ("last" in range ? isOffset(range.last) : isSpan(range.start, range.end)),
    "A range is { start, end? } with start not above end, or { last }: whole numbers, not negative.",
  );
}

function isSpan(start: unknown, end: unknown): boolean {
  return isOffset(start) && (end === undefined || (isOffset(end) && start <= end));
}

function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function dekBy(operations: Operations, options?: OperationOptions): ObtainDek {
  return (header) => operations.dekOf(header, options);
}

function room(length: number): Bytes {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new KeyfoldError("ERR_INVALID_ARGUMENT", `A range of ${length} bytes is too long for memory.`, {
      cause,
    });
  }
}
