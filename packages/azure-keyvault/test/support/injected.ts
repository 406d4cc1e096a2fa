/** Clients in memory, for answers and failures that no server needs to give. */

import type {
  AzureCallOptions,
  AzureGcmReply,
  AzureKey,
  AzureKeyVaultClient,
  AzureReply,
} from "../../src/index.ts";

export const HOST = "example.vault.azure.net";
export const VERSION = "0123456789abcdef0123456789abcdef";
export const KEY_ID: string = `https://${HOST}/keys/billing/${VERSION}`;
export const URI: string = `azure-keyvault://${HOST}/keys/billing/${VERSION}`;

export interface Injected {
  readonly client: AzureKeyVaultClient;
  /** The operations that were called, in order. */
  readonly calls: string[];
  /** The keys that cryptography clients were made for. */
  readonly keys: AzureKey[];
  readonly options: AzureCallOptions[];
}

export interface Answers {
  getKey?(options: AzureCallOptions): Promise<{ readonly id?: string }>;
  wrapKey?(key: Uint8Array, options: AzureCallOptions): Promise<AzureReply>;
  unwrapKey?(key: Uint8Array, options: AzureCallOptions): Promise<AzureReply>;
  encrypt?(plaintext: Uint8Array, options: AzureCallOptions): Promise<AzureGcmReply>;
  decrypt?(ciphertext: Uint8Array, options: AzureCallOptions): Promise<AzureReply>;
}

export function injected(answers: Answers): Injected {
  const calls: string[] = [];
  const keys: AzureKey[] = [];
  const options: AzureCallOptions[] = [];
  function call<T>(name: keyof Answers, given: AzureCallOptions, answer: Promise<T> | undefined): Promise<T> {
    calls.push(name);
    options.push(given);
    return answer ?? Promise.reject(new Error(`The test gives no answer to ${name}.`));
  }
  const client: AzureKeyVaultClient = {
    keys: { getKey: (_, given) => call("getKey", given, answers.getKey?.(given)) },
    cryptography(key) {
      keys.push(key);
      return {
        wrapKey: (_, bytes, given) => call("wrapKey", given, answers.wrapKey?.(bytes, given)),
        unwrapKey: (_, bytes, given) => call("unwrapKey", given, answers.unwrapKey?.(bytes, given)),
        encrypt: ({ plaintext }, given) => call("encrypt", given, answers.encrypt?.(plaintext, given)),
        decrypt: ({ ciphertext }, given) => call("decrypt", given, answers.decrypt?.(ciphertext, given)),
      };
    },
  };
  return { client, calls, keys, options };
}
