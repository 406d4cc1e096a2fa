/** The operations of AWS KMS that the fake has, as rows of a table. */

import { randomBytes } from "node:crypto";
import { decrypt, encrypt, keyOf, requireMadeBy } from "./ciphertext.ts";
import { bytes, context, dataKeyBytes, grantTokens, type Input, keyId, optionalKeyId } from "./input.ts";
import { type KeyStore, requireUsable, type StoredKey } from "./key-store.ts";

/** What an operation works with. */
export interface Call {
  readonly input: Input;
  readonly store: KeyStore;
  /** The caller's account, and the region that was called. */
  readonly caller: { readonly account: string; readonly region: string };
}

export interface Operation {
  /** The member that names the key, for the list of requests. */
  readonly keyMember: string;
  /** The reply; a `Buffer` stands for bytes in base64. Throws a `ServiceError`. */
  run(call: Call): Readonly<Record<string, unknown>>;
}

const MAX_PLAINTEXT_BYTES = 4_096;
const MAX_CIPHERTEXT_BYTES = 6_144;
const ALGORITHM = "SYMMETRIC_DEFAULT";

export const operations: ReadonlyMap<string, Operation> = new Map<string, Operation>([
  ["Encrypt", { keyMember: "KeyId", run: runEncrypt }],
  ["Decrypt", { keyMember: "KeyId", run: runDecrypt }],
  ["GenerateDataKey", { keyMember: "KeyId", run: runGenerateDataKey }],
  ["ReEncrypt", { keyMember: "DestinationKeyId", run: runReEncrypt }],
  ["DescribeKey", { keyMember: "KeyId", run: runDescribeKey }],
]);

function runEncrypt(call: Call): Readonly<Record<string, unknown>> {
  const plaintext = bytes(call.input, "Plaintext", MAX_PLAINTEXT_BYTES);
  const bound = context(call.input, "EncryptionContext");
  const key = usableKey(call, "KeyId", "Encrypt");
  return { CiphertextBlob: encrypt(key, plaintext, bound), KeyId: key.arn, EncryptionAlgorithm: ALGORITHM };
}

function runDecrypt(call: Call): Readonly<Record<string, unknown>> {
  const bound = context(call.input, "EncryptionContext");
  const { key, ciphertext } = sourceOf(call, "KeyId", "Decrypt");
  const { plaintext, materialId } = decrypt(key, ciphertext, bound);
  return { Plaintext: plaintext, KeyId: key.arn, EncryptionAlgorithm: ALGORITHM, KeyMaterialId: materialId };
}

function runGenerateDataKey(call: Call): Readonly<Record<string, unknown>> {
  const plaintext = randomBytes(dataKeyBytes(call.input));
  const bound = context(call.input, "EncryptionContext");
  const key = usableKey(call, "KeyId", "GenerateDataKey");
  return {
    Plaintext: plaintext,
    CiphertextBlob: encrypt(key, plaintext, bound),
    KeyId: key.arn,
    KeyMaterialId: key.material.at(-1)?.id,
  };
}

function runReEncrypt(call: Call): Readonly<Record<string, unknown>> {
  const from = context(call.input, "SourceEncryptionContext");
  const to = context(call.input, "DestinationEncryptionContext");
  const source = sourceOf(call, "SourceKeyId", "ReEncryptFrom");
  const destination = usableKey(call, "DestinationKeyId", "ReEncryptTo");
  const { plaintext, materialId } = decrypt(source.key, source.ciphertext, from);
  return {
    CiphertextBlob: encrypt(destination, plaintext, to),
    SourceKeyId: source.key.arn,
    KeyId: destination.arn,
    SourceEncryptionAlgorithm: ALGORITHM,
    DestinationEncryptionAlgorithm: ALGORITHM,
    SourceKeyMaterialId: materialId,
    DestinationKeyMaterialId: destination.material.at(-1)?.id,
  };
}

function runDescribeKey({ input, store, caller }: Call): Readonly<Record<string, unknown>> {
  const key = store.resolve(keyId(input, "KeyId"), caller);
  store.requirePermitted("DescribeKey", key, grantTokens(input));
  return {
    KeyMetadata: {
      AWSAccountId: key.account,
      Arn: key.arn,
      KeyId: key.id,
      Enabled: key.state === "Enabled",
      KeyState: key.state,
      KeyUsage: "ENCRYPT_DECRYPT",
      KeySpec: ALGORITHM,
      KeyManager: "CUSTOMER",
      Origin: "AWS_KMS",
      MultiRegion: key.id.startsWith("mrk-"),
    },
  };
}

function usableKey({ input, store, caller }: Call, member: string, permission: string): StoredKey {
  const tokens = grantTokens(input);
  const key = store.resolve(keyId(input, member), caller);
  store.requirePermitted(permission, key, tokens);
  requireUsable(key);
  return key;
}

/** What shall be decrypted, and the key for it: the one that is named, and where none is, the one that made it. */
function sourceOf(
  { input, store, caller }: Call,
  member: string,
  permission: string,
): { readonly key: StoredKey; readonly ciphertext: Buffer } {
  const ciphertext = bytes(input, "CiphertextBlob", MAX_CIPHERTEXT_BYTES);
  const tokens = grantTokens(input);
  const named = optionalKeyId(input, member);
  const key = named === undefined ? keyOf(ciphertext, store, caller.region) : store.resolve(named, caller);
  store.requirePermitted(permission, key, tokens);
  requireUsable(key);
  requireMadeBy(key, ciphertext, store);
  return { key, ciphertext };
}
