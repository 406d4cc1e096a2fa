/**
 * keyfold's construction with nothing around it: the floor that keyfold is measured against. It writes version 1 envelopes
 * and opens them as fast as `node:crypto` was found to allow: one project, one scope, one KDK. It checks no argument, wipes
 * no key (some stay in strings, which cannot be wiped), believes every length, and keeps its keys for ever. Not for use.
 */

import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hash,
  type KeyObject,
  randomFillSync,
} from "node:crypto";
import type { WrappedKey } from "@keyfold/core";
import type { Context } from "./contender.ts";

const ALGORITHM = "aes-256-gcm";
const CHUNK = 16_384;
const TAG = 16;
const MESSAGE_LABEL = "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";

/** Node 24.18 to 24.21 takes 10 µs more for a cipher with raw key bytes than for one with a KeyObject. */
const rawKeysAreSlow = /^24\.(1[89]|2[01])\./.test(process.versions.node);

/** Node's own methods under `write` and `toString`, without their checks of arguments; its types do not name them. */
type FastBuffer = Buffer & {
  latin1Write(text: string, offset?: number, length?: number): number;
  utf8Write(text: string, offset?: number, length?: number): number;
  latin1Slice(start: number, end: number): string;
};

function fastBuffer(length: number, fill: number): FastBuffer {
  return Buffer.alloc(length, fill) as FastBuffer;
}

// Randomness: one call to the system for many secrets.

const pool = Buffer.allocUnsafeSlow(65_536);
let used = pool.length;

