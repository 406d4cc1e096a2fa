/**
 * The message: Cobblestone-256, the instance of c2sp.org/chunked-encryption with AEAD_AES_256_GCM and SHA-512. It knows
 * no envelope, and no key but the one given.
 */

import { createCipheriv, createDecipheriv, type KeyObject, timingSafeEqual } from "node:crypto";
import type { Bytes } from "./bytes.ts";
import { KeyfoldError, requireArgument } from "./errors.ts";
import { expandInto, oneTimeKey } from "./hkdf.ts";

export const MESSAGE_KEY_BYTES = 32;
export const MESSAGE_SALT_BYTES = 24;
/** Plaintext bytes in every chunk but the last, which is always shorter and may be empty. */
export const CHUNK_BYTES = 16_384;
export const TAG_BYTES = 16;

const COMMITMENT_BYTES = 32;
const CHUNKS_AT = MESSAGE_SALT_BYTES + COMMITMENT_BYTES;
const SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES;
const ALGORITHM = "aes-256-gcm";
const GCM = { authTagLength: TAG_BYTES };
const LABEL = new TextEncoder().encode("c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0");

/** Payload key ‖ base nonce ‖ commitment of the message at hand. Wiped before the function that filled it returns. */
const okm = new Uint8Array(76);
const payloadKey = okm.subarray(0, 32);
const baseNonce = okm.subarray(32, 44);
const commitment = okm.subarray(44, 76);

/** How many bytes a message over `plaintextBytes` has. */
export function messageBytes(plaintextBytes: number): number {
  return CHUNKS_AT + plaintextBytes + TAG_BYTES * (Math.floor(plaintextBytes / CHUNK_BYTES) + 1);
}

/**
 * How many bytes of plaintext a message has, by its length alone.
 *
 * @throws `ERR_MESSAGE_TRUNCATED` for a length that no message has
 */
export function plaintextBytes(messageLength: number): number {
  const chunks = messageLength - CHUNKS_AT;
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
 * @param message `messageBytes(plaintext.length)` bytes, the caller's
 */
export function sealMessage(
  key: Uint8Array,
  salt: Uint8Array,
  context: Uint8Array,
  plaintext: Uint8Array,
  message: Uint8Array,
): void {
  const payload = derive(key, salt, context);
  message.set(salt);
  message.set(commitment, MESSAGE_SALT_BYTES);
  let target = CHUNKS_AT;
  for (let index = 0, offset = 0; offset <= plaintext.length; index++, offset += CHUNK_BYTES) {
    const cipher = createCipheriv(ALGORITHM, payload, chunkNonce(index), GCM);
    const chunk = cipher.update(plaintext.subarray(offset, offset + CHUNK_BYTES));
    cipher.final();
    message.set(chunk, target);
    message.set(cipher.getAuthTag(), target + chunk.length);
    target += chunk.length + TAG_BYTES;
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
    if (!timingSafeEqual(commitment, message.subarray(MESSAGE_SALT_BYTES, CHUNKS_AT))) {
      throw new KeyfoldError("ERR_CONTEXT_MISMATCH");
    }
    const chunks = message.subarray(CHUNKS_AT);
    return length < CHUNK_BYTES ? own(openChunk(payload, 0, chunks)) : openChunks(payload, chunks, length);
  } finally {
    okm.fill(0);
  }
}

function openChunks(payload: Uint8Array | KeyObject, chunks: Uint8Array, length: number): Bytes {
  const plaintext = new Uint8Array(length);
  for (let index = 0; index * SEALED_CHUNK_BYTES < chunks.length; index++) {
    const offset = index * SEALED_CHUNK_BYTES;
    const chunk = openChunk(payload, index, chunks.subarray(offset, offset + SEALED_CHUNK_BYTES), plaintext);
    plaintext.set(chunk, index * CHUNK_BYTES);
    chunk.fill(0);
  }
  return plaintext;
}

/** Opens one chunk. Where it does not authenticate, wipes what it decrypted, and `released` with it. */
function openChunk(
  payload: Uint8Array | KeyObject,
  index: number,
  chunk: Uint8Array,
  released?: Uint8Array,
): Uint8Array {
  const tagAt = chunk.length - TAG_BYTES;
  const decipher = createDecipheriv(ALGORITHM, payload, chunkNonce(index), GCM);
  decipher.setAuthTag(chunk.subarray(tagAt));
  const plaintext = decipher.update(chunk.subarray(0, tagAt));
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
function derive(key: Uint8Array, salt: Uint8Array, context: Uint8Array): Uint8Array | KeyObject {
  expandInto(okm, oneTimeKey(key), LABEL, salt, context);
  return oneTimeKey(payloadKey);
}

/** The base nonce XOR the chunk's index as a 12-byte integer. */
function chunkNonce(index: number): Uint8Array {
  if (index === 0) return baseNonce;
  const nonce = baseNonce.slice();
  for (let at = nonce.length - 1, rest = index; rest > 0; at--, rest = Math.floor(rest / 256)) {
    nonce[at] = (nonce[at] ?? 0) ^ (rest % 256);
  }
  return nonce;
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
