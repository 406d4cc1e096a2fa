/** The part of the SDK that is used, as shapes of our own: whoever uses this package needs no type of the SDK's. */

/** A credential, such as every one of `@azure/identity`. */
export interface AzureCredential {
  getToken(
    scopes: string | string[],
    options?: object,
  ): Promise<{ readonly token: string; readonly expiresOnTimestamp: number } | null>;
}

/**
 * SDK clients that the caller made, to be used as they are and never closed. Their retries should be off
 * (`retryOptions: { maxRetries: 0 }`), because keyfold has its own.
 *
 * ```ts
 * const client: AzureKeyVaultClient = {
 *   keys: new KeyClient(vaultUrl, credential, options),
 *   cryptography: (key) => new CryptographyClient(key, credential, options),
 * };
 * ```
 */
export interface AzureKeyVaultClient {
  /** A `KeyClient` for the vault. May be left out where `keyId` names a version. */
  readonly keys?: AzureKeysClient;
  /**
   * Makes a `CryptographyClient`, once for each version of the key.
   *
   * @param key to be handed to the constructor as it is. It is no key that the service described: given one of those, or
   * only a key's id, the SDK asks for `keys/get` and refuses to unwrap under a version that has expired.
   */
  cryptography(key: AzureKey): AzureCryptographyClient;
}

/** What a `CryptographyClient` has to know of a key, and no more. */
export interface AzureKey {
  /** With the version: `https://host/keys/name/version`. */
  readonly id: string;
  readonly name: string;
  readonly properties: { readonly name: string; readonly vaultUrl: string };
}

/** Of the SDK's `KeyClient`. */
export interface AzureKeysClient {
  getKey(name: string, options: AzureCallOptions): Promise<{ readonly id?: string | undefined }>;
}

/** Of the SDK's `CryptographyClient`. */
export interface AzureCryptographyClient {
  wrapKey(
    algorithm: "RSA-OAEP-256" | "A256KW",
    key: Uint8Array,
    options: AzureCallOptions,
  ): Promise<AzureReply>;
  unwrapKey(
    algorithm: "RSA-OAEP-256" | "A256KW",
    encryptedKey: Uint8Array,
    options: AzureCallOptions,
  ): Promise<AzureReply>;
  encrypt(
    parameters: {
      readonly algorithm: "A256GCM";
      readonly plaintext: Uint8Array;
      readonly additionalAuthenticatedData: Uint8Array;
    },
    options: AzureCallOptions,
  ): Promise<AzureGcmReply>;
  decrypt(
    parameters: {
      readonly algorithm: "A256GCM";
      readonly ciphertext: Uint8Array;
      readonly iv: Uint8Array;
      readonly authenticationTag: Uint8Array;
      readonly additionalAuthenticatedData: Uint8Array;
    },
    options: AzureCallOptions,
  ): Promise<AzureReply>;
}

/** What every operation answers. */
export interface AzureReply {
  readonly result: Uint8Array;
  readonly algorithm: string;
  readonly keyID?: string | undefined;
}

export interface AzureGcmReply extends AzureReply {
  readonly iv?: Uint8Array | undefined;
  readonly authenticationTag?: Uint8Array | undefined;
}

/** What accompanies every call. */
export interface AzureCallOptions {
  readonly abortSignal: AbortSignal;
  readonly requestOptions: {
    /** Milliseconds. */
    readonly timeout: number;
  };
  /** The SDK calls it with each answer as it came, because what it returns does not say which key answered. */
  readonly onResponse: (response: AzureRawResponse) => void;
}

/** An HTTP answer. */
export interface AzureRawResponse {
  readonly status?: number;
  readonly headers?: { get(name: string): string | undefined };
  readonly parsedBody?: unknown;
}
