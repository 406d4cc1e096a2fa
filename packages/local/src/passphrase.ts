/** The master key that is a passphrase, stretched by scrypt (RFC 7914). docs/spec/envelope-v1.md, "Wraps". */

import { type KeyObject, scrypt } from "node:crypto";
import { type Bytes, encodeContext, KeyfoldError, type MasterKeyProvider } from "@keyfold/core";
import {
  aborted,
  KEY_BYTES,
  rejected,
  requireArgument,
  requireKey,
  requireNotAborted,
  requireOpen,
  requireOptions,
} from "./checks.ts";
import { decrypt, encrypt, join, NONCE_BYTES, random, SEALED_BYTES, takeKey } from "./wrap.ts";

const URI = "passphrase:";
const SCHEME = 2;
const SALT_BYTES = 16;
const SALT_AT = 4;
const NONCE_AT: number = SALT_AT + SALT_BYTES;
const SEALED_AT: number = NONCE_AT + NONCE_BYTES;
const WRAP_BYTES = SEALED_AT + SEALED_BYTES;

/** scrypt's block size r, the same in every wrap: memory is 128 · N · r bytes. */
const R = 8;
const MIN_LOG2_N = 15;
const MAX_LOG2_N = 20;
const MIN_P = 1;
const MAX_P = 4;

/** What scrypt costs. Wraps are made at this cost, and wraps that cost more are refused. */
export interface PassphraseOptions {
  /**
   * The base-2 logarithm of scrypt's N, 15 to 20. Memory while a key is derived is 2^(log2N + 10) bytes: 128 MiB for the
   * default of 17, 1 GiB for 20. Time doubles with each step.
   */
  readonly log2N?: number;
  /** scrypt's p, 1 to 4; 1 by default. Multiplies the time, not the memory. */
  readonly p?: number;
}

interface Cost {
  readonly log2N: number;
  readonly p: number;
}

/** How scrypt is asked: what is beside the passphrase. */
interface Derivation extends Cost {
  readonly salt: Uint8Array;
}

/**
 * A passphrase as master key, for what a person opens: backups, exports, air gaps. Each wrap has a key of its own,
 * scrypt(passphrase, salt) with r = 8 (RFC 7914) and 16 random bytes of salt. A wrap is 80 bytes: 02 ‖ log2 N ‖ r ‖ p ‖
 * salt 16 ‖ nonce 12 ‖ AES-256-GCM 48 (NIST SP 800-38D), with the KMS context as additional authenticated data.
 *
 * scrypt runs on libuv's thread pool, not on the event loop: four at a time by default, each with its memory. An abort
 * rejects at once, but the thread goes on to its end. `recognizes` is true for `passphrase:` alone, whatever the
 * passphrase; only `unwrapKey` can tell. A wrap that asks for more than `log2N` or `p` is refused before anything is
 * derived: envelopes must not choose how much memory their reader takes.
 *
 * `close` lets go of the passphrase; calls in flight end as they would have.
 *
 * | code | when |
 * | --- | --- |
 * | `ERR_MASTER_KEY_REJECTED` | another passphrase, another context, an altered wrap, or one that costs more than is allowed |
 * | `ERR_MASTER_KEY_UNAVAILABLE` | scrypt could not run, for want of memory |
 * | `ERR_INVALID_ARGUMENT` | the key to be wrapped is not 32 bytes |
 * | `ERR_ABORTED`, `ERR_CLOSED` | as in `MasterKeyProvider` |
 *
 * @param passphrase text (its UTF-8; nothing is normalised, so the same keys in another Unicode form are another
 *   passphrase) or bytes, which are copied and stay the caller's; not empty. Text cannot be wiped, bytes can
 * @throws `ERR_INVALID_ARGUMENT` for an argument of another kind, a cost out of range, an option that does not exist
 */
export function passphraseKey(
  passphrase: string | Uint8Array,
  options: PassphraseOptions = {},
): MasterKeyProvider {
  const cost = requireCost(options);
  let secret: KeyObject | undefined = takeKey(passphraseBytes(passphrase));
  return {
    name: URI,
    authenticatesWraps: true,
    recognizes: (masterKey) => masterKey === URI,
    async wrapKey(key, { context, signal }) {
      requireKey(key);
      const open = requireOpen(secret, URI);
      requireNotAborted(signal);
      return { masterKey: URI, ciphertext: await wrap(open, key, encodeContext(context), cost, signal) };
    },
    async unwrapKey({ masterKey, ciphertext }, { context, signal }) {
      const open = requireOpen(secret, URI);
      requireNotAborted(signal);
      if (masterKey !== URI) throw rejected(`A passphrase unwraps what is under "${URI}" and nothing else.`);
      return unwrap(open, ciphertext, encodeContext(context), cost, signal);
    },
    async close() {
      secret = undefined;
    },
  };
}

function wrap(
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
    return join([SCHEME, log2N, R, p], salt, nonce, encrypt(derived, nonce, copy, context));
  } finally {
    copy.fill(0);
  }
}

async function unwrap(
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

function requireCost(options: PassphraseOptions): Cost {
  requireOptions(options, ["log2N", "p"], "passphraseKey");
  const { log2N = 17, p = 1 } = options;
  requireRange("log2N", log2N, MIN_LOG2_N, MAX_LOG2_N);
  requireRange("p", p, MIN_P, MAX_P);
  return { log2N, p };
}

function requireRange(name: string, value: number, least: number, most: number): void {
  requireArgument(
    Number.isInteger(value) && value >= least && value <= most,
    `${name} must be a whole number from ${least} to ${most}.`,
  );
}

/** In memory of their own, to be wiped. */
function passphraseBytes(passphrase: string | Uint8Array): Bytes {
  if (passphrase instanceof Uint8Array) {
    requireArgument(passphrase.length > 0, "The passphrase is empty.");
    return new Uint8Array(passphrase);
  }
  requireArgument(
    typeof passphrase === "string" && passphrase !== "" && passphrase.isWellFormed(),
    "The passphrase must be bytes, or well-formed text (no lone surrogate), and not empty.",
  );
  return new TextEncoder().encode(passphrase);
}
