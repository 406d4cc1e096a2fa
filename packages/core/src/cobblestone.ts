/**
 * The message: Cobblestone-256, the instance of c2sp.org/chunked-encryption with AEAD_AES_256_GCM and SHA-512. It knows
 * no envelope, and no key but the one given.
 */

import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
  timingSafeEqual,
} from "node:crypto";
import { type Bytes, concat } from "./bytes.ts";
import { KeyfoldError, requireArgument } from "./errors.ts";
import { oneTimeKey, type SecretKey } from "./hkdf.ts";
import { MessageKdf } from "./message-kdf.ts";

export const MESSAGE_KEY_BYTES = 32;
export const MESSAGE_SALT_BYTES = 24;
/** Plaintext bytes in every chunk but the last, which is always shorter and may be empty. */
export const CHUNK_BYTES = 16_384;
export const TAG_BYTES = 16;
export const SEALED_CHUNK_BYTES: number = CHUNK_BYTES + TAG_BYTES;
/** The bound of the format, so that no nonce comes twice. */
export const MAX_CHUNKS: number = 2 ** 38;

const TOO_MANY_CHUNKS = `A message has ${MAX_CHUNKS} chunks at most.`;
const COMMITMENT_BYTES = 32;
/** `salt24 ‖ commitment32`, which a message begins with. */
export const MESSAGE_HEAD_BYTES: number = MESSAGE_SALT_BYTES + COMMITMENT_BYTES;
/** Without options, which Node looks through for each cipher: tags of 16 bytes are GCM's own default, and none else is given. */
const ALGORITHM = "aes-256-gcm";
const LABEL = new TextEncoder().encode("c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0");
/** Of a message whose plaintext stands in memory whole: who can read a dead string there can read that. */
const wholeKdf = new MessageKdf(LABEL, { leavesNothing: false });
/** Of a message of which only a part is ever in memory. */
const chunkwiseKdf = new MessageKdf(LABEL, { leavesNothing: true });

/** Payload key ‖ base nonce ‖ commitment of the message at hand. Wiped before the function that filled it returns. */
const okm = Buffer.from(new ArrayBuffer(76));
const payloadKey = new Uint8Array(okm.buffer, 0, 32);
const baseNonce = new Uint8Array(okm.buffer, 32, 12);
const commitment = new Uint8Array(okm.buffer, 44, 32);
/** In memory of its own from the start: what is handed to a cipher gets that otherwise each time. */
const laterNonce = new Uint8Array(new ArrayBuffer(12));

/** How many bytes a message over `plaintextBytes` has. */
export function messageBytes(plaintextBytes: number): number {
  return MESSAGE_HEAD_BYTES + plaintextBytes + TAG_BYTES * (Math.floor(plaintextBytes / CHUNK_BYTES) + 1);
}

/**
 * How many bytes of plaintext a message has, by its length alone.
 *
 * @throws `ERR_MESSAGE_TRUNCATED` for a length that no message has
 */
export function plaintextBytes(messageLength: number): number {
  const chunks = messageLength - MESSAGE_HEAD_BYTES;
  const last = chunks % SEALED_CHUNK_BYTES;
  if (chunks < 0 || last < TAG_BYTES) throw new KeyfoldError("ERR_MESSAGE_TRUNCATED");
  return chunks - TAG_BYTES * (Math.floor(chunks / SEALED_CHUNK_BYTES) + 1);
}

/**
 * Seals `plaintext` into `message`: `salt24 ‖ commitment32 ‖ chunks`.
 *
 * @param key 32 bytes, used for this message and no other
 * @param salt 24 random bytes
 * @param context authenticated, not stored
 * @param into written from `at` on: `messageBytes(plaintext.length)` bytes
 */
export function sealMessage(
  key: Uint8Array,
  salt: Uint8Array,
  context: Uint8Array,
  plaintext: Uint8Array,
  into: Uint8Array,
  at = 0,
): void {
  const payload = derive(key, salt, context);
  into.set(salt, at);
  into.set(commitment, at + MESSAGE_SALT_BYTES);
  let target = at + MESSAGE_HEAD_BYTES;
  for (let index = 0, offset = 0; offset <= plaintext.length; index++, offset += CHUNK_BYTES) {
    const chunk = plaintext.subarray(offset, offset + CHUNK_BYTES);
    target += sealChunk(payload, chunkNonce(baseNonce, index), chunk, into, target);
  }
  okm.fill(0);
}

