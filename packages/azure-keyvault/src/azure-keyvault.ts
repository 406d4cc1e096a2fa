/** The factory, and the provider that it makes. */

import {
  encodeContext,
  type KeyfoldError,
  type KeyOperation,
  type MasterKeyProvider,
  type WrappedKey,
} from "@keyfold/core";
import {
  type Bytes,
  concat,
  copyOf,
  rejected,
  requireArgument,
  requireKey,
  requireNotAborted,
  requireOpen,
  requireOptions,
} from "@keyfold/core/provider";
import { type AzureKeyVaultAlgorithm, type Scheme, schemes } from "./algorithms.ts";
import type { AzureCredential, AzureKeyVaultClient } from "./client.ts";
import { parseKeyId, uriOf, type VaultKey, vaultKey, vaultUrlOf, versionInUri } from "./key-id.ts";
import { sdkClient } from "./sdk.ts";
import { Vault } from "./vault.ts";
import { type Clock, CurrentVersion } from "./version.ts";

/** Options that do not name the key. */
export interface AzureKeyVaultSettings {
  /**
   * How keys are wrapped; it must fit the key's type. Default "RSA-OAEP-256", whose wraps anybody with the public key can
   * make: see the README. An AES key opens the wraps of both AES algorithms.
   */
  readonly algorithm?: AzureKeyVaultAlgorithm | undefined;
  /** Default: `new DefaultAzureCredential()` of `@azure/identity`, imported when it is first needed. */
  readonly credential?: AzureCredential | undefined;
  /**
   * Options for the SDK's clients that this provider makes: a proxy, an agent, a user agent. The SDK's own retries and
   * redirects stay off.
   */
  readonly clientOptions?: object | undefined;
  /** Clients of your own, used as they are and never closed, instead of `credential` and `clientOptions`. */
  readonly client?: AzureKeyVaultClient | undefined;
}

/** Which key: by its id, or by vault and name. */
export type AzureKeyVaultKey =
  | {
      /** `https://HOST/keys/NAME`; with `/VERSION` that version wraps, whatever newer ones there are. */
      readonly keyId: string;
      readonly vaultUrl?: never;
      readonly keyName?: never;
    }
  | {
      /** `https://HOST`, of a vault or a managed HSM in any cloud. */
      readonly vaultUrl: string;
      readonly keyName: string;
      readonly keyId?: never;
    };

export type AzureKeyVaultOptions = AzureKeyVaultKey & AzureKeyVaultSettings;

const OPTIONS = [
  "keyId",
  "vaultUrl",
  "keyName",
  "algorithm",
  "credential",
  "clientOptions",
  "client",
] as const;

/** What a version that wrapped may have become: the next wrap then asks which version is the newest. */
const OUTDATED: ReadonlySet<KeyfoldError["code"]> = new Set([
  "ERR_MASTER_KEY_DISABLED",
  "ERR_MASTER_KEY_NOT_FOUND",
]);

/**
 * A master key in Azure Key Vault or Managed HSM.
 *
 * Wraps with the newest version, which it asks for again after five minutes, or with the version that `keyId` names; each
 * wrap records the version, and every version of the key unwraps while it is enabled. Makes no call and loads no SDK until
 * it is first used.
 *
 * @throws `ERR_INVALID_ARGUMENT` for options that do not fit. The methods fail with the codes of `MasterKeyProvider`, and
 * with `ERR_PROVIDER_NOT_INSTALLED` where `@azure/keyvault-keys`, or `@azure/identity` without a `credential`, is missing
 */
export function azureKeyVault(options: AzureKeyVaultOptions): MasterKeyProvider {
  return azureKeyVaultAt(options, Date.now);
}

/** With the clock given, for the tests. */
export function azureKeyVaultAt(options: AzureKeyVaultOptions, now: Clock): MasterKeyProvider {
  requireOptions(options, OPTIONS, "azureKeyVault");
  const { key, version } = keyOf(options);
  const scheme = schemeOf(options.algorithm);
  requireClient(options, version);
  const { client, credential, clientOptions } = options;
  const settings = { vaultUrl: vaultUrlOf(key), credential, clientOptions };
  const vault = new Vault(key, async () => client ?? sdkClient(settings));
  return new AzureKeyVault({ key, scheme, vault, version, now });
}

interface Parts {
  readonly key: VaultKey;
  readonly scheme: Scheme;
  readonly vault: Vault;
  /** The version that wraps; undefined for the newest. */
  readonly version: string | undefined;
  readonly now: Clock;
}

class AzureKeyVault implements MasterKeyProvider {
  readonly name: string;
  readonly authenticatesWraps: boolean;
  readonly #key: VaultKey;
  readonly #scheme: Scheme;
  readonly #pinned: string | undefined;
  readonly #current: CurrentVersion;
  #vault: Vault | undefined;

