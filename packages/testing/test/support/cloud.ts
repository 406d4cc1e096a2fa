/** A cloud KMS in memory, of several `memoryMasterKey`s: regions, aliases, a client to inject, replies that go wrong. */

import { KeyfoldError, type KeyOperation, type WrappedKey } from "@keyfold/core";
import { type MemoryMasterKey, memoryMasterKey } from "../../src/memory-master-key.ts";

export interface Reply {
  /** The key that answered: its URI. */
  readonly masterKey: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface CloudClient {
  encrypt(keyId: string, key: Uint8Array, operation: KeyOperation): Promise<Reply>;
  decrypt(keyId: string, ciphertext: Uint8Array, operation: KeyOperation): Promise<Reply>;
  close(): void;
}

type Alter = (reply: Reply) => Reply;

export const ONE = "memory:eu/one";
export const TWO = "memory:eu/two";
export const ABROAD = "memory:us/one";
export const ALIAS = "alias/app";
export const CREDENTIAL = "the credential of the client";

export class MemoryCloud {
  readonly masterBytes: Uint8Array<ArrayBuffer> = crypto.getRandomValues(new Uint8Array(32));
  readonly keys: ReadonlyMap<string, MemoryMasterKey> = new Map(
    [ONE, TWO, ABROAD].map((uri) => [uri, this.#make(uri)]),
  );
  alias: string = ONE;
  closed = 0;
  rotations = 0;
  readonly #stopped = new AbortController();
  readonly #planned: { readonly operation: "wrap" | "unwrap"; readonly alter: Alter }[] = [];

  #make(uri: string): MemoryMasterKey {
    const id = uri.slice("memory:".length);
    return memoryMasterKey(uri === ONE ? { id, key: this.masterBytes } : { id });
  }

  key(keyId: string): MemoryMasterKey {
    const found = this.keys.get(keyId === ALIAS ? this.alias : keyId);
    if (found === undefined) throw new KeyfoldError("ERR_MASTER_KEY_NOT_FOUND");
    return found;
  }

  get requests(): number {
    return [...this.keys.values()].reduce((sum, { calls }) => sum + calls.list.length, 0);
  }

  rotate(): void {
    this.rotations++;
    this.key(ONE).rotate();
  }

  /** Ends what is still waited for. */
  stop(): void {
    this.#stopped.abort();
  }

  /** The next reply to the operation is altered. */
  spoil(operation: "wrap" | "unwrap", alter: Alter): void {
    this.#planned.push({ operation, alter });
  }

  client(): CloudClient {
    return {
      encrypt: async (keyId, key, operation) => {
        const { masterKey, ciphertext } = await this.key(keyId).wrapKey(key, this.#until(operation));
        return this.#reply("wrap", { masterKey, bytes: new Uint8Array(ciphertext) });
      },
      decrypt: async (keyId, ciphertext, operation) => {
        const key = this.key(keyId);
        const wrapped: WrappedKey = { masterKey: key.masterKey, ciphertext };
        return this.#reply("unwrap", {
          masterKey: key.masterKey,
          bytes: await key.unwrapKey(wrapped, this.#until(operation)),
        });
      },
      close: () => {
        this.closed++;
      },
    };
  }

  #until({ context, signal }: KeyOperation): KeyOperation {
    return { context, signal: AbortSignal.any([signal, this.#stopped.signal]) };
  }

  #reply(operation: "wrap" | "unwrap", reply: Reply): Reply {
    const at = this.#planned.findIndex((planned) => planned.operation === operation);
    const [planned] = at < 0 ? [] : this.#planned.splice(at, 1);
    return planned === undefined ? reply : planned.alter(reply);
  }
}