/**
 * Opens a whole message: all of its plaintext, or an error and none of it.
 *
 * @returns the plaintext, the caller's own
 * @throws `ERR_MESSAGE_TRUNCATED`, `ERR_CONTEXT_MISMATCH`, `ERR_MESSAGE_ALTERED`; `ERR_INVALID_ARGUMENT` for a key of
 * another length
 */
export function openMessage(key: Uint8Array, context: Uint8Array, message: Uint8Array): Bytes {
  requireArgument(key.length === MESSAGE_KEY_BYTES, `A message key is ${MESSAGE_KEY_BYTES} bytes.`);
  const length = plaintextBytes(message.length);
  const payload = derive(key, message.subarray(0, MESSAGE_SALT_BYTES), context);
  try {
    if (!timingSafeEqual(commitment, message.subarray(MESSAGE_SALT_BYTES, MESSAGE_HEAD_BYTES))) {
      throw new KeyfoldError("ERR_CONTEXT_MISMATCH");
    }
    return length > CHUNK_BYTES ? openChunks(payload, message, length) : openFirst(payload, message);
  } finally {
    okm.fill(0);
  }
}

/** The keys of one message, for whoever seals or opens it chunk by chunk and in any order. */
export class MessageKeys {
  /** What the message begins with: `salt24 ‖ commitment32`. */
  readonly head: Bytes;
  readonly #payloadKey: KeyObject;
  readonly #baseNonce: Bytes;

  /**
   * The keys of a message that is to be sealed. They seal each index once.
   *
   * @param key 32 bytes, used for this message and no other; the caller's to wipe
   * @param salt 24 random bytes
   * @param context authenticated, not stored
   * @throws `ERR_INVALID_ARGUMENT` for a key of another length
   */
  constructor(key: Uint8Array, salt: Uint8Array, context: Uint8Array) {
    requireArgument(key.length === MESSAGE_KEY_BYTES, `A message key is ${MESSAGE_KEY_BYTES} bytes.`);
    chunkwiseKdf.expandInto(okm, key, salt, context);
    this.head = concat(salt, commitment);
    this.#payloadKey = createSecretKey(payloadKey);
    this.#baseNonce = baseNonce.slice();
    okm.fill(0);
  }

  /**
   * The keys of a message that begins with `head`, 56 bytes.
   *
   * @throws `ERR_CONTEXT_MISMATCH` unless the commitment is theirs
   */
  static of(key: Uint8Array, head: Uint8Array, context: Uint8Array): MessageKeys {
    const keys = new MessageKeys(key, head.subarray(0, MESSAGE_SALT_BYTES), context);
    if (!timingSafeEqual(keys.head, head)) throw new KeyfoldError("ERR_CONTEXT_MISMATCH");
    return keys;
  }

