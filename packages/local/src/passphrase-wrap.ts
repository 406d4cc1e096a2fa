/**
 * A 32-byte key under a passphrase, as bytes: scrypt (RFC 7914), then AES-256-GCM (NIST SP 800-38D).
 * docs/spec/envelope-v1.md, "Wraps".
 */

import { type KeyObject, scrypt } from "node:crypto";
import { type Bytes, KeyfoldError } from "@keyfold/core";
import { aborted, concat, KEY_BYTES, rejected } from "@keyfold/core/provider";
import { decrypt, encrypt, NONCE_BYTES, random, SEALED_BYTES, takeKey } from "./wrap.ts";

const SCHEME = 2;
const SALT_BYTES = 16;
const SALT_AT = 4;
const NONCE_AT: number = SALT_AT + SALT_BYTES;
const SEALED_AT: number = NONCE_AT + NONCE_BYTES;
const WRAP_BYTES = SEALED_AT + SEALED_BYTES;

/** scrypt's block size r, the same in every wrap: memory is 128 · N · r bytes. */
const R = 8;
export const MIN_LOG2_N = 15;
export const MAX_LOG2_N = 20;
export const MIN_P = 1;
export const MAX_P = 4;

/** What scrypt costs. */
export interface Cost {
  readonly log2N: number;
  readonly p: number;
}

/** How scrypt is asked: what is beside the passphrase. */
interface Derivation extends Cost {
  readonly salt: Uint8Array;
}

/** Wraps with a new salt and nonce: 80 bytes. Rejects at once when `signal` is aborted. */
export function wrapPassphrase(
  passphrase: KeyObject,
  key: Uint8Array,
  context: Uint8Array,
  cost: Cost,
  signal: AbortSignal,
): Promise<Bytes> {
  const derivation = { ...cost, salt: random(SALT_BYTES) };
  return wrapPassphraseWith(passphrase, key, context, derivation, random(NONCE_BYTES), signal);
}

/** With salt and nonce given, so that the vectors can be met byte for byte. */
export async function wrapPassphraseWith(
  passphrase: KeyObject,
  key: Uint8Array,
  context: Uint8Array,
  derivation: Derivation,
  nonce: Uint8Array,
  signal: AbortSignal,
): Promise<Bytes> {
  // scrypt takes a while, in which the caller may wipe its key.
  const copy = new Uint8Array(key);
  try {
    const derived = await derive(passphrase, derivation, signal);
    const { log2N, p, salt } = derivation;
    return concat(Uint8Array.of(SCHEME, log2N, R, p), salt, nonce, encrypt(derived, nonce, copy, context));
  } finally {
    copy.fill(0);
  }
}

/** The inverse: 32 bytes of their own, or `ERR_MASTER_KEY_REJECTED`; a wrap that costs more than `limit` is refused before anything is derived. */
export async function unwrapPassphrase(
  passphrase: KeyObject,
  ciphertext: Uint8Array,
  context: Uint8Array,
  limit: Cost,
  signal: AbortSignal,
): Promise<Bytes> {
  const copy = new Uint8Array(ciphertext);
  const derived = await derive(passphrase, readDerivation(copy, limit), signal);
  return decrypt(derived, copy.subarray(NONCE_AT, SEALED_AT), copy.subarray(SEALED_AT), context);
}

/** What the wrap asks of scrypt, if it may: nothing has been derived yet. */
function readDerivation(wrap: Uint8Array, limit: Cost): Derivation {
  const [scheme, log2N = 0, r, p = 0] = wrap;
  if (wrap.length !== WRAP_BYTES || scheme !== SCHEME) {
    throw rejected(`A wrap under a passphrase is ${WRAP_BYTES} bytes that begin with 02; this one is not.`);
  }
  if (r !== R || log2N < MIN_LOG2_N || p < MIN_P) {
    throw rejected("The wrap asks for scrypt parameters that the format does not have.");
  }
  if (log2N > limit.log2N || p > limit.p) {
    throw rejected(
      `The wrap asks for scrypt with log2N ${log2N} and p ${p}, and this provider allows log2N ${limit.log2N} and p ${limit.p} at most: give passphraseKey higher ones if you trust the wrap.`,
    );
  }
  return { log2N, p, salt: wrap.subarray(SALT_AT, NONCE_AT) };
}

/** scrypt(passphrase, salt), 32 bytes, on another thread. Rejects at once when `signal` is aborted. */
function derive(
  passphrase: KeyObject,
  { log2N, p, salt }: Derivation,
  signal: AbortSignal,
): Promise<KeyObject> {
  const N = 2 ** log2N;
  // OpenSSL counts a little more than 128 · N · r, and wants to be allowed it.
  const parameters = { N, r: R, p, maxmem: 2 * 128 * N * R };
  const secret = passphrase.export();
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(aborted(signal));
    signal.addEventListener("abort", onAbort, { once: true });
    scrypt(secret, salt, KEY_BYTES, parameters, (error, derived) => {
      signal.removeEventListener("abort", onAbort);
      secret.fill(0);
      if (error === null) resolve(takeKey(derived));
      else reject(outOfMemory(N, error));
    });
  });
}

function outOfMemory(N: number, cause: Error): KeyfoldError {
  const mebibytes = (128 * N * R) / 2 ** 20;
  return new KeyfoldError("ERR_MASTER_KEY_UNAVAILABLE", `scrypt could not run; it needs ${mebibytes} MiB.`, {
    cause,
  });
}
