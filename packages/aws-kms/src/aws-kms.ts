/** The master key that is a key in AWS KMS. docs/spec/envelope-v1.md, "Wraps". */

import type { DecryptCommandInput, EncryptCommandInput } from "@aws-sdk/client-kms";
import { encodeContext, type KeyOperation, type MasterKeyProvider, type WrappedKey } from "@keyfold/core";
import {
  type Bytes,
  badReply,
  concat,
  copyOf,
  KEY_BYTES,
  Lazy,
  parseMasterKeyUri,
  promptly,
  rejected,
  requireArgument,
  requireKey,
  requireNotAborted,
  requireOpen,
  requireOptions,
  takeBytes,
} from "@keyfold/core/provider";
import { type KmsArn, parseArn, sameKey } from "./arn.ts";
import { type AwsKmsClient, type Connection, connect } from "./client.ts";
import { type Operation, translate } from "./errors.ts";
import { arnIn, type ConfiguredKey, configuredKey, URI_PREFIX, uriOf } from "./key-id.ts";

const SCHEME: Bytes = Uint8Array.of(1);
/** Bytes of a CiphertextBlob: AWS KMS API Reference, Encrypt. */
const MAX_BLOB_BYTES = 6_144;
const MAX_GRANT_TOKENS = 10;

export interface AwsKmsOptions {
  /**
   * The key: its ARN, the ARN of an alias, `alias/` and a name, or its id. An ARN is exact, and best where envelopes
   * must open for years. With an alias, new wraps are under the key that it points at, and old ones open only while it
   * still does.
   */
  readonly keyId: string;
  /**
   * The region that is called. By default that of an ARN, else what the SDK finds (`AWS_REGION`, the shared
   * configuration). A multi-Region key's ARN of another region stands for its replica in this one. With `client`, the
   * region that the client has.
   */
  readonly region?: string;
  /**
   * A `KMSClient` of yours, used as it is and never closed. Keyfold retries, so give it `maxAttempts: 1`; and give it
   * timeouts, as the SDK has none. By default one is made on first use, with the SDK's usual chain of credentials.
   */
  readonly client?: AwsKmsClient;
  /** At most 10: for grants that are so new that the service does not know them everywhere. */
  readonly grantTokens?: readonly string[];
}

/**
 * A symmetric key in AWS KMS as master key: Encrypt and Decrypt, always with an explicit `KeyId`. A wrap is 01 ‖
 * CiphertextBlob, some 170 bytes, under the ARN of the key that answered. The KMS context is the encryption context of
 * the service, entry by entry, so it appears in CloudTrail in clear.
 *
 * `recognizes` is exact for a key's ARN, where all replicas of a multi-Region key are one key. For an alias it is true
 * for the keys of its region and account as far as these are known, and for multi-Region keys of any region; requests
 * name the alias, so that the service refuses other keys.
 *
 * The SDK is imported on first use. Requests of a client that is made here end after 2 s, connections after 1.5 s.
 *
 * | code | when |
 * | --- | --- |
 * | `ERR_MASTER_KEY_DENIED`, `…_NOT_FOUND`, `…_DISABLED` | no permission; no such key; disabled or pending deletion |
 * | `ERR_MASTER_KEY_REJECTED` | another key's wrap, another context, an altered wrap, a key of another usage |
 * | `ERR_MASTER_KEY_BAD_REPLY` | the reply names another key, has another length, or cannot be read |
 * | `ERR_MASTER_KEY_THROTTLED`, `…_UNAVAILABLE` | too many requests; no answer, a server error, a key that is being made or imported |
 * | `ERR_CREDENTIALS` | none, wrong ones, or expired ones |
 * | `ERR_INVALID_ARGUMENT` | the key to be wrapped is not 32 bytes; no region is known |
 * | `ERR_PROVIDER_NOT_INSTALLED` | `@aws-sdk/client-kms` is missing |
 * | `ERR_ABORTED`, `ERR_CLOSED` | as in `MasterKeyProvider` |
 *
 * @throws `ERR_INVALID_ARGUMENT` for an option of another kind, one that does not exist, or a region that is not the ARN's
 */
