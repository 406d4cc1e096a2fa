/** The master key in Google Cloud KMS. */

import { encodeContext, type KeyOperation, type MasterKeyProvider, type WrappedKey } from "@keyfold/core";
import {
  type Bytes,
  badReply,
  concat,
  copyOf,
  parseMasterKeyUri,
  promptly,
  rejected,
  requireArgument,
  requireKey,
  requireNotAborted,
  requireOpen,
  requireOptions,
} from "@keyfold/core/provider";
import {
  type ClientSource,
  type GcpCallOptions,
  type GcpKmsClient,
  injectedClient,
  ownClient,
} from "./client.ts";
import { crc32c } from "./crc32c.ts";
import { translated } from "./errors.ts";
import { requireKeyName } from "./key-name.ts";
import { checkedCiphertext, checkedKey, MAX_CIPHERTEXT_BYTES, MIN_CIPHERTEXT_BYTES } from "./replies.ts";

export interface GcpKmsOptions {
  /**
   * The whole name of a symmetric key (purpose ENCRYPT_DECRYPT), without a version:
   * `projects/PROJECT/locations/LOCATION/keyRings/KEY_RING/cryptoKeys/KEY`.
   */
  readonly keyName: string;
  /** A `KeyManagementServiceClient`, used as it is and never closed. By default one is made on first use. */
  readonly client?: GcpKmsClient;
}

const PREFIX = "gcp-kms://";
/** The scheme byte of a wrap. */
const SCHEME = 1;
/**
 * Milliseconds for one call, where the SDK's own default is 60,000. Keyfold's deadline ends the wait earlier as a rule; this
 * ends the call itself, also in release 5 of the SDK, which heeds no signal.
 */
const CALL_TIMEOUT_MS = 10_000;

/**
 * A master key in Google Cloud KMS. Software, HSM and external keys will do: a wrap encrypts 32 bytes, with at most 2,048
 * bytes of KMS context as additional authenticated data, and the narrowest limit is 8,192 bytes for both together (HSM).
 *
 * - Wraps: 01 ‖ ciphertext of Encrypt, under `gcp-kms://` and the key's name without a version. Cloud KMS records the version
 *   in the ciphertext, so that a wrap opens after a rotation as long as its version is enabled.
 * - CRC-32C checksums are sent with each value and required of each reply, and the reply must name this key.
 * - Credentials are those of the client. Without one, a client is made when it is first needed, on Application Default
 *   Credentials; if none are found, the next call looks again.
 * - One request for each call. The SDK's retries are off; keyfold retries.
 *
 * Fails with `ERR_MASTER_KEY_DENIED`, `…_NOT_FOUND`, `…_DISABLED`, `…_REJECTED`, `…_BAD_REPLY`, `…_THROTTLED`,
 * `…_UNAVAILABLE`, `ERR_CREDENTIALS`, `ERR_ABORTED`, `ERR_CLOSED`, and `ERR_PROVIDER_NOT_INSTALLED` without
 * `@google-cloud/kms`.
 *
 * @throws `ERR_INVALID_ARGUMENT` for a name of another form, or an unknown option
 */
export function gcpKms(options: GcpKmsOptions): MasterKeyProvider {
  requireOptions(options, ["keyName", "client"], "gcpKms");
  const { keyName, client } = options;
  requireKeyName(keyName);
  requireClient(client);
  return new GcpKms(keyName, client === undefined ? ownClient() : injectedClient(client));
}

/**
 * The provider that `gcp-kms://projects/…/locations/…/keyRings/…/cryptoKeys/…` stands for. It has no query parameters.
 *
 * @throws `ERR_INVALID_ARGUMENT` for any other URI
 */
export function masterKeyFromUri(uri: string): MasterKeyProvider {
  return gcpKms({ keyName: parseMasterKeyUri(uri, PREFIX, []).location });
}

type Send<Reply> = (client: GcpKmsClient, options: GcpCallOptions) => Promise<readonly [Reply, ...unknown[]]>;

class GcpKms implements MasterKeyProvider {
  readonly name: string;
  readonly authenticatesWraps = true;
  readonly #keyName: string;
  #source: ClientSource | undefined;

