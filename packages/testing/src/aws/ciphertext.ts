/**
 * The ciphertexts of a fake AWS KMS. Like the service's they are opaque to a caller, name the key and the generation of
 * its material, and bind the encryption context:
 *
 * magic 5 ‖ length 1 ‖ key id ‖ material id 32 ‖ nonce 12 ‖ AES-256-GCM ciphertext ‖ tag 16
 *
 * All before the nonce and the context are additional authenticated data.
 */

import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import type { KeyStore, StoredKey } from "./key-store.ts";
import { ServiceError } from "./service-error.ts";

export type Context = Readonly<Record<string, string>>;

/** What a ciphertext says of itself, and what it hides. */
interface Parts {
  readonly header: Uint8Array;
  readonly keyId: string;
  readonly materialId: string;
  readonly nonce: Uint8Array;
  readonly sealed: Uint8Array;
  readonly tag: Uint8Array;
}

/** How the service's begin, which the tests of others may look for. */
const MAGIC = Buffer.from("0102020078", "hex");
const MATERIAL_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export function encrypt({ id, material }: StoredKey, plaintext: Uint8Array, context: Context): Buffer {
  const newest = material.at(-1);
  if (newest === undefined) throw new Error(`The key ${id} has no material.`);
  const name = Buffer.from(id);
  const header = Buffer.concat([MAGIC, Buffer.from([name.length]), name, Buffer.from(newest.id, "hex")]);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", newest.key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.concat([header, encodeContext(context)]));
  return Buffer.concat([header, nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** The plaintext, and the material that gave it. */
export function decrypt(
  { id, material }: StoredKey,
  ciphertext: Uint8Array,
  context: Context,
): { readonly plaintext: Buffer; readonly materialId: string } {
  const { header, keyId, materialId, nonce, sealed, tag } = parse(ciphertext);
  const used = material.find((one) => one.id === materialId);
  if (keyId !== id || used === undefined) throw invalidCiphertext();
  const decipher = createDecipheriv("aes-256-gcm", used.key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.concat([header, encodeContext(context)]));
  decipher.setAuthTag(tag);
  const plaintext = decipher.update(sealed);
  try {
    decipher.final();
  } catch (cause) {
    throw Object.assign(invalidCiphertext(), { cause });
  }
  return { plaintext, materialId };
}

/** The key that made a ciphertext, in a region or in any: what the service finds when a request names no key. */
export function keyOf(ciphertext: Uint8Array, store: KeyStore, region?: string): StoredKey {
  const { keyId } = parse(ciphertext);
  const key = store.find(keyId, region);
  if (key !== undefined) return key;
  if (store.find(keyId) === undefined) throw invalidCiphertext();
  throw new ServiceError(
    "AccessDeniedException",
    "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.",
  );
}

/** Refuses a ciphertext that another key made. One that no key made is damaged, and not another key's. */
export function requireMadeBy(key: StoredKey, ciphertext: Uint8Array, store: KeyStore): void {
  const { keyId } = parse(ciphertext);
  if (keyId === key.id) return;
  if (store.find(keyId) === undefined) throw invalidCiphertext();
  throw new ServiceError(
    "IncorrectKeyException",
    "The key ID in the request does not identify a CMK that can perform this operation.",
  );
}

function parse(ciphertext: Uint8Array): Parts {
  const bytes = Buffer.from(ciphertext);
  const nameAt = MAGIC.length + 1;
  const materialAt = nameAt + (bytes[MAGIC.length] ?? 0);
  const nonceAt = materialAt + MATERIAL_BYTES;
  const sealedAt = nonceAt + NONCE_BYTES;
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC) || bytes.length < sealedAt + TAG_BYTES) {
    throw invalidCiphertext();
  }
  return {
    header: bytes.subarray(0, nonceAt),
    keyId: bytes.toString("latin1", nameAt, materialAt),
    materialId: bytes.toString("hex", materialAt, nonceAt),
    nonce: bytes.subarray(nonceAt, sealedAt),
    sealed: bytes.subarray(sealedAt, -TAG_BYTES),
    tag: bytes.subarray(-TAG_BYTES),
  };
}

/** The service gives this one no message. */
function invalidCiphertext(): ServiceError {
  return new ServiceError("InvalidCiphertextException", "");
}

/** Injective, and the same in whatever order the entries come: JSON marks where each text ends. */
function encodeContext(context: Context): Buffer {
  const sorted = Object.entries(context).sort(([a], [b]) => (a < b ? -1 : 1));
  return Buffer.from(JSON.stringify(sorted));
}
