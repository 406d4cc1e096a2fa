/** The real SDK: imported when it is first needed, and set up so that it neither retries nor follows a redirect. */

import { KeyfoldError } from "@keyfold/core";
import { importPackage } from "@keyfold/core/provider";
import type { AzureCredential, AzureKeyVaultClient } from "./client.ts";
import { isOutage } from "./errors.ts";

export interface SdkSettings {
  readonly vaultUrl: string;
  readonly credential: AzureCredential | undefined;
  readonly clientOptions: object | undefined;
}

/** @throws `ERR_PROVIDER_NOT_INSTALLED` */
export async function sdkClient(settings: SdkSettings): Promise<AzureKeyVaultClient> {
  const { CryptographyClient, KeyClient } = await importPackage(
    "@azure/keyvault-keys",
    () => import("@azure/keyvault-keys"),
  );
  const credential = guarded(settings.credential ?? (await defaultCredential()));
  // An object for each client: the SDK writes into it.
  const options = () => ({
    ...settings.clientOptions,
    retryOptions: { maxRetries: 0 },
    redirectOptions: { maxRetries: 0 },
  });
  return {
    keys: new KeyClient(settings.vaultUrl, credential, options()),
    cryptography: (key) => new CryptographyClient(key, credential, options()),
  };
}

async function defaultCredential(): Promise<AzureCredential> {
  const { DefaultAzureCredential } = await importPackage("@azure/identity", () => import("@azure/identity"));
  return new DefaultAzureCredential();
}

/** A credential whose failures can be told from the vault's. */
function guarded(credential: AzureCredential): AzureCredential {
  return {
    async getToken(scopes, options) {
      const token = await asCredentialError(async () => credential.getToken(scopes, options));
      if (token === null) throw new KeyfoldError("ERR_CREDENTIALS", "The credential gave no token.");
      return token;
    },
  };
}

async function asCredentialError<T>(getToken: () => Promise<T>): Promise<T> {
  try {
    return await getToken();
  } catch (cause) {
    if (isAbort(cause)) throw cause;
    throw isOutage(cause)
      ? new KeyfoldError("ERR_MASTER_KEY_UNAVAILABLE", "Nobody gave a token for the vault.", { cause })
      : new KeyfoldError("ERR_CREDENTIALS", "The credential could not get a token.", { cause });
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}
