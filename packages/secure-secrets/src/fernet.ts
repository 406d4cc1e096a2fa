/** Fernet, as https://github.com/fernet/spec has it, and as Python's `cryptography.fernet` reads and writes it. */

import { isUtf8 } from "node:buffer";
import { randomFillSync } from "node:crypto";
import { isUint8Array } from "node:util/types";
import { KeyfoldError } from "@keyfold/core";
import { type Bytes, requireArgument, requireOptions } from "@keyfold/core/provider";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import {
  authenticated,
  decryptAuthenticated,
  encryptWith,
  FERNET_KEY_BYTES,
  type Keys,
  takeKeys,
} from "./cipher.ts";
import { BLOCK_BYTES, invalid } from "./token.ts";

/** The clock skew that the specification's vectors and Python have, where there is a time to live: in milliseconds. */
const DEFAULT_CLOCK_SKEW = 60_000;

/** Times in milliseconds. A token has whole seconds, and is compared in those, as Python does. */
export interface FernetDecryptOptions {
  /** How old a token may be. Without it a token has no age, and its time is not looked at unless `clockSkew` is given. */
  readonly timeToLive?: number | undefined;
  /** How far in the future a token's time may lie. Default 60,000, where `timeToLive` is given. */
  readonly clockSkew?: number | undefined;
  /** The time to compare with. Default the system's. */
  readonly now?: number | undefined;
}

export interface FernetEncryptOptions {
  /** The time that the token says it was made at, in milliseconds. Default the system's. */
  readonly now?: number | undefined;
}

/** A Fernet key and what it does. Nothing prints the key: only `exportKey` gives it away. */
export class Fernet {
  readonly #keys: Keys;

  /** @param key 32 bytes, which are taken over and wiped */
  constructor(key: Uint8Array) {
    this.#keys = takeKeys(key);
  }

  /**
   * Encrypts bytes, or text as its UTF-8.
   *
   * @returns a token: base64url with its padding, 4/3 of 57 bytes and the plaintext padded to whole blocks of 16
   * @throws `ERR_INVALID_ARGUMENT`
   */
  encrypt(plaintext: string | Uint8Array, options: FernetEncryptOptions = {}): string {
    requireOptions(options, ["now"], "encrypt");
    const seconds = BigInt(inSeconds(options.now));
    const iv = randomFillSync(new Uint8Array(BLOCK_BYTES));
    if (isUint8Array(plaintext)) return encryptWith(this.#keys, plaintext, seconds, iv);
    const bytes = utf8(plaintext, "The plaintext");
    try {
      return encryptWith(this.#keys, bytes, seconds, iv);
    } finally {
      bytes.fill(0);
    }
  }

  /**
   * Decrypts a token: all of its plaintext, or an error. The HMAC is compared first, in constant time; the token's time and
   * its ciphertext are looked at only where it is right.
   *
   * @param token text, or its ASCII bytes
   * @returns the plaintext, the caller's own
   * @throws `ERR_FERNET_INVALID` for a token of another key, one that was altered, one that breaks the specification, and
   * one that is from the future; `ERR_FERNET_EXPIRED`; `ERR_INVALID_ARGUMENT`
   */
  decrypt(token: string | Uint8Array, options: FernetDecryptOptions = {}): Bytes {
    requireArgument(
      typeof token === "string" || isUint8Array(token),
      "A Fernet token is a string, or a Uint8Array of its ASCII.",
    );
    const isOfItsTime = timeCheck(options);
    const found = authenticated(this.#keys, token);
    isOfItsTime(Number(found.timestamp));
    return decryptAuthenticated(this.#keys, found);
  }

  /** As {@link decrypt}, and gives the plaintext as text. @throws `ERR_NOT_TEXT` if it is not UTF-8 */
  decryptText(token: string | Uint8Array, options: FernetDecryptOptions = {}): string {
    const bytes = this.decrypt(token, options);
    try {
      if (isUtf8(bytes)) return Buffer.from(bytes.buffer).toString("utf8");
      throw new KeyfoldError("ERR_NOT_TEXT", undefined, { remedy: "Use decrypt, which returns bytes." });
    } finally {
      bytes.fill(0);
    }
  }

  /** The key as Python has it: base64url of 32 bytes, with its padding. It cannot be wiped: keep it short. */
  exportKey(): string {
    const halves = [this.#keys.signing.export(), this.#keys.encryption.export()];
    const bytes = Buffer.concat(halves);
    const text = encodeBase64(bytes);
    for (const each of [...halves, bytes]) each.fill(0);
    return text;
  }
}

/**
 * Fernet under a key in text, as Python's `Fernet.generate_key()` and {@link Fernet.exportKey} give it.
 *
 * @throws `ERR_INVALID_ARGUMENT` for anything but base64url of 32 bytes, with its padding
 */
export function fernet(key: string): Fernet {
  const bytes = typeof key === "string" ? decodeBase64(key) : undefined;
  requireArgument(
    bytes?.length === FERNET_KEY_BYTES,
    "A Fernet key is 32 bytes in base64url with its padding: 44 characters.",
  );
  return new Fernet(bytes);
}

/** Fernet under a new random key. */
export function newFernet(): Fernet {
  return new Fernet(randomFillSync(new Uint8Array(FERNET_KEY_BYTES)));
}

/** Text as its UTF-8, the caller's to wipe. Python has no UTF-8 for a lone surrogate either. */
export function utf8(text: unknown, what: string): Bytes {
  requireArgument(
    typeof text === "string" && text.isWellFormed(),
    `${what} must be bytes, or well-formed text (no lone surrogate).`,
  );
  return new TextEncoder().encode(text);
}

/** Step 3 of "Verifying", and the clock skew that the vectors ask for. Validates the options before there is a token. */
function timeCheck(options: FernetDecryptOptions): (timestamp: number) => void {
  requireOptions(options, ["timeToLive", "clockSkew", "now"], "decrypt");
  const { timeToLive, clockSkew } = options;
  requireDuration("timeToLive", timeToLive);
  requireDuration("clockSkew", clockSkew);
  const now = inSeconds(options.now);
  const skew = clockSkew ?? (timeToLive === undefined ? Number.POSITIVE_INFINITY : DEFAULT_CLOCK_SKEW);
  return (timestamp) => {
    if (timestamp + (timeToLive ?? Number.POSITIVE_INFINITY) / 1_000 < now) {
      throw new KeyfoldError("ERR_FERNET_EXPIRED");
    }
    if (timestamp > now + skew / 1_000) {
      throw invalid("The token's time lies further in the future than clockSkew allows.");
    }
  };
}

function requireDuration(name: string, given: number | undefined): void {
  requireArgument(
    given === undefined || (typeof given === "number" && given >= 0),
    `${name} must be milliseconds: a number of 0 or more.`,
  );
}

function inSeconds(now: number = Date.now()): number {
  requireArgument(
    typeof now === "number" && now >= 0 && Number.isFinite(now),
    "now must be milliseconds since 1970: a number of 0 or more.",
  );
  return Math.floor(now / 1_000);
}
