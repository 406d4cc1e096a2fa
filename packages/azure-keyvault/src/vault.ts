/** One key in its vault: the SDK's clients for it, and calls whose answers are checked. */

import { badReply, Lazy, promptly } from "@keyfold/core/provider";
import type { Ask } from "./algorithms.ts";
import type {
  AzureCallOptions,
  AzureCryptographyClient,
  AzureKeyVaultClient,
  AzureRawResponse,
  AzureReply,
} from "./client.ts";
import { translate } from "./errors.ts";
import { kidOf, uriOf, type VaultKey, vaultUrlOf, versionInKid } from "./key-id.ts";
import { ColdStart } from "./turns.ts";

/** The SDK has no timeout of its own. Keyfold's deadline, 5 s by default, comes first as a rule. */
const TIMEOUT_MS = 30_000;

/** Versions come from envelopes, which anybody may have made: so many clients are kept, those used last. */
export const MAX_CLIENTS = 16;

/** A `CryptographyClient`, which holds a token, and for one version. */
interface VersionClient {
  readonly client: AzureCryptographyClient;
  readonly cold: ColdStart;
}

interface Call<R> {
  readonly operation: string;
  readonly key: string;
  readonly cold: ColdStart;
  readonly signal: AbortSignal;
  readonly send: (options: AzureCallOptions) => Promise<R>;
}

export class Vault {
  readonly #key: VaultKey;
  readonly #client: Lazy<AzureKeyVaultClient>;
  readonly #keysCold = new ColdStart();
  readonly #versions = new Map<string, VersionClient>();

  constructor(key: VaultKey, client: () => Promise<AzureKeyVaultClient>) {
    this.#key = key;
    this.#client = new Lazy(client);
  }

  async load(): Promise<void> {
    await this.#client.get();
  }

  /** Asks which version is the newest. */
  async newestVersion(signal: AbortSignal): Promise<string> {
    const { keys } = await promptly(this.#client.get(), signal);
    if (keys === undefined) throw new TypeError("A client without keys is refused where it is given.");
    const { reply } = await perform({
      operation: "keys/get",
      key: uriOf(this.#key),
      cold: this.#keysCold,
      signal,
      send: (options) => keys.getKey(this.#key.name, options),
    });
    const version = versionInKid(this.#key, reply.id);
    if (version === undefined) throw badReply("The answer to keys/get names another key, or no version.");
    return version;
  }

  /** Calls under one version. The reply must name that version and that algorithm. */
  asking(version: string, algorithm: string, signal: AbortSignal): Ask {
    return async (operation, call) => {
      const { client, cold } = this.#clientFor(version, await promptly(this.#client.get(), signal));
      const { reply, response } = await perform({
        operation: `keys/${operation}`,
        key: uriOf(this.#key, version),
        cold,
        signal,
        send: async (options) => wipedIfLate(await call(client, options), signal),
      });
      const kids = response === undefined ? [reply.keyID] : [reply.keyID, kidIn(response)];
      const right = kids.every((kid) => versionInKid(this.#key, kid) === version);
      if (right && reply.algorithm === algorithm) return reply;
      wipe(reply);
      throw badReply(`The answer to keys/${operation} names another ${right ? "algorithm" : "key"}.`);
    };
  }

  #clientFor(version: string, client: AzureKeyVaultClient): VersionClient {
    const found = this.#versions.get(version) ?? {
      client: client.cryptography(syntheticKey(this.#key, version)),
      cold: new ColdStart(),
    };
    this.#versions.delete(version);
    this.#versions.set(version, found);
    for (const oldest of this.#versions.keys()) {
      if (this.#versions.size <= MAX_CLIENTS) break;
      this.#versions.delete(oldest);
    }
    return found;
  }
}

/** Just enough for the SDK to call that version, and nothing that it would check for itself, such as the expiry. */
function syntheticKey(key: VaultKey, version: string) {
  const { name } = key;
  return { id: kidOf(key, version), name, properties: { name, vaultUrl: vaultUrlOf(key) } };
}

async function perform<R>({ operation, key, cold, signal, send }: Call<R>): Promise<{
  readonly reply: R;
  readonly response: AzureRawResponse | undefined;
}> {
  return cold.run(async () => {
    const seen: { response?: AzureRawResponse } = {};
    const options: AzureCallOptions = {
      abortSignal: signal,
      requestOptions: { timeout: TIMEOUT_MS },
      onResponse: (response) => {
        seen.response = response;
      },
    };
    try {
      return { reply: await promptly(send(options), signal), response: seen.response };
    } catch (error) {
      throw translate(error, { operation, key, response: seen.response });
    }
  }, signal);
}

/** The key that the service itself names: what the SDK returns repeats what it was asked. */
function kidIn({ parsedBody }: AzureRawResponse): unknown {
  return typeof parsedBody === "object" && parsedBody !== null ? Reflect.get(parsedBody, "kid") : undefined;
}

/** Nobody waits for a reply that comes after the abort. */
function wipedIfLate<R extends AzureReply>(reply: R, signal: AbortSignal): R {
  if (signal.aborted) wipe(reply);
  return reply;
}

function wipe({ result }: AzureReply): void {
  if (result instanceof Uint8Array) result.fill(0);
}
