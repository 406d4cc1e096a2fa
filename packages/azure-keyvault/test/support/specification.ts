/** The wraps of envelope-v1 a second time, on `node:crypto` and with the key itself. */

import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from "node:crypto";
import { type EncryptionContext, encodeContext } from "@keyfold/core";
import type { FakeAzureMaterial } from "@keyfold/testing";
import type { AzureKeyVaultAlgorithm } from "../../src/index.ts";

const OAEP = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" };
const KW_IV = Buffer.alloc(8, 0xa6);

export function wrapped(
  algorithm: AzureKeyVaultAlgorithm,
  material: FakeAzureMaterial,
  key: Uint8Array,
  context: EncryptionContext,
): Uint8Array {
  const bound = Buffer.concat([key, hashOf(context)]);
  if (material.kty === "RSA") {
    return Buffer.concat([Uint8Array.of(1), publicEncrypt({ key: material.publicKey, ...OAEP }, bound)]);
  }
  if (algorithm === "A256KW") {
    const cipher = createCipheriv("id-aes256-wrap", material.key, KW_IV);
    return Buffer.concat([Uint8Array.of(2), cipher.update(bound), cipher.final()]);
  }
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", material.key, iv, { authTagLength: 16 });
  cipher.setAAD(encodeContext(context));
  const sealed = Buffer.concat([cipher.update(key), cipher.final()]);
  return Buffer.concat([Uint8Array.of(3), iv, cipher.getAuthTag(), sealed]);
}

/** The key, or undefined where the wrap does not open. */
export function unwrapped(
  algorithm: AzureKeyVaultAlgorithm,
  material: FakeAzureMaterial,
  ciphertext: Uint8Array,
  context: EncryptionContext,
): Uint8Array | undefined {
  const body = Buffer.from(ciphertext.subarray(1));
  if (material.kty === "RSA")
    return boundTo(context, privateDecrypt({ key: material.privateKey, ...OAEP }, body));
  if (algorithm === "A256KW") {
    const decipher = createDecipheriv("id-aes256-wrap", material.key, KW_IV);
    return boundTo(context, Buffer.concat([decipher.update(body), decipher.final()]));
  }
  return openGcm(material.key, body, context);
}

/** A wrap by somebody who has nothing but what is public: the public key, or an AES key of their own. */
export function forgedWrap(
  algorithm: AzureKeyVaultAlgorithm,
  material: FakeAzureMaterial,
  key: Uint8Array,
  context: EncryptionContext,
): Uint8Array {
  const own: FakeAzureMaterial =
    material.kty === "RSA" ? material : { kty: "oct-HSM", key: createSecretKey(randomBytes(32)) };
  return wrapped(algorithm, own, key, context);
}

function hashOf(context: EncryptionContext): Uint8Array {
  return createHash("sha512").update(encodeContext(context)).digest().subarray(0, 32);
}

function boundTo(context: EncryptionContext, plain: Buffer): Uint8Array | undefined {
  return plain.length === 64 && plain.subarray(32).equals(hashOf(context))
    ? plain.subarray(0, 32)
    : undefined;
}

function openGcm(key: KeyObject, body: Buffer, context: EncryptionContext): Uint8Array | undefined {
  const decipher = createDecipheriv("aes-256-gcm", key, body.subarray(0, 12), { authTagLength: 16 });
  decipher.setAuthTag(body.subarray(12, 28)).setAAD(encodeContext(context));
  const plain = decipher.update(body.subarray(28));
  try {
    decipher.final();
    return plain;
  } catch (error) {
    if (error instanceof Error && error.message.includes("unable to authenticate")) return undefined;
    throw error;
  }
}
