/**
 * A 32-byte key under a 32-byte key, as bytes: AES-256-GCM (NIST SP 800-38D) with a random 12-byte nonce, a 16-byte
 * tag, and the encoded KMS context as additional authenticated data. docs/spec/envelope-v1.md, "Wraps".
 */

import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type KeyObject,
  randomFillSync,
} from "node:crypto";
import type { Bytes } from "@keyfold/core";
import { concat, KEY_BYTES, rejected } from "@keyfold/core/provider";

/** Bytes of a GCM nonce: 96 bits, the length that SP 800-38D section 8.2 is about. */
export const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Bytes of an encrypted 32-byte key, its tag included. */
export const SEALED_BYTES: number = KEY_BYTES + TAG_BYTES;

/** The scheme byte of a wrap under a local key. */
const LOCAL_SCHEME = 1;
const LOCAL_WRAP_BYTES = 1 + NONCE_BYTES + SEALED_BYTES;
const LOCAL_ID_INFO = "keyfold/1/local-id\0\x01";
const LOCAL_ID_BYTES = 16;

/** A local master key and the URI that wraps under it carry. */
export interface LocalKey {
  /** `local:` and 32 lower-case hex digits. */
  readonly masterKey: string;
  readonly key: KeyObject;
}

/** Takes over 32 bytes: they are wiped once the `KeyObject` has its copy. */
export function localKey(bytes: Uint8Array): LocalKey {
  const key = takeKey(bytes);
  return { masterKey: `local:${localId(key)}`, key };
}

/** A new random key, of which only the `KeyObject` is left. */
export function newLocalKey(): LocalKey {
  return localKey(random(KEY_BYTES));
}

/** A `KeyObject` of `bytes`, which are wiped. */
export function takeKey(bytes: Uint8Array): KeyObject {
  try {
    return createSecretKey(bytes);
  } finally {
    bytes.fill(0);
  }
}

export function random(length: number): Bytes {
  return randomFillSync(new Uint8Array(length));
}

/** Expand(key, "keyfold/1/local-id" ‖ 00, 16) in hex: one block of HKDF-Expand is enough, so one HMAC. */
function localId(key: KeyObject): string {
  return createHmac("sha512", key).update(LOCAL_ID_INFO).digest().subarray(0, LOCAL_ID_BYTES).toString("hex");
}

/**
 * Wraps under a local key: 01 ‖ nonce 12 ‖ AES-256-GCM 48. A random nonce allows 2^32 wraps under one key (SP 800-38D
 * section 8.3); a process wraps about once a day.
 */
export function wrapLocal(master: KeyObject, secret: Uint8Array, context: Uint8Array): Bytes {
  return wrapLocalWith(master, secret, context, random(NONCE_BYTES));
}

/** With the nonce given, so that the vectors can be met byte for byte. A nonce that is used twice gives both keys away. */
export function wrapLocalWith(
  master: KeyObject,
  secret: Uint8Array,
  context: Uint8Array,
  nonce: Uint8Array,
): Bytes {
  return concat(Uint8Array.of(LOCAL_SCHEME), nonce, encrypt(master, nonce, secret, context));
}

/** The inverse: 32 bytes of their own, or `ERR_MASTER_KEY_REJECTED`. */
export function unwrapLocal(master: KeyObject, wrap: Uint8Array, context: Uint8Array): Bytes {
  if (wrap.length !== LOCAL_WRAP_BYTES || wrap[0] !== LOCAL_SCHEME) {
    throw rejected(
      `A wrap under a local key is ${LOCAL_WRAP_BYTES} bytes that begin with 01; this one is not.`,
    );
  }
  return decrypt(master, wrap.subarray(1, 1 + NONCE_BYTES), wrap.subarray(1 + NONCE_BYTES), context);
}

/** AES-256-GCM of a 32-byte secret: 48 bytes, the tag last. */
export function encrypt(key: KeyObject, nonce: Uint8Array, secret: Uint8Array, context: Uint8Array): Bytes {
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(context);
  return concat(cipher.update(secret), cipher.final(), cipher.getAuthTag());
}

/** The inverse, of 48 bytes: 32 bytes of their own, or `ERR_MASTER_KEY_REJECTED`. */
export function decrypt(key: KeyObject, nonce: Uint8Array, sealed: Uint8Array, context: Uint8Array): Bytes {
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(context);
  decipher.setAuthTag(sealed.subarray(KEY_BYTES));
  const plain = decipher.update(sealed.subarray(0, KEY_BYTES));
  try {
    decipher.final();
    return new Uint8Array(plain);
  } catch (error) {
    throw rejected("The wrap does not authenticate under this key and this KMS context.", error);
  } finally {
    plain.fill(0);
  }
}
