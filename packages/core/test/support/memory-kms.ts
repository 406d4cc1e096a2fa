import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { encodeContext } from "../../src/context.ts";
import { KeyfoldError, type KeyfoldErrorCode } from "../../src/errors.ts";
import type { KeyOperation, MasterKeyProvider, WrappedKey } from "../../src/master-key.ts";

export interface MemoryKmsOptions {
  readonly authenticatesWraps?: boolean;
  /** The AES key behind it; two providers with one URI and one key stand for one master key. */
  readonly key?: Buffer;
  /** Which wraps it takes for its own, as one that was configured by an alias does; by default its URI's alone. */
  readonly recognizes?: (masterKey: string) => boolean;
}

/** A KMS in this process that counts its calls and fails on demand. */
export class MemoryKms implements MasterKeyProvider {
  readonly name: string;
  readonly uri: string;
  readonly authenticatesWraps: boolean;
  readonly key: Buffer;
  wraps = 0;
  unwraps = 0;
  /** The URIs of the wraps that it was asked to unwrap, in order. */
  readonly asked: string[] = [];
  /** What every call fails with, while it is set. */
  failing: KeyfoldErrorCode | undefined;
  /** Runs before an answer; an answer waits for it. */
  before: ((operation: KeyOperation) => Promise<void> | void) | undefined;
  readonly #recognizes: (masterKey: string) => boolean;

  constructor(
    uri = "memory:one",
    { authenticatesWraps = true, key = randomBytes(32), recognizes }: MemoryKmsOptions = {},
  ) {
    this.name = uri;
    this.uri = uri;
    this.authenticatesWraps = authenticatesWraps;
    this.key = key;
    this.#recognizes = recognizes ?? ((masterKey) => masterKey === uri);
  }

  recognizes(masterKey: string): boolean {
    return this.#recognizes(masterKey);
  }

  async wrapKey(key: Uint8Array, operation: KeyOperation): Promise<WrappedKey> {
    this.wraps++;
    await this.#answer(operation);
    const nonce = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", this.key, nonce);
    cipher.setAAD(encodeContext(operation.context));
    const sealed = Buffer.concat([cipher.update(key), cipher.final(), cipher.getAuthTag()]);
    return { masterKey: this.uri, ciphertext: Buffer.concat([nonce, sealed]) };
  }

  async unwrapKey(
    { masterKey, ciphertext }: WrappedKey,
    operation: KeyOperation,
  ): Promise<Uint8Array<ArrayBuffer>> {
    this.unwraps++;
    this.asked.push(masterKey);
    await this.#answer(operation);
    if (ciphertext.length < 28) throw new KeyfoldError("ERR_MASTER_KEY_REJECTED");
    const decipher = createDecipheriv("aes-256-gcm", this.key, ciphertext.subarray(0, 12));
    decipher.setAAD(encodeContext(operation.context));
    decipher.setAuthTag(ciphertext.subarray(-16));
    const key = decipher.update(ciphertext.subarray(12, -16));
    try {
      decipher.final();
    } catch (cause) {
      throw new KeyfoldError("ERR_MASTER_KEY_REJECTED", undefined, { cause });
    }
    return new Uint8Array(key);
  }

  async #answer(operation: KeyOperation): Promise<void> {
    await this.before?.(operation);
    operation.signal.throwIfAborted();
    if (this.failing !== undefined) throw new KeyfoldError(this.failing);
  }
}
