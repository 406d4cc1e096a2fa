/** The cryptography of a Fernet token: AES-128-CBC with PKCS #7 under one half of the key, HMAC-SHA-256 under the other. */

import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type KeyObject,
  timingSafeEqual,
} from "node:crypto";
import { type Bytes, concat, requireArgument } from "@keyfold/core/provider";
import { formatToken, invalid, parseToken, signedPart, type Token } from "./token.ts";

/** Bytes of a Fernet key: Signing-key ‖ Encryption-key, 16 each. */
export const FERNET_KEY_BYTES = 32;
const HALF = 16;

export interface Keys {
  readonly signing: KeyObject;
  readonly encryption: KeyObject;
}

/** Takes over 32 bytes: they are wiped once the `KeyObject`s have their copies. */
export function takeKeys(bytes: Uint8Array): Keys {
  try {
    requireArgument(bytes.length === FERNET_KEY_BYTES, "A Fernet key is 32 bytes.");
    const signing = createSecretKey(bytes.subarray(0, HALF));
    return { signing, encryption: createSecretKey(bytes.subarray(HALF)) };
  } finally {
    bytes.fill(0);
  }
}

/**
 * "Generating", steps 3 to 6, with the IV given, so that the vectors can be met. An IV must be random for each token.
 *
 * @param timestamp seconds since 1970 UTC
 */
export function encryptWith(keys: Keys, plaintext: Uint8Array, timestamp: bigint, iv: Uint8Array): string {
  const cipher = createCipheriv("aes-128-cbc", keys.encryption, iv);
  const signed = signedPart(timestamp, iv, concat(cipher.update(plaintext), cipher.final()));
  return formatToken(signed, hmacOf(keys, signed));
}

/**
 * A token whose HMAC is right: steps 1, 2, 4 and 5 of "Verifying". The comparison takes the same time wherever the
 * difference is.
 *
 * @throws `ERR_FERNET_INVALID`
 */
export function authenticated(keys: Keys, text: string | Uint8Array): Token {
  const token = parseToken(text);
  if (timingSafeEqual(hmacOf(keys, token.signed), token.hmac)) return token;
  throw invalid("The HMAC differs: the key is another one, or the token was altered.");
}

/**
 * Steps 6 and 7 of "Verifying", for a token that is authenticated.
 *
 * @returns the plaintext, in memory of its own
 * @throws `ERR_FERNET_INVALID` where the padding is wrong: then whoever has the key made it so
 */
export function decryptAuthenticated(keys: Keys, { iv, ciphertext }: Token): Bytes {
  const decipher = createDecipheriv("aes-128-cbc", keys.encryption, iv);
  const start = decipher.update(ciphertext);
  let end: Buffer | undefined;
  try {
    end = decipher.final();
    return concat(start, end);
  } catch (error) {
    throw invalid("The padding of the plaintext is not that of PKCS #7.", error);
  } finally {
    start.fill(0);
    end?.fill(0);
  }
}

function hmacOf({ signing }: Keys, signed: Uint8Array): Buffer {
  return createHmac("sha256", signing).update(signed).digest();
}
