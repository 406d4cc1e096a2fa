/** What keys are made of, and what each algorithm does with it: on `node:crypto`, with real keys. */

import {
  constants,
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  generateKeyPair,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from "node:crypto";
import { promisify } from "node:util";
import { badParameter, ServiceError } from "./service-error.ts";

export type FakeAzureKeyType = "RSA" | "oct-HSM";

/** The material of one version. */
export type FakeAzureMaterial =
  | { readonly kty: "RSA"; readonly publicKey: KeyObject; readonly privateKey: KeyObject }
  | { readonly kty: "oct-HSM"; readonly key: KeyObject };

/** The members of a request's body, in bytes. */
export interface CryptoInput {
  readonly value: Uint8Array;
  readonly iv: Uint8Array | undefined;
  readonly tag: Uint8Array | undefined;
  readonly aad: Uint8Array | undefined;
}

/** The same of an answer. */
export interface CryptoOutput {
  readonly value: Uint8Array;
  readonly iv?: Uint8Array;
  readonly tag?: Uint8Array;
}

export type CryptoOperation = "wrapKey" | "unwrapKey" | "encrypt" | "decrypt";

type Work = (material: FakeAzureMaterial, input: CryptoInput) => CryptoOutput;

interface Algorithm {
  readonly kty: FakeAzureKeyType;
  readonly work: Partial<Readonly<Record<CryptoOperation, Work>>>;
}

const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
/** RFC 3394, section 2.2.3.1. */
const KW_IV = Buffer.alloc(8, 0xa6);

export async function newMaterial(kty: FakeAzureKeyType): Promise<FakeAzureMaterial> {
  if (kty === "oct-HSM") return { kty, key: createSecretKey(randomBytes(KEY_BYTES)) };
  return { kty, ...(await promisify(generateKeyPair)("rsa", { modulusLength: 2_048 })) };
}

/** The public members of a version's JSON Web Key. */
export function publicJwk(material: FakeAzureMaterial): object {
  if (material.kty === "oct-HSM") return { key_ops: ["wrapKey", "unwrapKey", "encrypt", "decrypt"] };
  const { n, e } = material.publicKey.export({ format: "jwk" });
  return { key_ops: ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"], n, e };
}

const algorithms: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
  ["RSA-OAEP-256", { kty: "RSA", work: oaep("sha256") }],
  ["RSA-OAEP", { kty: "RSA", work: oaep("sha1") }],
  ["A256KW", { kty: "oct-HSM", work: { wrapKey: keyWrap, unwrapKey: keyUnwrap } }],
  ["A256GCM", { kty: "oct-HSM", work: { encrypt: gcmEncrypt, decrypt: gcmDecrypt } }],
]);

/** Does one operation, or refuses it with the 400 of everything that does not fit. */
export function runCrypto(
  material: FakeAzureMaterial,
  operation: CryptoOperation,
  algorithm: string,
  input: CryptoInput,
): CryptoOutput {
  const found = algorithms.get(algorithm);
  const work = found?.work[operation];
  if (found === undefined || work === undefined) {
    throw badParameter(`The algorithm ${algorithm} is not supported for this operation.`);
  }
  if (found.kty !== material.kty) throw badParameter(`Key and algorithm are incompatible: ${algorithm}.`);
  try {
    return work(material, input);
  } catch (error) {
    // On input of the right shape node:crypto fails only where OpenSSL refuses it: damaged, or of another key.
    throw error instanceof ServiceError ? error : badParameter("The parameter is incorrect.");
  }
}

function oaep(oaepHash: string): Algorithm["work"] {
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  const seal: Work = (material, { value }) => ({
    value: publicEncrypt({ key: rsa(material).publicKey, padding, oaepHash }, value),
  });
  const open: Work = (material, { value }) => ({
    value: privateDecrypt({ key: rsa(material).privateKey, padding, oaepHash }, value),
  });
  return { wrapKey: seal, encrypt: seal, unwrapKey: open, decrypt: open };
}

function keyWrap(material: FakeAzureMaterial, { value }: CryptoInput): CryptoOutput {
  if (value.length < 16 || value.length % 8 !== 0) throw badParameter("The key to wrap has a bad length.");
  const cipher = createCipheriv("id-aes256-wrap", aes(material), KW_IV);
  return { value: Buffer.concat([cipher.update(value), cipher.final()]) };
}

function keyUnwrap(material: FakeAzureMaterial, { value }: CryptoInput): CryptoOutput {
  if (value.length < 24 || value.length % 8 !== 0) throw badParameter("The wrapped key has a bad length.");
  const decipher = createDecipheriv("id-aes256-wrap", aes(material), KW_IV);
  return { value: Buffer.concat([decipher.update(value), decipher.final()]) };
}

function gcmEncrypt(material: FakeAzureMaterial, { value, iv: given, aad }: CryptoInput): CryptoOutput {
  if (given !== undefined) throw badParameter("The service makes the iv of AES-GCM.");
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv("aes-256-gcm", aes(material), iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(aad ?? new Uint8Array());
  return { value: Buffer.concat([cipher.update(value), cipher.final()]), iv, tag: cipher.getAuthTag() };
}

function gcmDecrypt(material: FakeAzureMaterial, { value, iv, tag, aad }: CryptoInput): CryptoOutput {
  if (iv?.length !== IV_BYTES || tag?.length !== TAG_BYTES) {
    throw badParameter("AES-GCM needs an iv of 12 bytes and a tag of 16.");
  }
  const decipher = createDecipheriv("aes-256-gcm", aes(material), iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(aad ?? new Uint8Array());
  decipher.setAuthTag(tag);
  return { value: Buffer.concat([decipher.update(value), decipher.final()]) };
}

function rsa(material: FakeAzureMaterial) {
  if (material.kty !== "RSA") throw badParameter("The key is not an RSA key.");
  return material;
}

function aes(material: FakeAzureMaterial): KeyObject {
  if (material.kty !== "oct-HSM") throw badParameter("The key is not an AES key.");
  return material.key;
}