  /**
   * Seals one chunk into `target` at `at`.
   *
   * @param plaintext 16,384 bytes; of the last chunk fewer, or none
   * @returns how many bytes were written: 16 more
   */
  seal(index: number, plaintext: Uint8Array, target: Uint8Array, at: number): number {
    requireArgument(index < MAX_CHUNKS, TOO_MANY_CHUNKS);
    return sealChunk(this.#payloadKey, chunkNonce(this.#baseNonce, index), plaintext, target, at);
  }

  /**
   * Opens one chunk.
   *
   * @param sealed 16,400 bytes; of the last chunk 16 or more, but fewer than that
   * @returns 16 bytes fewer, the caller's own: to keep, or to {@link discard}
   * @throws `ERR_MESSAGE_ALTERED`
   */
  open(index: number, sealed: Uint8Array): Bytes {
    return own(openChunk(this.#payloadKey, chunkNonce(this.#baseNonce, index), sealed, 0, sealed.length));
  }
}

/** At most 16,384 bytes of plaintext: what the cipher gives is the caller's, without a copy. */
function openFirst(payload: Uint8Array | SecretKey, message: Uint8Array): Bytes {
  const end = Math.min(MESSAGE_HEAD_BYTES + SEALED_CHUNK_BYTES, message.length);
  const plaintext = openChunk(payload, baseNonce, message, MESSAGE_HEAD_BYTES, end);
  if (message.length > end) {
    openChunk(payload, chunkNonce(baseNonce, 1), message, end, message.length, plaintext);
  }
  return own(plaintext);
}

function openChunks(payload: Uint8Array | SecretKey, message: Uint8Array, length: number): Bytes {
  const plaintext = new Uint8Array(length);
  for (
    let index = 0, start = MESSAGE_HEAD_BYTES;
    start < message.length;
    index++, start += SEALED_CHUNK_BYTES
  ) {
    const end = Math.min(start + SEALED_CHUNK_BYTES, message.length);
    const chunk = openChunk(payload, chunkNonce(baseNonce, index), message, start, end, plaintext);
    plaintext.set(chunk, index * CHUNK_BYTES);
    discard(chunk);
  }
  return plaintext;
}

/** Writes the sealed chunk into `target` at `at`. @returns how many bytes that were */
function sealChunk(
  payload: Uint8Array | SecretKey,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  target: Uint8Array,
  at: number,
): number {
  const cipher = createCipheriv(ALGORITHM, payload as Uint8Array | KeyObject, nonce);
  const chunk = cipher.update(plaintext);
  cipher.final();
  target.set(chunk, at);
  target.set(cipher.getAuthTag(), at + chunk.length);
  if (plaintext.length === CHUNK_BYTES) release(chunk);
  return plaintext.length + TAG_BYTES;
}

/** Opens the chunk from `start` up to `end`. Where it does not authenticate, wipes what it decrypted, and `released` with it. */
function openChunk(
  payload: Uint8Array | SecretKey,
  nonce: Uint8Array,
  from: Uint8Array,
  start: number,
  end: number,
  released?: Uint8Array,
): Uint8Array {
  const tagAt = end - TAG_BYTES;
  const decipher = createDecipheriv(ALGORITHM, payload as Uint8Array | KeyObject, nonce);
  decipher.setAuthTag(from.subarray(tagAt, end));
  const plaintext = decipher.update(from.subarray(start, tagAt));
  try {
    decipher.final();
  } catch (cause) {
    plaintext.fill(0);
    released?.fill(0);
    throw new KeyfoldError("ERR_MESSAGE_ALTERED", undefined, { cause });
  }
  return plaintext;
}

/** Fills the scratch with what the key, the salt and the context give; the payload key, ready for a cipher. */
function derive(key: Uint8Array, salt: Uint8Array, context: Uint8Array): Uint8Array | SecretKey {
  wholeKdf.expandInto(okm, key, salt, context);
  return oneTimeKey(payloadKey);
}

/** The base nonce XOR the chunk's index as a 12-byte integer; good until the next call. */
function chunkNonce(base: Uint8Array, index: number): Uint8Array {
  if (index === 0) return base;
  laterNonce.set(base);
  for (let at = laterNonce.length - 1, rest = index; rest > 0; at--, rest = Math.floor(rest / 256)) {
    laterNonce[at] = (laterNonce[at] ?? 0) ^ (rest % 256);
  }
  return laterNonce;
}

/** Wipes an opened chunk that was copied, and gives its memory back. */
export function discard(chunk: Uint8Array): void {
  chunk.fill(0);
  release(chunk);
}

/**
 * Gives the memory of a cipher's output back at once, for the next chunk. Left to the garbage collector it stays for thousands
 * of chunks, and each of those touches memory that is not in the cache: measured, a quarter of the whole time.
 */
function release({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) buffer.transfer(0);
}

/** As plain bytes in an `ArrayBuffer` of their own: a copy only where the runtime gave a view of something larger. */
function own(bytes: Uint8Array): Bytes {
  if (bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength) {
    return new Uint8Array(bytes.buffer);
  }
  const copy = new Uint8Array(bytes);
  bytes.fill(0);
  return copy;
}
