/** What a reply must be before it is believed. https://cloud.google.com/kms/docs/data-integrity-guidelines */

import { isUint8Array } from "node:util/types";
import { type Bytes, badReply, copyOf, KEY_BYTES, takeBytes } from "@keyfold/core/provider";
import type { GcpChecksum, GcpDecryptReply, GcpEncryptReply } from "./client.ts";
import { crc32c } from "./crc32c.ts";
import { isVersionOf } from "./key-name.ts";

/** No encryption is shorter than what it encrypts. Cloud KMS adds some dozens of bytes. */
export const MIN_CIPHERTEXT_BYTES: number = KEY_BYTES;
/** Far above what any protection level makes of 32 bytes, and small enough to be sent for nothing. */
export const MAX_CIPHERTEXT_BYTES = 8_192;

/** The ciphertext of a reply to Encrypt, in memory of its own; `ERR_MASTER_KEY_BAD_REPLY` unless all of it is right. */
export function checkedCiphertext(keyName: string, reply: GcpEncryptReply): Bytes {
  if (!isVersionOf(keyName, reply.name)) {
    throw badReply(`Another key than ${keyName} answered.`);
  }
  if (!reply.verifiedPlaintextCrc32c || !reply.verifiedAdditionalAuthenticatedDataCrc32c) {
    throw badReply("Cloud KMS did not verify the checksums of the request: it may have arrived altered.");
  }
  const ciphertext = copyOf(bytesOf(reply.ciphertext));
  requireChecksum(ciphertext, reply.ciphertextCrc32c);
  if (ciphertext.length < MIN_CIPHERTEXT_BYTES || ciphertext.length > MAX_CIPHERTEXT_BYTES) {
    throw badReply(`A ciphertext of ${ciphertext.length} bytes is none of a key of ${KEY_BYTES} bytes.`);
  }
  return ciphertext;
}

/** The 32 bytes of a reply to Decrypt, in memory of their own: those of the SDK are wiped. Fails as the other. */
export function checkedKey(reply: GcpDecryptReply): Bytes {
  const key = takeBytes(bytesOf(reply.plaintext));
  try {
    requireChecksum(key, reply.plaintextCrc32c);
    if (key.length !== KEY_BYTES) {
      throw badReply(`Cloud KMS gave ${key.length} bytes, where a key has ${KEY_BYTES}.`);
    }
  } catch (error) {
    key.fill(0);
    throw error;
  }
  return key;
}

/** The SDK's types allow base64 as well, which its gRPC transport never gives. */
function bytesOf(value: Uint8Array | string | null | undefined): Uint8Array {
  if (isUint8Array(value)) return value;
  if (typeof value === "string") return Buffer.from(value, "base64");
  throw badReply("A reply of Cloud KMS lacks its bytes.");
}

/** A missing checksum is a wrong one: every request asks for it. */
function requireChecksum(bytes: Uint8Array, checksum: GcpChecksum | null | undefined): void {
  const value = checksum?.value ?? undefined;
  if (value !== undefined && String(value) === String(crc32c(bytes))) return;
  throw badReply("The checksum of a reply differs: it was altered on its way.");
}
