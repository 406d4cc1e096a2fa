/** Envelopes piece by piece: bytes in as they come, bytes out in pieces of bounded size. No stream and no I/O. */

import { type Bytes, concat, readU16 } from "./bytes.ts";
import {
  CHUNK_BYTES,
  MESSAGE_HEAD_BYTES,
  MessageKeys,
  plaintextBytes,
  SEALED_CHUNK_BYTES,
  TAG_BYTES,
} from "./cobblestone.ts";
import { decodeHeader, NONCE_BYTES, SEALED_DEK_BYTES, WRAPS_AT } from "./envelope.ts";
import { KeyfoldError } from "./errors.ts";

/** Sealed chunks in a piece: enough that what a stream costs for each piece is little, and few enough for memory. */
const PIECE_CHUNKS = 4;
/** Bytes of an envelope that say how long its header is. */
export const HEADER_START_BYTES: number = WRAPS_AT + 2;

const FLAGS_AT = 3;
/** No message is shorter: its head and one tag. */
const LEAST_MESSAGE_BYTES: number = MESSAGE_HEAD_BYTES + TAG_BYTES;
const NOTHING = new Uint8Array(0);

/** What turns one run of bytes into another, a piece at a time. */
export interface Pieces {
  /**
   * Gives it more to work on, once `next` has given all that came of what was given before.
   *
   * @param input read until `next` returns undefined, and to be left as it is until then
   * @returns a promise where a key has to be waited for
   */
  take(input: Uint8Array): Promise<void> | undefined;
  /** The next piece, the receiver's own; undefined where more input has to come first. */
  next(): Bytes | undefined;
  /** The last piece, once there is no more input and `next` has given all before it. May be empty. */
  finish(): Promise<Bytes>;
  /** Forgets the keys and wipes what is held. */
  wipe(): void;
}

/** What an envelope that is sealed piece by piece begins with. */
export interface Beginning {
  readonly header: Uint8Array;
  readonly keys: MessageKeys;
}

/**
 * How long the header is that begins with these 38 bytes, by what they say; `decodeHeader` judges it once it is there.
 *
 * @returns 96 + n, where n is 65,537 at most
 */
export function headerLength(start: Uint8Array): number {
  const wraps = start[FLAGS_AT] === 1 ? 2 + readU16(start, WRAPS_AT) : 0;
  return WRAPS_AT + wraps + NONCE_BYTES + SEALED_DEK_BYTES;
}

/** A plaintext in, its envelope out. */
export class SealingPieces implements Pieces {
  readonly #begin: () => Promise<Beginning>;
  readonly #chunks = new Cutter(CHUNK_BYTES);
  #keys: MessageKeys | undefined;
  /** Header and head of the message, until they went out with the first chunks. */
  #start: Uint8Array = NOTHING;
  #index = 0;

  /** @param begin called once, with the first input */
  constructor(begin: () => Promise<Beginning>) {
    this.#begin = begin;
  }

  take(input: Uint8Array): Promise<void> | undefined {
    this.#chunks.give(input);
    return this.#keys === undefined ? this.#obtainKeys() : undefined;
  }