export function awsKms(options: AwsKmsOptions): MasterKeyProvider {
  requireOptions(options, ["keyId", "region", "client", "grantTokens"], "awsKms");
  const { keyId, region, client, grantTokens = [] } = options;
  const key = configuredKey(keyId, region);
  requireArgument(
    client === undefined || typeof client?.send === "function",
    "client must be a KMSClient of @aws-sdk/client-kms.",
  );
  requireGrantTokens(grantTokens);
  const name = `${URI_PREFIX}${keyId}${region === undefined ? "" : `?region=${region}`}`;
  return new AwsKms(name, key, [...grantTokens], new Lazy(() => connect(key.region, client)));
}

/**
 * `awsKms` by URI: `aws-kms://` with a key's ARN, an alias's ARN, `alias/name` or a key's id, and `?region=…` if need be.
 *
 * @throws `ERR_INVALID_ARGUMENT` for what is no such URI
 */
export function masterKeyFromUri(uri: string): MasterKeyProvider {
  const { location, parameters } = parseMasterKeyUri(uri, URI_PREFIX, ["region"]);
  const region = parameters.get("region");
  return awsKms({ keyId: location, ...(region === undefined ? {} : { region }) });
}

function requireGrantTokens(tokens: readonly string[]): void {
  requireArgument(
    Array.isArray(tokens) &&
      tokens.length <= MAX_GRANT_TOKENS &&
      tokens.every((token) => typeof token === "string" && token !== ""),
    `grantTokens must be an array of at most ${MAX_GRANT_TOKENS} texts.`,
  );
}

class AwsKms implements MasterKeyProvider {
  readonly name: string;
  readonly authenticatesWraps = true;
  readonly #key: ConfiguredKey;
  readonly #grantTokens: string[];
  #connection: Lazy<Connection> | undefined;

  constructor(name: string, key: ConfiguredKey, grantTokens: string[], connection: Lazy<Connection>) {
    this.name = name;
    this.#key = key;
    this.#grantTokens = grantTokens;
    this.#connection = connection;
  }

  recognizes(masterKey: string): boolean {
    return this.#recognized(masterKey) !== undefined;
  }

  async wrapKey(key: Uint8Array, { context, signal }: KeyOperation): Promise<WrappedKey> {
    requireKey(key);
    const connection = this.#usable(signal);
    const { keyId, blob } = await this.#call("Encrypt", signal, () =>
      encrypt(connection, { ...this.#input(context), Plaintext: copyOf(key) }, signal),
    );
    const answered = this.#answering(keyId);
    if (blob.length === 0 || blob.length > MAX_BLOB_BYTES) {
      throw badReply(`Encrypt under ${this.name} gave no ciphertext of 1 to ${MAX_BLOB_BYTES} bytes.`);
    }
    return { masterKey: uriOf(answered), ciphertext: concat(SCHEME, blob) };
  }

  async unwrapKey({ masterKey, ciphertext }: WrappedKey, { context, signal }: KeyOperation): Promise<Bytes> {
    const connection = this.#usable(signal);
    const expected = this.#recognized(masterKey);
    if (expected === undefined) throw rejected(`${this.name} does not unwrap what another key wrapped.`);
    const input = { ...this.#input(context), CiphertextBlob: blobOf(ciphertext) };
    const { keyId, key } = await this.#call("Decrypt", signal, () => decrypt(connection, input, signal));
    try {
      this.#requireAnswer(key, keyId, expected);
    } catch (error) {
      key.fill(0);
      throw error;
    }
    return key;
  }

  async load(): Promise<void> {
    await requireOpen(this.#connection, this.name).get();
  }

  async close(): Promise<void> {
    const made = this.#connection?.made;
    this.#connection = undefined;
    const [settled] = await Promise.allSettled([made]);
    if (settled.status === "fulfilled") settled.value?.close();
  }

  #usable(signal: AbortSignal): Lazy<Connection> {
    const connection = requireOpen(this.#connection, this.name);
    requireNotAborted(signal);
    return connection;
  }

  /** One request: the SDK's error as keyfold's, and at once `ERR_ABORTED` when the signal aborts. */
  async #call<T>(operation: Operation, signal: AbortSignal, send: () => Promise<T>): Promise<T> {
    try {
      return await promptly(send(), signal);
    } catch (error) {
      throw translate(error, operation, this.name, signal);
    }
  }

  /** What both requests have. An empty context is the same as none, for the service too. */
  #input(context: KeyOperation["context"]): {
    KeyId: string;
    EncryptionContext?: Record<string, string>;
    GrantTokens?: string[];
  } {
    // Not what is sent: it refuses a context that is not one, which a request would lose without a word.
    encodeContext(context);
    return {
      KeyId: this.#key.keyId,
      ...(Object.keys(context).length === 0 ? {} : { EncryptionContext: { ...context } }),
      ...(this.#grantTokens.length === 0 ? {} : { GrantTokens: this.#grantTokens }),
    };
  }

  #recognized(masterKey: string): KmsArn | undefined {
    const arn = arnIn(masterKey);
    return arn !== undefined && this.#key.mayBe(arn) ? arn : undefined;
  }

  /** The key that a reply names. It lies in the region that was called, a replica as any other. */
  #answering(keyId: string | undefined): KmsArn {
    const arn = parseArn(keyId ?? "");
    if (arn === undefined || !this.#key.mayBe(arn) || arn.region !== (this.#key.region ?? arn.region)) {
      throw badReply(`The reply to a request under ${this.name} names no key that it may come from.`);
    }
    return arn;
  }