  constructor(keyName: string, source: ClientSource) {
    this.name = `${PREFIX}${keyName}`;
    this.#keyName = keyName;
    this.#source = source;
  }

  recognizes(masterKey: string): boolean {
    return masterKey === this.name;
  }

  async wrapKey(key: Uint8Array, { context, signal }: KeyOperation): Promise<WrappedKey> {
    requireKey(key);
    requireOpen(this.#source, this.name);
    requireNotAborted(signal);
    const aad = encodeContext(context);
    const plaintext = copyOf(key);
    const request = {
      name: this.#keyName,
      plaintext,
      plaintextCrc32c: { value: crc32c(plaintext) },
      additionalAuthenticatedData: aad,
      additionalAuthenticatedDataCrc32c: { value: crc32c(aad) },
    };
    try {
      const ciphertext = await this.#call(
        signal,
        (client, options) => client.encrypt(request, options),
        (reply) => checkedCiphertext(this.#keyName, reply),
      );
      return { masterKey: this.name, ciphertext: concat(Uint8Array.of(SCHEME), ciphertext) };
    } finally {
      plaintext.fill(0);
    }
  }

  async unwrapKey({ masterKey, ciphertext }: WrappedKey, { context, signal }: KeyOperation): Promise<Bytes> {
    requireOpen(this.#source, this.name);
    requireNotAborted(signal);
    if (masterKey !== this.name) {
      throw rejected(`The master key ${this.name} unwraps what is under its own name and nothing else.`);
    }
    const sealed = sealedOf(ciphertext);
    const aad = encodeContext(context);
    const request = {
      name: this.#keyName,
      ciphertext: sealed,
      ciphertextCrc32c: { value: crc32c(sealed) },
      additionalAuthenticatedData: aad,
      additionalAuthenticatedDataCrc32c: { value: crc32c(aad) },
    };
    return this.#call(
      signal,
      (client, options) => client.decrypt(request, options),
      (reply) => {
        const key = checkedKey(reply);
        // Nobody waits for one that comes after the abort.
        if (signal.aborted) key.fill(0);
        return key;
      },
    );
  }

  async load(): Promise<void> {
    await requireOpen(this.#source, this.name).load();
  }

  async close(): Promise<void> {
    const source = this.#source;
    this.#source = undefined;
    await source?.close();
  }

  /** One request, or an error of keyfold. Rejects as soon as the signal aborts, whatever the SDK is at: also finding credentials. */
  async #call<Reply, T>(signal: AbortSignal, send: Send<Reply>, read: (reply: Reply) => T): Promise<T> {
    try {
      return await promptly(this.#exchange(signal, send, read), signal);
    } catch (error) {
      throw translated(error);
    }
  }

  async #exchange<Reply, T>(signal: AbortSignal, send: Send<Reply>, read: (reply: Reply) => T): Promise<T> {
    const client = await requireOpen(this.#source, this.name).client();
    // Meanwhile the caller may have given up, or closed the provider.
    requireNotAborted(signal);
    requireOpen(this.#source, this.name);
    const [reply] = await send(client, { timeout: CALL_TIMEOUT_MS, retry: { retryCodes: [] }, signal });
    if (typeof reply !== "object" || reply === null) throw badReply("The SDK gave no reply.");
    return read(reply);
  }
}

/** The service's part of a wrap, in memory of its own. */
function sealedOf(wrap: Uint8Array): Bytes {
  const bytes = wrap.length - 1;
  if (wrap[0] !== SCHEME || bytes < MIN_CIPHERTEXT_BYTES || bytes > MAX_CIPHERTEXT_BYTES) {
    throw rejected(
      `A wrap under Cloud KMS is 01 and then ${MIN_CIPHERTEXT_BYTES} to ${MAX_CIPHERTEXT_BYTES} bytes; this one is not.`,
    );
  }
  return copyOf(wrap.subarray(1));
}

function requireClient(client: unknown): void {
  if (client === undefined) return;
  requireArgument(
    typeof client === "object" && client !== null && "encrypt" in client && "decrypt" in client,
    "client must be a KeyManagementServiceClient of @google-cloud/kms.",
  );
}
