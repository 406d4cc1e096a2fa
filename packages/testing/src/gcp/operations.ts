/** Encrypt and Decrypt, with the checks that the service makes. */

import { crc32c } from "./crc32c.ts";
import { GrpcStatus } from "./grpc-status.ts";
import { type CryptoKey, type KeyStore, keyOf, requireEnabled } from "./key-store.ts";

/** The operations that the fake has. */
export type GcpOperation = "Encrypt" | "Decrypt";

export const OPERATIONS: readonly GcpOperation[] = ["Encrypt", "Decrypt"];

/** `google.protobuf.Int64Value`, of which only checksums are made here. */
interface Int64Value {
  readonly value: string | number;
}

export interface EncryptRequest {
  readonly name: string;
  readonly plaintext: Uint8Array;
  readonly additionalAuthenticatedData: Uint8Array;
  readonly plaintextCrc32c: Int64Value | null;
  readonly additionalAuthenticatedDataCrc32c: Int64Value | null;
}

export interface EncryptReply {
  readonly name: string;
  readonly ciphertext: Uint8Array;
  readonly ciphertextCrc32c: Int64Value;
  readonly verifiedPlaintextCrc32c: boolean;
  readonly verifiedAdditionalAuthenticatedDataCrc32c: boolean;
  readonly protectionLevel: string;
}

export interface DecryptRequest {
  readonly name: string;
  readonly ciphertext: Uint8Array;
  readonly additionalAuthenticatedData: Uint8Array;
  readonly ciphertextCrc32c: Int64Value | null;
  readonly additionalAuthenticatedDataCrc32c: Int64Value | null;
}

export interface DecryptReply {
  readonly plaintext: Uint8Array;
  readonly plaintextCrc32c: Int64Value;
  readonly usedPrimary: boolean;
  readonly protectionLevel: string;
}

/** Bytes of a plaintext, and of associated data, under a software key. */
const SOFTWARE_BYTES = 64 * 1024;
/** Bytes of both together under an HSM key. */
const HSM_BYTES = 8 * 1024;

/** `request.name` may be a key, whose primary version is used, or a version. */
export function encrypt(keys: KeyStore, request: EncryptRequest): EncryptReply {
  const { name, plaintext, additionalAuthenticatedData: aad } = request;
  const key = findKey(keys, keyOf(name));
  const version = name === key.name ? key.primary : key.version(name);
  if (version === undefined) throw notFound("CryptoKeyVersion", name);
  requireSize(key, plaintext, aad);
  requireChecksum("plaintext", plaintext, request.plaintextCrc32c);
  requireChecksum("additional_authenticated_data", aad, request.additionalAuthenticatedDataCrc32c);
  requireEnabled(version);
  const ciphertext = key.encrypt(version, plaintext, aad);
  return {
    name: version.name,
    ciphertext,
    ciphertextCrc32c: { value: crc32c(ciphertext) },
    verifiedPlaintextCrc32c: request.plaintextCrc32c !== null,
    verifiedAdditionalAuthenticatedDataCrc32c: request.additionalAuthenticatedDataCrc32c !== null,
    protectionLevel: key.protectionLevel,
  };
}

/** `request.name` must be a key: the ciphertext says which version it is of. */
export function decrypt(keys: KeyStore, request: DecryptRequest): DecryptReply {
  const { name, ciphertext, additionalAuthenticatedData: aad } = request;
  if (name !== keyOf(name))
    throw new GrpcStatus("INVALID_ARGUMENT", `${name} is not the name of a CryptoKey.`);
  const key = findKey(keys, name);
  requireChecksum("ciphertext", ciphertext, request.ciphertextCrc32c);
  requireChecksum("additional_authenticated_data", aad, request.additionalAuthenticatedDataCrc32c);
  const version = key.versionOf(ciphertext);
  if (version === undefined) throw decryptionFailed();
  requireEnabled(version);
  const plaintext = key.decrypt(ciphertext, aad);
  if (plaintext === undefined) throw decryptionFailed();
  return {
    plaintext,
    plaintextCrc32c: { value: crc32c(plaintext) },
    usedPrimary: version === key.primary,
    protectionLevel: key.protectionLevel,
  };
}

function findKey(keys: KeyStore, name: string): CryptoKey {
  const key = keys.find(name);
  if (key === undefined) throw notFound("CryptoKey", name);
  return key;
}

function notFound(what: string, name: string): GrpcStatus {
  return new GrpcStatus("NOT_FOUND", `${what} ${name} not found.`);
}

/** One message for a wrong key, wrong associated data and a damaged ciphertext, as the service has it. */
function decryptionFailed(): GrpcStatus {
  return new GrpcStatus(
    "INVALID_ARGUMENT",
    "Decryption failed: verify that 'name' refers to the correct CryptoKey.",
  );
}

function requireSize({ protectionLevel }: CryptoKey, plaintext: Uint8Array, aad: Uint8Array): void {
  const fits =
    protectionLevel === "HSM"
      ? plaintext.length + aad.length <= HSM_BYTES
      : plaintext.length <= SOFTWARE_BYTES && aad.length <= SOFTWARE_BYTES;
  if (fits) return;
  throw new GrpcStatus(
    "INVALID_ARGUMENT",
    `The plaintext of ${plaintext.length} bytes and the additional authenticated data of ${aad.length} bytes are too large for a key of protection level ${protectionLevel}.`,
  );
}

function requireChecksum(field: string, bytes: Uint8Array, given: Int64Value | null): void {
  if (given === null || Number(given.value) === crc32c(bytes)) return;
  throw new GrpcStatus(
    "INVALID_ARGUMENT",
    `The checksum in field ${field}_crc32c did not match the data in field ${field}.`,
  );
}
