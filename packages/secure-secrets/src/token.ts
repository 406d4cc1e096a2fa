/** A Fernet token as bytes: https://github.com/fernet/spec, "Token Format". No key, no cryptography, no clock. */

import { KeyfoldError } from "@keyfold/core";
import { type Bytes, concat } from "@keyfold/core/provider";
import { decodeBase64, encodeBase64 } from "./base64.ts";

const VERSION = 0x80;
const IV_AT = 9;
const CIPHERTEXT_AT = 25;
/** Bytes of the IV, and of an AES block. */
export const BLOCK_BYTES = 16;
const HMAC_BYTES = 32;
/** PKCS #7 pads the empty message, too: no ciphertext is shorter than a block. */
const LEAST_BYTES: number = CIPHERTEXT_AT + BLOCK_BYTES + HMAC_BYTES;

/** Version ‖ Timestamp ‖ IV ‖ Ciphertext ‖ HMAC, of which nothing is authenticated yet. */
export interface Token {
  /** Seconds since 1970 UTC, an unsigned 64-bit integer. */
  readonly timestamp: bigint;
  /** 16 bytes. */
  readonly iv: Uint8Array;
  /** One block of 16 bytes or more. */
  readonly ciphertext: Uint8Array;
  /** What the HMAC is of: all that stands before it. */
  readonly signed: Uint8Array;
  /** 32 bytes. */
  readonly hmac: Uint8Array;
}

/**
 * Reads a token: steps 1 and 2 of "Verifying", and the lengths.
 *
 * @param text the token, or its ASCII bytes, as Python has it
 * @throws `ERR_FERNET_INVALID`
 */
export function parseToken(text: string | Uint8Array): Token {
  const bytes = decodeBase64(typeof text === "string" ? text : latin1(text));
  if (bytes === undefined) throw invalid("A Fernet token is base64url with its padding, and nothing else.");
  if (bytes.length < LEAST_BYTES) throw invalid(`A Fernet token has ${LEAST_BYTES} bytes or more.`);
  if (bytes[0] !== VERSION) throw invalid("The only version of Fernet tokens is 0x80.");
  const hmacAt = bytes.length - HMAC_BYTES;
  if ((hmacAt - CIPHERTEXT_AT) % BLOCK_BYTES !== 0) {
    throw invalid("The ciphertext of a Fernet token is whole blocks of 16 bytes.");
  }
  return {
    timestamp: new DataView(bytes.buffer).getBigUint64(1),
    iv: bytes.subarray(IV_AT, CIPHERTEXT_AT),
    ciphertext: bytes.subarray(CIPHERTEXT_AT, hmacAt),
    signed: bytes.subarray(0, hmacAt),
    hmac: bytes.subarray(hmacAt),
  };
}

/** All of a token before its HMAC. */
export function signedPart(timestamp: bigint, iv: Uint8Array, ciphertext: Uint8Array): Bytes {
  const header = new Uint8Array(IV_AT);
  header[0] = VERSION;
  new DataView(header.buffer).setBigUint64(1, timestamp);
  return concat(header, iv, ciphertext);
}

/** The text of a token. */
export function formatToken(signed: Uint8Array, hmac: Uint8Array): string {
  return encodeBase64(concat(signed, hmac));
}

/** `ERR_FERNET_INVALID` */
export function invalid(detail: string, cause?: unknown): KeyfoldError {
  return new KeyfoldError("ERR_FERNET_INVALID", detail, cause === undefined ? {} : { cause });
}

/** One character for each byte, so that a byte outside ASCII is no base64url. */
function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