  next(): Bytes | undefined {
    const count = Math.min(this.#chunks.whole, PIECE_CHUNKS);
    if (count > 0) return this.#seal(count * SEALED_CHUNK_BYTES, () => this.#chunks.unit());
    this.#chunks.keep();
    return undefined;
  }

  async finish(): Promise<Bytes> {
    if (this.#keys === undefined) await this.#obtainKeys();
    const last = this.#chunks.rest;
    const piece = this.#seal(last.length + TAG_BYTES, () => last);
    this.wipe();
    return piece;
  }

  wipe(): void {
    this.#chunks.wipe();
    this.#keys = undefined;
  }

  async #obtainKeys(): Promise<void> {
    const { header, keys } = await this.#begin();
    this.#start = concat(header, keys.head);
    this.#keys = keys;
  }

  /** A piece with room for `length` bytes of sealed chunks, which are made until it is full. */
  #seal(length: number, chunk: () => Uint8Array): Bytes {
    const keys = held(this.#keys);
    const piece = unfilled(this.#start.length + length);
    piece.set(this.#start);
    let at = this.#start.length;
    this.#start = NOTHING;
    while (at < piece.length) at += keys.seal(this.#index++, chunk(), piece, at);
    return piece;
  }
}

/**
 * An envelope in, its plaintext out, in pieces of one chunk: what the cipher gives, without a copy. What `next` gives was
 * authenticated; only `finish` says that it was all.
 */
export class OpeningPieces implements Pieces {
  readonly #obtainDek: (header: Uint8Array) => Promise<Uint8Array>;
  readonly #context: Uint8Array;
  readonly #chunks = new Cutter(SEALED_CHUNK_BYTES);
  #keys: MessageKeys | undefined;
  /** The envelope up to as much of the message as any has: first the part that says how long that is. */
  #start: Bytes = new Uint8Array(HEADER_START_BYTES);
  #filled = 0;
  #index = 0;

  /**
   * @param obtainDek called once, with the whole header; what it gives is wiped here
   * @param context encoded
   */
  constructor(obtainDek: (header: Uint8Array) => Promise<Uint8Array>, context: Uint8Array) {
    this.#obtainDek = obtainDek;
    this.#context = context;
  }

  take(input: Uint8Array): Promise<void> | undefined {
    const message = this.#keys === undefined ? this.#gather(input) : input;
    this.#chunks.give(message);
    return this.#keys === undefined && this.#filled === this.#start.length ? this.#obtainKeys() : undefined;
  }

  next(): Bytes | undefined {
    if (this.#chunks.whole > 0) return held(this.#keys).open(this.#index++, this.#chunks.unit());
    this.#chunks.keep();
    return undefined;
  }

  async finish(): Promise<Bytes> {
    if (this.#keys === undefined) plaintextBytes(this.#messageSoFar());
    const sealed = this.#chunks.rest;
    if (sealed.length < TAG_BYTES) throw new KeyfoldError("ERR_MESSAGE_TRUNCATED");
    const last = held(this.#keys).open(this.#index, sealed);
    this.wipe();
    return last;
  }

  wipe(): void {
    this.#chunks.wipe();
    this.#keys = undefined;
  }

  /** Fills the start. @returns what of the input is behind it */
  #gather(input: Uint8Array): Uint8Array {
    const room = this.#start.length - this.#filled;
    this.#start.set(input.subarray(0, room), this.#filled);
    this.#filled += Math.min(room, input.length);
    if (this.#filled < this.#start.length) return NOTHING;
    const behind = input.subarray(room);
    if (this.#filled > HEADER_START_BYTES) return behind;
    const start = new Uint8Array(headerLength(this.#start) + LEAST_MESSAGE_BYTES);
    start.set(this.#start);
    this.#start = start;
    return this.#gather(behind);
  }

  async #obtainKeys(): Promise<void> {
    const header = this.#start.subarray(0, -LEAST_MESSAGE_BYTES);
    const dek = await this.#obtainDek(header);
    try {
      const head = this.#start.subarray(-LEAST_MESSAGE_BYTES, -TAG_BYTES);
      this.#keys = MessageKeys.of(dek, head, this.#context);
    } finally {
      dek.fill(0);
    }
    this.#chunks.begin(this.#start.subarray(-TAG_BYTES));
    this.#start = NOTHING;
  }

  /** The length of the message in an envelope that ended before there was enough of it. @throws as `decodeHeader` */
  #messageSoFar(): number {
    return this.#filled - decodeHeader(this.#start.subarray(0, this.#filled)).length;
  }
}

/** Cuts what is given into units of one size. Copies only what straddles two inputs. */
class Cutter {
  readonly #held: Bytes;
  #length = 0;
  #input: Uint8Array = NOTHING;
  /** How much of the input is done with. */
  #at = 0;

  constructor(size: number) {
    this.#held = new Uint8Array(size);
  }

  /** Bytes to stand before the first input; fewer than a unit. */
  begin(bytes: Uint8Array): void {
    this.#held.set(bytes);
    this.#length = bytes.length;
  }

  give(input: Uint8Array): void {
    this.#input = input;
    this.#at = 0;
  }

  /** How many whole units are there. */
  get whole(): number {
    return Math.floor((this.#length + this.#input.length - this.#at) / this.#held.length);
  }

  /** The next of them: a view, good until the next call. */
  unit(): Uint8Array {
    const size = this.#held.length;
    if (this.#length === 0) {
      this.#at += size;
      return this.#input.subarray(this.#at - size, this.#at);
    }
    this.#hold(size - this.#length);
    this.#length = 0;
    return this.#held;
  }

  /** Keeps what is left of the input, less than a unit, and lets the input go. */
  keep(): void {
    this.#hold(this.#input.length - this.#at);
    this.give(NOTHING);
  }

  /** What was kept and is no whole unit: a view. */
  get rest(): Uint8Array {
    return this.#held.subarray(0, this.#length);
  }

  wipe(): void {
    this.#held.fill(0);
    this.#length = 0;
    this.give(NOTHING);
  }

  #hold(length: number): void {
    this.#held.set(this.#input.subarray(this.#at, this.#at + length), this.#length);
    this.#at += length;
    this.#length += length;
  }
}

/** Memory that holds anything, for one who writes all of it: to zero a piece first takes an eighth of the time of sealing it. */
function unfilled(length: number): Bytes {
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
}

/** What `wipe` takes away. */
function held(keys: MessageKeys | undefined): MessageKeys {
  if (keys === undefined) throw new KeyfoldError("ERR_CLOSED");
  return keys;
}
