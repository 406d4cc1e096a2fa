/** The master key that is a passphrase, stretched by scrypt (RFC 7914). */

import type { KeyObject } from "node:crypto";
import { type Bytes, encodeContext, type MasterKeyProvider } from "@keyfold/core";
import {
  rejected,
  requireArgument,
  requireKey,
  requireNotAborted,
  requireOpen,
  requireOptions,
} from "@keyfold/core/provider";
import {
  type Cost,
  MAX_LOG2_N,
  MAX_P,
  MIN_LOG2_N,
  MIN_P,
  unwrapPassphrase,
  wrapPassphrase,
} from "./passphrase-wrap.ts";
import { takeKey } from "./wrap.ts";

const URI = "passphrase:";

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
      return {
        masterKey: URI,
        ciphertext: await wrapPassphrase(open, key, encodeContext(context), cost, signal),
      };
    },
    async unwrapKey({ masterKey, ciphertext }, { context, signal }) {
      const open = requireOpen(secret, URI);
      requireNotAborted(signal);
      if (masterKey !== URI) throw rejected(`A passphrase unwraps what is under "${URI}" and nothing else.`);
      return unwrapPassphrase(open, ciphertext, encodeContext(context), cost, signal);
    },
    async close() {
      secret = undefined;
    },
  };
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
