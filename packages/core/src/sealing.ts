/** One envelope, whole, from keys in hand: header and message put together. */

import type { Bytes } from "./bytes.ts";
import { MESSAGE_SALT_BYTES, messageBytes, sealMessage } from "./cobblestone.ts";
import { NONCE_BYTES, SEALED_DEK_BYTES } from "./envelope.ts";
import type { SecretKey } from "./hkdf.ts";
import { KEY_BYTES, sealDek } from "./key-hierarchy.ts";
import { drawRandom, randomBytes } from "./random.ts";

/** What every envelope under one KEK shares. */
export interface SealingKey {
  readonly kek: SecretKey;
  /** The header before the nonce: `encodeHeaderPrefix`. */
  readonly prefix: Bytes;
}

/** What is drawn anew for every envelope. */
export interface Draws {
  /** 12 bytes. */
  readonly nonce: Uint8Array;
  /** 32 bytes. */
  readonly dek: Uint8Array;
  /** 24 bytes. */
  readonly messageSalt: Uint8Array;
}

const NO_MESSAGE = new Uint8Array(0);
const drawn = new Uint8Array(NONCE_BYTES + KEY_BYTES + MESSAGE_SALT_BYTES);
const draws: Draws = {
  nonce: drawn.subarray(0, NONCE_BYTES),
  dek: drawn.subarray(NONCE_BYTES, NONCE_BYTES + KEY_BYTES),
  messageSalt: drawn.subarray(NONCE_BYTES + KEY_BYTES),
};

/**
 * Seals a plaintext under a fresh DEK.
 *
 * @param context the encoded encryption context
 * @returns the envelope, the caller's own
 */
export function sealEnvelope(key: SealingKey, context: Uint8Array, plaintext: Uint8Array): Bytes {
  drawRandom(drawn);
  const envelope = sealEnvelopeWith(key, draws, context, plaintext);
  drawn.fill(0);
  return envelope;
}

/** The deterministic part of {@link sealEnvelope}, for it and for test vectors: draws are for one envelope only. */
export function sealEnvelopeWith(
  { kek, prefix }: SealingKey,
  { nonce, dek, messageSalt }: Draws,
  context: Uint8Array,
  plaintext: Uint8Array,
): Bytes {
  const header = prefix.length + NONCE_BYTES + SEALED_DEK_BYTES;
  const envelope = new Uint8Array(header + messageBytes(plaintext.length));
  envelope.set(prefix);
  sealDek(kek, nonce, prefix, dek, envelope, prefix.length);
  sealMessage(dek, messageSalt, context, plaintext, envelope, header);
  return envelope;
}

/** A header, and the DEK that is in it. */
export interface FreshHeader {
  readonly header: Bytes;
  /** 32 bytes, the caller's to wipe. */
  readonly dek: Bytes;
}

/** Draws a DEK for one who seals its message, or its messages, apart. */
export function sealHeader(key: SealingKey): FreshHeader {
  const dek = randomBytes(KEY_BYTES);
  return { header: reheadMessage(key, dek, NO_MESSAGE), dek };
}

/** Seals a message under a DEK with a salt of its own. @returns the caller's own */
export function sealMessageUnder(dek: Uint8Array, context: Uint8Array, plaintext: Uint8Array): Bytes {
  const message = new Uint8Array(messageBytes(plaintext.length));
  drawRandom(draws.messageSalt);
  sealMessage(dek, draws.messageSalt, context, plaintext, message);
  return message;
}

/**
 * Gives a message a new header, under another KEK. The message stays as it is, byte for byte; where it is empty the header
 * is all there is.
 *
 * @param dek 32 bytes, those that the message was sealed with
 * @returns the envelope, the caller's own
 */
export function reheadMessage({ kek, prefix }: SealingKey, dek: Uint8Array, message: Uint8Array): Bytes {
  const header = prefix.length + NONCE_BYTES + SEALED_DEK_BYTES;
  const envelope = new Uint8Array(header + message.length);
  drawRandom(draws.nonce);
  envelope.set(prefix);
  sealDek(kek, draws.nonce, prefix, dek, envelope, prefix.length);
  envelope.set(message, header);
  return envelope;
}
