/** The KMS behind `memoryMasterKey`: one key with its versions, its state, who may use it, and what it was asked. */

import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
  randomFillSync,
} from "node:crypto";
import { type EncryptionContext, encodeContext, KeyfoldError, type KeyfoldErrorCode } from "@keyfold/core";
import { type Bytes, concat, copyOf, KEY_BYTES, promptly, rejected, takeBytes } from "@keyfold/core/provider";

/** What the key is asked for. */
export type MemoryOperation = "wrap" | "unwrap";

/** The codes that a KMS can fail with: what `fail` takes. */
export type MemoryFailure = Extract<KeyfoldErrorCode, `ERR_MASTER_KEY_${string}` | "ERR_CREDENTIALS">;

export interface MemoryFailOptions {
  /** How many calls fail; 1 by default, `Infinity` until `clear`. */
  readonly times?: number;
  /** Only calls of this operation; of both by default. */
  readonly operation?: MemoryOperation;
  /** The error's `retryAfter`, in milliseconds. */
  readonly retryAfter?: number;
}

/** A call that reached the key, whether or not it then failed. */
export interface MemoryCall {
  readonly operation: MemoryOperation;
  /** The KMS context that came with it. */
  readonly context: EncryptionContext;
}

const SCHEME = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const SEALED_AT: number = 1 + NONCE_BYTES;
const TAG_AT: number = SEALED_AT + KEY_BYTES;
const WRAP_BYTES: number = TAG_AT + TAG_BYTES;

interface Planned {
  readonly code: MemoryFailure;
  readonly operation: MemoryOperation | undefined;
  readonly retryAfter: number | undefined;
  left: number;
}

export class MemoryService {
  readonly masterKey: string;
  readonly authenticatesWraps: boolean;
  readonly calls: MemoryCall[] = [];
  readonly denied: Set<MemoryOperation> = new Set();
  enabled = true;
  delay = 0;
  /** The newest first: it wraps. */
  readonly #versions: KeyObject[];
  #planned: Planned[] = [];

  /** @param key 32 bytes, which stay the caller's */
  constructor(masterKey: string, authenticatesWraps: boolean, key: Uint8Array | undefined) {
    this.masterKey = masterKey;
    this.authenticatesWraps = authenticatesWraps;
    this.#versions = [key === undefined ? newKey() : takenKey(copyOf(key))];
  }

  rotate(): void {
    this.#versions.unshift(newKey());
  }

  plan(code: MemoryFailure, { times = 1, operation, retryAfter }: MemoryFailOptions): void {
    this.#planned.push({ code, operation, retryAfter, left: times });
  }

  clear(): void {
    this.#planned = [];
  }

  async wrap(key: Uint8Array, context: EncryptionContext, signal: AbortSignal): Promise<Bytes> {
    const plain = copyOf(key);
    try {
      const encoded = encodeContext(context);
      await this.#admit("wrap", context, signal);
      return seal(this.#newest(), plain, encoded);
    } finally {
      plain.fill(0);
    }
  }

  async unwrap(ciphertext: Uint8Array, context: EncryptionContext, signal: AbortSignal): Promise<Bytes> {
    const wrap = copyOf(ciphertext);
    const encoded = encodeContext(context);
    await this.#admit("unwrap", context, signal);
    if (wrap.length !== WRAP_BYTES || wrap[0] !== SCHEME) {
      throw rejected(
        `A wrap under ${this.masterKey} is ${WRAP_BYTES} bytes that begin with 01; this one is not.`,
        serviceError("invalid ciphertext"),
      );
    }
    return this.#open(wrap, encoded);
  }

  /** Notes the call, and lets it through or fails it, in the order of a real service: reach, permission, state. */
  async #admit(operation: MemoryOperation, context: EncryptionContext, signal: AbortSignal): Promise<void> {
    this.calls.push({ operation, context: Object.freeze({ ...context }) });
    const planned = this.#takePlanned(operation);
    if (this.delay > 0) await pause(this.delay, signal);
    if (planned !== undefined) throw plannedError(planned);
    if (this.denied.has(operation))
      throw refused("ERR_MASTER_KEY_DENIED", `permission to ${operation} denied`);
    if (!this.enabled) throw refused("ERR_MASTER_KEY_DISABLED", "the key is disabled");
  }

  #takePlanned(operation: MemoryOperation): Planned | undefined {
    const next = this.#planned.find((planned) => (planned.operation ?? operation) === operation);
    if (next === undefined) return undefined;
    next.left--;
    if (next.left <= 0) this.#planned = this.#planned.filter((planned) => planned !== next);
    return next;
  }

  #newest(): KeyObject {
    const [newest] = this.#versions;
    if (newest === undefined) throw new Error("A key has at least one version.");
    return newest;
  }

  #open(wrap: Bytes, context: Bytes): Bytes {
    let cause: unknown;
    for (const version of this.#versions) {
      try {
        return open(version, wrap, context);
      } catch (error) {
        cause = error;
      }
    }
    throw rejected(
      `The wrap does not authenticate under ${this.masterKey} and this KMS context, in no version of the key.`,
      cause,
    );
  }
}

function newKey(): KeyObject {
  return takenKey(randomFillSync(new Uint8Array(KEY_BYTES)));
}

function takenKey(bytes: Bytes): KeyObject {
  const key = createSecretKey(bytes);
  bytes.fill(0);
  return key;
}

function seal(key: KeyObject, plain: Bytes, context: Bytes): Bytes {
  const nonce = randomFillSync(new Uint8Array(NONCE_BYTES));
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(context);
  return concat(Uint8Array.of(SCHEME), nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag());
}

/** Throws Node's error where the tag does not fit. */
function open(key: KeyObject, wrap: Bytes, context: Bytes): Bytes {
  const nonce = wrap.subarray(1, SEALED_AT);
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(context);
  decipher.setAuthTag(wrap.subarray(TAG_AT));
  const plain = takeBytes(decipher.update(wrap.subarray(SEALED_AT, TAG_AT)));
  try {
    decipher.final();
    return plain;
  } catch (error) {
    plain.fill(0);
    throw error;
  }
}

/** On the global timers, so that a test that fakes them moves this too. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  return promptly(promise, signal).finally(() => clearTimeout(timer));
}

function plannedError({ code, retryAfter }: Planned): KeyfoldError {
  const cause = serviceError(`told to fail with ${code}`);
  return new KeyfoldError(code, undefined, retryAfter === undefined ? { cause } : { cause, retryAfter });
}

function refused(code: MemoryFailure, what: string): KeyfoldError {
  return new KeyfoldError(code, undefined, { cause: serviceError(what) });
}

/** What an SDK's error is to a real provider. */
function serviceError(what: string): Error {
  return new Error(`In-memory KMS: ${what}`);
}
