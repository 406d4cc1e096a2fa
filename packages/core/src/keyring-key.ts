/**
 * The keyring key: what seals the KDKs of a keyring, and what proves its document. No other file knows it.
 * docs/spec/keyring-v1.md, "The keyring key", "Sealed KDKs" and "The mac".
 */

import { createDecipheriv, createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import { type Bytes, copyOf, equalBytes, toLatin1 } from "./bytes.ts";
import { NONCE_BYTES } from "./envelope.ts";
import { KeyfoldError } from "./errors.ts";
import { expandInto, type SecretKey } from "./hkdf.ts";
import { importKdk, type Kdk, KEY_BYTES, sealDek } from "./key-hierarchy.ts";
import {
  KEYRING_ID_BYTES,
  KEYRING_MAC_BYTES,
  type KeyringDocument,
  type KeyringEntry,
  macInput,
  SEALED_KDK_BYTES,
} from "./keyring-document.ts";
import { randomBytes } from "./random.ts";

const GCM = { authTagLength: 16 };
const ID_LABEL = new TextEncoder().encode("keyfold/1/keyring-id\0");
const SEAL_LABEL = new TextEncoder().encode("keyfold/1/keyring-seal\0");
const MAC_KEY_LABEL = new TextEncoder().encode("keyfold/1/keyring-mac\0");

/** A keyring key in use. Only what it gives is kept, and none of it can be read back by accident. */
export interface KeyringKey {
  /** The keyring's id, 16 bytes: what an application may pin. */
  readonly id: Bytes;
  /** The id as a map key. */
  readonly name: string;
  readonly sealKey: SecretKey;
  readonly macKey: SecretKey;
  /** `lp(project)`: all of it depends on the project. */
  readonly project: Bytes;
}

/**
 * Takes a keyring key into use.
 *
 * @param bytes 32 bytes; they stay the caller's, to wipe
 * @param project `lp(project)`
 */
export function importKeyringKey(bytes: Uint8Array, project: Bytes): KeyringKey {
  const id = new Uint8Array(KEYRING_ID_BYTES);
  expandInto(id, bytes, ID_LABEL, project);
  const sealKey = deriveKey(bytes, SEAL_LABEL, project);
  const macKey = deriveKey(bytes, MAC_KEY_LABEL, project);
  return { id, name: toLatin1(id), sealKey, macKey, project };
}

function deriveKey(bytes: Uint8Array, label: Uint8Array, project: Bytes): SecretKey {
  const okm = new Uint8Array(KEY_BYTES);
  expandInto(okm, bytes, label, project);
  const key = createSecretKey(okm);
  okm.fill(0);
  return key;
}

/**
 * Seals a KDK for a keyring, with a random nonce.
 *
 * @param kdkId 16 bytes
 * @param kdk 32 bytes; they stay the caller's, to wipe
 * @returns nonce 12 ‖ AES-256-GCM 48, the caller's own
 */
export function sealKdk(key: KeyringKey, kdkId: Uint8Array, kdk: Uint8Array): Bytes {
  return sealKdkWith(key, kdkId, kdk, randomBytes(NONCE_BYTES));
}

/** The deterministic part of {@link sealKdk}, for it and for test vectors: a nonce is for one KDK only. */
export function sealKdkWith(key: KeyringKey, kdkId: Uint8Array, kdk: Uint8Array, nonce: Uint8Array): Bytes {
  const sealed = new Uint8Array(SEALED_KDK_BYTES);
  sealDek(key.sealKey, nonce, kdkId, kdk, sealed, 0);
  return sealed;
}

/**
 * Opens a KDK of a keyring, and takes it into use.
 *
 * @throws `ERR_KEYRING_INVALID` where it does not open or is not the one that its id names; `ERR_KEY_DESTROYED`
 */
export function openKdk(key: KeyringKey, entry: KeyringEntry): Kdk {
  const bytes = openSealed(key, entry);
  try {
    return requireId(importKdk(bytes, key.project), entry);
  } finally {
    bytes.fill(0);
  }
}

/**
 * The bytes of a KDK, to be sealed again under another keyring key. Fails as {@link openKdk}.
 *
 * @returns 32 bytes, the caller's to wipe
 */
export function openKdkBytes(key: KeyringKey, entry: KeyringEntry): Bytes {
  const bytes = openSealed(key, entry);
  try {
    requireId(importKdk(bytes, key.project), entry);
    return copyOf(bytes);
  } finally {
    bytes.fill(0);
  }
}

/** The mac of a document: 32 bytes, the caller's own. */
export function macOf({ macKey }: KeyringKey, document: Omit<KeyringDocument, "mac">): Bytes {
  const whole = createHmac("sha512", macKey as KeyObject)
    .update(macInput(document))
    .digest();
  return copyOf(whole.subarray(0, KEYRING_MAC_BYTES));
}

/** Refuses a document that whoever has the keyring key did not make: `ERR_KEYRING_INVALID`. */
export function requireMac(key: KeyringKey, document: KeyringDocument): void {
  const { mac } = document;
  if (mac.length !== KEYRING_MAC_BYTES || !timingSafeEqual(mac, macOf(key, document))) {
    throw new KeyfoldError(
      "ERR_KEYRING_INVALID",
      "The keyring's mac is not that of its contents: it was altered.",
    );
  }
}

function openSealed({ sealKey }: KeyringKey, { id, state, sealed }: KeyringEntry): Bytes {
  if (state === "destroyed") throw new KeyfoldError("ERR_KEY_DESTROYED");
  if (sealed.length !== SEALED_KDK_BYTES) throw notOpened();
  const tagAt = NONCE_BYTES + KEY_BYTES;
  const decipher = createDecipheriv(
    "aes-256-gcm",
    sealKey as KeyObject,
    sealed.subarray(0, NONCE_BYTES),
    GCM,
  );
  decipher.setAAD(id);
  decipher.setAuthTag(sealed.subarray(tagAt));
  const kdk = decipher.update(sealed.subarray(NONCE_BYTES, tagAt));
  try {
    decipher.final();
  } catch (cause) {
    kdk.fill(0);
    throw notOpened(cause);
  }
  return kdk;
}

function requireId(kdk: Kdk, { id }: KeyringEntry): Kdk {
  if (!equalBytes(kdk.id, id)) {
    throw new KeyfoldError("ERR_KEYRING_INVALID", "A key of the keyring is not the one that its id names.");
  }
  return kdk;
}

function notOpened(cause?: unknown): KeyfoldError {
  const detail =
    "A key of the keyring does not open under the keyring key: it was altered, or is of another keyring.";
  return new KeyfoldError("ERR_KEYRING_INVALID", detail, cause === undefined ? {} : { cause });
}