/** A view of the pool. */
function random(length: number): Buffer {
  if (used + length > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += length;
  return pool.subarray(used - length, used);
}

// HMAC-SHA-512 by the one-shot `hash`, which with a latin1 digest takes a third of an Hmac's time.

const BLOCK = 128;
const DIGEST = 64;
const SALT_AT = MESSAGE_LABEL.length;
const CONTEXT_AT = SALT_AT + 24;
const ROOM = 16_384;
/** key XOR ipad ‖ info ‖ 01 */
const first = fastBuffer(BLOCK + ROOM, 0x36);
const firstInfo = first.subarray(BLOCK) as FastBuffer;
/** key XOR ipad ‖ T1 ‖ info ‖ 02 */
const second = fastBuffer(BLOCK + DIGEST + ROOM, 0x36);
const secondInfo = second.subarray(BLOCK + DIGEST) as FastBuffer;
/** key XOR opad ‖ inner digest */
const outer = fastBuffer(BLOCK + DIGEST, 0x5c);
firstInfo.latin1Write(MESSAGE_LABEL);
secondInfo.latin1Write(MESSAGE_LABEL);

const okm = fastBuffer(2 * DIGEST, 0);
const payloadKey = okm.subarray(0, 32);
const baseNonce = okm.subarray(32, 44);
const chunkNonce = Buffer.alloc(12);

/** Fills `okm` with payload key ‖ base nonce ‖ commitment, and gives the key for a cipher. */
function derive(dek: Uint8Array, salt: Uint8Array, context: Context): Uint8Array | KeyObject {
  for (let i = 0; i < 32; i++) {
    const byte = dek[i] ?? 0;
    first[i] = byte ^ 0x36;
    second[i] = byte ^ 0x36;
    outer[i] = byte ^ 0x5c;
  }
  firstInfo.set(salt, SALT_AT);
  const end = encodeContext(context);
  second.set(firstInfo.subarray(SALT_AT, end), BLOCK + DIGEST + SALT_AT);
  firstInfo[end] = 1;
  secondInfo[end] = 2;
  const t1 = mac(first.subarray(0, BLOCK + end + 1));
  second.latin1Write(t1, BLOCK);
  okm.latin1Write(t1);
  okm.latin1Write(mac(second.subarray(0, BLOCK + DIGEST + end + 1)), DIGEST);
  return rawKeysAreSlow ? createSecretKey(payloadKey) : payloadKey;
}

function mac(message: Buffer): string {
  outer.latin1Write(hash("sha512", message, "latin1"), BLOCK);
  return hash("sha512", outer, "latin1");
}

/** Writes the encoded context into the first block's info, and returns where it ends. */
function encodeContext(context: Context): number {
  const keys = Object.keys(context);
  if (keys.length > 1) keys.sort();
  let at = firstInfo.writeUInt16BE(keys.length, CONTEXT_AT);
  for (const key of keys) {
    at = writeText(key, at);
    at = writeText(context[key] ?? "", at);
  }
  return at;
}

function writeText(text: string, at: number): number {
  const length = firstInfo.utf8Write(text, at + 2);
  firstInfo.writeUInt16BE(length, at);
  return at + 2 + length;
}

/** The base nonce XOR the chunk's index. */
function nonceOf(index: number): Buffer {
  if (index === 0) return baseNonce;
  chunkNonce.set(baseNonce);
  chunkNonce.writeUInt32BE((chunkNonce.readUInt32BE(8) ^ index) >>> 0, 8);
  return chunkNonce;
}

export interface BareOptions {
  /** The key-derivation key, 32 bytes. */
  readonly kdk: Uint8Array;
  readonly project: string;
  /** The KDK under the master keys, for the header. */
  readonly wraps: readonly WrappedKey[];
  /** Memory for an envelope: of its own as keyfold gives it, which `Buffer.allocUnsafeSlow` does, or a part of Node's pool. */
  readonly allocate: (bytes: number) => Buffer;
}

export class Bare {
  readonly #kdk: Uint8Array;
  readonly #project: Buffer;
  readonly #prefix: Buffer;
  readonly #allocate: (bytes: number) => Buffer;
  readonly #kek: KeyObject;
  readonly #opening = new Map<string, KeyObject>();

  constructor({ kdk, project, wraps, allocate }: BareOptions) {
    this.#kdk = kdk;
    this.#project = prefixed(Buffer.from(project));
    const id = expand(kdk, Buffer.concat([Buffer.from("keyfold/1/kdk-id\0"), this.#project])).subarray(0, 16);
    const salt = Buffer.from(random(16));
    this.#prefix = headerPrefix(id, salt, wraps);
    this.#allocate = allocate;
    this.#kek = this.#deriveKek(salt);
  }

  seal(plaintext: Uint8Array, context: Context): Buffer {
    const prefix = this.#prefix;
    const { length } = plaintext;
    const draws = random(68);
    const salt = draws.subarray(44);
    const dek = draws.subarray(12, 44);
    let at = prefix.length;
    const envelope = this.#allocate(at + 116 + length + TAG * (Math.floor(length / CHUNK) + 1));
    const wrapping = createCipheriv(ALGORITHM, this.#kek, draws.subarray(0, 12));
    wrapping.setAAD(prefix);
    envelope.set(prefix);
    envelope.set(draws.subarray(0, 12), at);
    envelope.set(wrapping.update(dek), at + 12);
    wrapping.final();
    envelope.set(wrapping.getAuthTag(), at + 44);
    const key = derive(dek, salt, context);
    envelope.set(salt, at + 60);
    okm.copy(envelope, at + 84, 44, 76);
    at += 116;
    for (let index = 0, offset = 0; offset <= length; index++, offset += CHUNK) {
      const cipher = createCipheriv(ALGORITHM, key, nonceOf(index));
      const chunk = cipher.update(length < CHUNK ? plaintext : plaintext.subarray(offset, offset + CHUNK));
      cipher.final();
      envelope.set(chunk, at);
      envelope.set(cipher.getAuthTag(), at + chunk.length);
      at += chunk.length + TAG;
      if (chunk.length === CHUNK) release(chunk);
    }
    return envelope;
  }

  open(envelope: Buffer, context: Context): Buffer {
    const aadEnd = (envelope[3] ?? 0) & 1 ? 38 + envelope.readUInt16BE(36) : 36;
    const unwrapping = createDecipheriv(
      ALGORITHM,
      this.#kekOf(envelope),
      envelope.subarray(aadEnd, aadEnd + 12),
    );
    unwrapping.setAAD(envelope.subarray(0, aadEnd));
    unwrapping.setAuthTag(envelope.subarray(aadEnd + 44, aadEnd + 60));
    const dek = unwrapping.update(envelope.subarray(aadEnd + 12, aadEnd + 44));
    unwrapping.final();
    const message = aadEnd + 60;
    const key = derive(dek, envelope.subarray(message, message + 24), context);
    if (okm.compare(envelope, message + 24, message + 56, 44, 76) !== 0) throw new Error("Another context.");
    return openChunks(key, envelope, message + 56);
  }

  /** One KEK for each salt, as keyfold keeps them. */
  #kekOf(envelope: Buffer): KeyObject {
    const name = (envelope as FastBuffer).latin1Slice(4, 36);
    let kek = this.#opening.get(name);
    if (kek === undefined) {
      kek = this.#deriveKek(envelope.subarray(20, 36));
      this.#opening.set(name, kek);
    }
    return kek;
  }

  #deriveKek(salt: Uint8Array): KeyObject {
    const info = Buffer.concat([Buffer.from("keyfold/1/kek\0"), salt, this.#project, Buffer.alloc(2)]);
    return createSecretKey(expand(this.#kdk, info).subarray(0, 32));
  }
}

function openChunks(key: Uint8Array | KeyObject, envelope: Buffer, start: number): Buffer {
  const chunks = Math.floor((envelope.length - start) / (CHUNK + TAG)) + 1;
  const firstEnd = Math.min(start + CHUNK + TAG, envelope.length);
  const first = openChunk(key, 0, envelope, start, firstEnd);
  if (chunks === 1) return first;
  if (envelope.length === firstEnd + TAG) {
    openChunk(key, 1, envelope, firstEnd, envelope.length);
    return first;
  }
  const plaintext = Buffer.allocUnsafe(envelope.length - start - TAG * chunks);
  plaintext.set(first);
  release(first);
  for (let index = 1, at = firstEnd; index < chunks; index++, at += CHUNK + TAG) {
    const end = Math.min(at + CHUNK + TAG, envelope.length);
    const chunk = openChunk(key, index, envelope, at, end);
    plaintext.set(chunk, index * CHUNK);
    release(chunk);
  }
  return plaintext;
}

function openChunk(
  key: Uint8Array | KeyObject,
  index: number,
  from: Buffer,
  start: number,
  end: number,
): Buffer {
  const decipher = createDecipheriv(ALGORITHM, key, nonceOf(index));
  decipher.setAuthTag(from.subarray(end - TAG, end));
  const chunk = decipher.update(from.subarray(start, end - TAG));
  decipher.final();
  return chunk;
}

/** Gives memory back at once, which is faster than leaving chunks to the garbage collector. */
function release({ buffer, byteLength }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

/** The first block of HKDF-Expand. */
function expand(key: Uint8Array, info: Uint8Array): Buffer {
  return createHmac("sha512", key).update(info).update("\x01").digest();
}

function headerPrefix(kdkId: Buffer, salt: Buffer, wraps: readonly WrappedKey[]): Buffer {
  const start = Buffer.from([0x4b, 0x46, 1, wraps.length === 0 ? 0 : 1]);
  if (wraps.length === 0) return Buffer.concat([start, kdkId, salt]);
  const each = wraps.flatMap(({ masterKey, ciphertext }) => [
    prefixed(Buffer.from(masterKey)),
    prefixed(ciphertext),
  ]);
  return Buffer.concat([start, kdkId, salt, prefixed(Buffer.concat([Buffer.from([wraps.length]), ...each]))]);
}

function prefixed(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
