/**
 * From a key-derivation key (KDK) down to the data-encryption key (DEK) of one envelope.
 * docs/spec/envelope-v1.md, "Keys" and "Layout".
 */

import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto";
import { type Bytes, encodeUtf8, lengthPrefixed, toLatin1 } from "./bytes.ts";
import { type EnvelopeHeader, KDK_ID_BYTES, NONCE_BYTES, SEALED_DEK_BYTES } from "./envelope.ts";
import { KeyfoldError, requireArgument } from "./errors.ts";
import { expandInto, type SecretKey } from "./hkdf.ts";

/** A KDK and a DEK alike. */
export const KEY_BYTES = 32;

/** Without options, which Node looks through for each cipher: tags of 16 bytes are GCM's own default, and none else is given. */
const ALGORITHM = "aes-256-gcm";
const MAX_NAME_BYTES = 255;
const KEK_LABEL = new TextEncoder().encode("keyfold/1/kek\0");
const KDK_ID_LABEL = new TextEncoder().encode("keyfold/1/kdk-id\0");

/** A key-derivation key in use: what names it, and what computes with it. The bytes cannot be read back by accident. */
export interface Kdk {
  /** 16 bytes. */
  readonly id: Bytes;
  /** The id as a map key. */
  readonly name: string;
  readonly key: SecretKey;
  /** `lp(project)`: its id and all that is derived from it depend on the project. */
  readonly project: Bytes;
}

/**
 * `lp` of a project (1 to 255 bytes) or a scope (0 to 255 bytes).
 *
 * @throws `ERR_INVALID_ARGUMENT` for another type or length, and for ill-formed text
 */
export function encodeName(kind: "project" | "scope", name: string): Bytes {
  requireArgument(typeof name === "string", `The ${kind} must be a string.`);
  const bytes = encodeUtf8(name);
  requireArgument(bytes !== undefined, `The ${kind} is ill-formed text (a lone surrogate).`);
  requireArgument(kind === "scope" || bytes.length > 0, "The project must not be empty.");
  requireArgument(bytes.length <= MAX_NAME_BYTES, `The ${kind} takes more than ${MAX_NAME_BYTES} bytes.`);
  return lengthPrefixed(bytes);
}

/**
 * Takes a KDK into use.
 *
 * @param bytes 32 bytes; they stay the caller's, to wipe
 * @param project `lp(project)`
 */
export function importKdk(bytes: Uint8Array, project: Bytes): Kdk {
  const key = createSecretKey(bytes);
  const id = new Uint8Array(KDK_ID_BYTES);
  expandInto(id, key, KDK_ID_LABEL, project);
  return { id, name: toLatin1(id), key, project };
}

/**
 * The key-encryption key (KEK) of one salt and scope.
 *
 * @param salt 16 bytes
 * @param scope `lp(scope)`
 */
export function deriveKek(kdk: Kdk, salt: Uint8Array, scope: Bytes): SecretKey {
  const okm = new Uint8Array(KEY_BYTES);
  expandInto(okm, kdk.key, KEK_LABEL, salt, kdk.project, scope);
  const kek = createSecretKey(okm);
  okm.fill(0);
  return kek;
}

/**
 * Writes `nonce ‖ sealed DEK`, the last 60 bytes of a header.
 *
 * @param nonce 12 random bytes
 * @param aad the header before the nonce
 * @param dek 32 bytes
 * @param into written from `offset` on
 */
export function sealDek(
  kek: SecretKey,
  nonce: Uint8Array,
  aad: Uint8Array,
  dek: Uint8Array,
  into: Uint8Array,
  offset: number,
): void {
  const cipher = createCipheriv(ALGORITHM, kek as KeyObject, nonce);
  cipher.setAAD(aad);
  const sealed = cipher.update(dek);
  cipher.final();
  into.set(nonce, offset);
  into.set(sealed, offset + NONCE_BYTES);
  into.set(cipher.getAuthTag(), offset + NONCE_BYTES + KEY_BYTES);
}

/**
 * Opens the DEK of a header.
 *
 * @returns 32 bytes, the caller's to wipe
 * @throws `ERR_HEADER_REJECTED` where it does not authenticate
 */
export function openDek(kek: SecretKey, { nonce, aad, sealedDek }: EnvelopeHeader): Uint8Array {
  const decipher = createDecipheriv(ALGORITHM, kek as KeyObject, nonce);
  decipher.setAAD(aad);
  decipher.setAuthTag(sealedDek.subarray(KEY_BYTES, SEALED_DEK_BYTES));
  const dek = decipher.update(sealedDek.subarray(0, KEY_BYTES));
  try {
    decipher.final();
  } catch (cause) {
    dek.fill(0);
    throw new KeyfoldError("ERR_HEADER_REJECTED", undefined, { cause });
  }
  return dek;
}