  #requireAnswer(key: Uint8Array, keyId: string | undefined, expected: KmsArn): void {
    if (!sameKey(this.#answering(keyId), expected)) {
      throw badReply(`Decrypt under ${this.name} was answered by another key than the one that wrapped.`);
    }
    if (key.length !== KEY_BYTES) {
      throw badReply(`Decrypt under ${this.name} gave ${key.length} bytes, and not ${KEY_BYTES}.`);
    }
  }
}

/** Encrypts, and wipes the plaintext once the SDK is done with it, however that ends. */
async function encrypt(
  connection: Lazy<Connection>,
  input: EncryptCommandInput & { readonly Plaintext: Bytes },
  abortSignal: AbortSignal,
): Promise<{ readonly keyId: string | undefined; readonly blob: Bytes }> {
  try {
    const { sdk, client } = await connection.get();
    const reply = await client.send(new sdk.EncryptCommand(input), { abortSignal });
    // Copied before the wipe: a client that a test mocks may give back the very bytes it was given.
    return { keyId: reply.KeyId, blob: copyOf(reply.CiphertextBlob ?? new Uint8Array()) };
  } finally {
    input.Plaintext.fill(0);
  }
}

/** Decrypts, and takes the key out of the SDK's hands. Nobody waits for one that comes after the abort. */
async function decrypt(
  connection: Lazy<Connection>,
  input: DecryptCommandInput,
  abortSignal: AbortSignal,
): Promise<{ readonly keyId: string | undefined; readonly key: Bytes }> {
  const { sdk, client } = await connection.get();
  const reply = await client.send(new sdk.DecryptCommand(input), { abortSignal });
  const key = takeBytes(reply.Plaintext ?? new Uint8Array());
  if (abortSignal.aborted) key.fill(0);
  return { keyId: reply.KeyId, key };
}

/** The CiphertextBlob in a wrap, in memory of its own: what the SDK does with it must not reach an envelope. */
function blobOf(ciphertext: Uint8Array): Bytes {
  const length = ciphertext.length - SCHEME.length;
  if (ciphertext[0] !== SCHEME[0] || length < 1 || length > MAX_BLOB_BYTES) {
    throw rejected(`A wrap under AWS KMS is 01 and 1 to ${MAX_BLOB_BYTES} bytes; this one is not.`);
  }
  return copyOf(ciphertext.subarray(SCHEME.length));
}