  constructor({ key, scheme, vault, version, now }: Parts) {
    this.name = uriOf(key, version);
    this.authenticatesWraps = scheme.authenticated;
    this.#key = key;
    this.#scheme = scheme;
    this.#pinned = version;
    this.#current = new CurrentVersion((signal) => vault.newestVersion(signal), now);
    this.#vault = vault;
  }

  recognizes(masterKey: string): boolean {
    return versionInUri(this.#key, masterKey) !== undefined;
  }

  async load(): Promise<void> {
    await requireOpen(this.#vault, this.name).load();
  }

  async wrapKey(key: Uint8Array, { context, signal }: KeyOperation): Promise<WrappedKey> {
    requireKey(key);
    const vault = requireOpen(this.#vault, this.name);
    requireNotAborted(signal);
    const { algorithm, byte } = this.#scheme;
    const own = copyOf(key);
    try {
      const version = this.#pinned ?? (await this.#current.get(signal));
      const ask = vault.asking(version, algorithm, signal);
      const wrapped = await this.#noticing(version, this.#scheme.wrap(ask, own, encodeContext(context)));
      return { masterKey: uriOf(this.#key, version), ciphertext: concat(Uint8Array.of(byte), wrapped) };
    } finally {
      own.fill(0);
    }
  }

  async unwrapKey({ masterKey, ciphertext }: WrappedKey, { context, signal }: KeyOperation): Promise<Bytes> {
    const vault = requireOpen(this.#vault, this.name);
    requireNotAborted(signal);
    const version = versionInUri(this.#key, masterKey);
    if (version === undefined) throw rejected(`The wrap is not under a version of ${uriOf(this.#key)}.`);
    const scheme = this.#schemeOfWrap(ciphertext);
    const ask = vault.asking(version, scheme.algorithm, signal);
    return scheme.unwrap(ask, copyOf(ciphertext).subarray(1), encodeContext(context));
  }

  async close(): Promise<void> {
    this.#vault = undefined;
  }

  /**
   * The row of the wrap's first byte. An RSA key cannot have made a wrap of an AES scheme, and a wrap of the RSA scheme
   * proves nothing to who relies on an AES key: neither is sent.
   */
  #schemeOfWrap(ciphertext: Uint8Array): Scheme {
    const scheme = schemes.find(({ byte }) => byte === ciphertext[0]);
    if (scheme === undefined) throw rejected("The wrap is of a scheme that Azure keys do not have.");
    if (scheme.authenticated !== this.authenticatesWraps) {
      throw rejected(`A key for ${this.#scheme.algorithm} does not open wraps of ${scheme.algorithm}.`);
    }
    if (!scheme.lengths.includes(ciphertext.length - 1)) {
      throw rejected(`A wrap of ${scheme.algorithm} is not ${ciphertext.length} bytes long.`);
    }
    return scheme;
  }

  async #noticing<T>(version: string, wrap: Promise<T>): Promise<T> {
    try {
      return await wrap;
    } catch (error) {
      if (OUTDATED.has(Reflect.get(Object(error), "code"))) this.#current.forget(version);
      throw error;
    }
  }
}

function keyOf(options: AzureKeyVaultOptions): { readonly key: VaultKey; readonly version?: string } {
  const { keyId, vaultUrl, keyName } = options;
  if (keyId === undefined) return { key: vaultKey(vaultUrl, keyName) };
  requireArgument(
    vaultUrl === undefined && keyName === undefined,
    "Give azureKeyVault either keyId, or vaultUrl and keyName.",
  );
  return parseKeyId(keyId);
}

function schemeOf(algorithm: AzureKeyVaultAlgorithm = "RSA-OAEP-256"): Scheme {
  const scheme = schemes.find((row) => row.algorithm === algorithm);
  requireArgument(
    scheme !== undefined,
    `algorithm must be one of ${schemes.map((row) => row.algorithm).join(", ")}.`,
  );
  return scheme;
}

function requireClient(options: AzureKeyVaultSettings, version: string | undefined): void {
  const { client, credential, clientOptions } = options;
  requireArgument(
    credential === undefined || typeof credential?.getToken === "function",
    "credential must have a method getToken, as the credentials of @azure/identity have.",
  );
  requireArgument(
    clientOptions === undefined || (typeof clientOptions === "object" && clientOptions !== null),
    "clientOptions must be an object.",
  );
  if (client === undefined) return;
  requireArgument(
    credential === undefined && clientOptions === undefined,
    "A client has its own credential and options: give either client, or credential and clientOptions.",
  );
  requireArgument(
    typeof client?.cryptography === "function" &&
      (typeof client.keys?.getKey === "function" || (client.keys === undefined && version !== undefined)),
    "client must have a function cryptography and, unless keyId names a version, keys with a method getKey.",
  );
}
