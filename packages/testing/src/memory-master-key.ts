/** A master key in memory, for tests of programs that use keyfold: a KMS that costs nothing and fails on demand. */

import { randomFillSync } from "node:crypto";
import type { KeyOperation, MasterKeyProvider, WrappedKey } from "@keyfold/core";
import {
  type Bytes,
  KEY_BYTES,
  rejected,
  requireArgument,
  requireKey,
  requireNotAborted,
  requireOpen,
  requireOptions,
} from "@keyfold/core/provider";
import {
  type MemoryCall,
  type MemoryFailOptions,
  type MemoryFailure,
  type MemoryOperation,
  MemoryService,
} from "./memory-service.ts";

export type { MemoryCall, MemoryFailOptions, MemoryFailure, MemoryOperation } from "./memory-service.ts";

export interface MemoryMasterKeyOptions {
  /** What stands behind `memory:` in its URI, 1 to 1,000 characters of `!` to `~`; 32 random hex digits by default. */
  readonly id?: string;
  /** The key's first version: 32 bytes, which are copied. Random by default; give it to open what an earlier run sealed. */
  readonly key?: Uint8Array;
  /** What the provider says of itself; true by default. With false it plays an RSA key, whose wraps keyfold does not trust. */
  readonly authenticatesWraps?: boolean;
}

export interface MemoryCalls {
  readonly wraps: number;
  readonly unwraps: number;
  /** All of them, the oldest first. */
  readonly list: readonly MemoryCall[];
}

/** A master key in memory, and its levers. They act on the key, so on every provider that `reopen` made of it as well. */
export interface MemoryMasterKey extends MasterKeyProvider {
  /** `memory:` and the id: the URI of its wraps, before and after a rotation. */
  readonly masterKey: string;
  /** The calls so far: a copy. Refused arguments, aborted signals and wraps of other keys are none. */
  readonly calls: MemoryCalls;
  /**
   * Makes the next calls fail with `code`. Failures that were asked for one after the other come in that order.
   *
   * @throws `ERR_INVALID_ARGUMENT` for a code that no KMS causes, or a wrong option
   */
  fail(code: MemoryFailure, options?: MemoryFailOptions): void;
  /** Forgets the failures that are still to come. */
  clear(): void;
  /** From now on every call takes so many milliseconds, on the global `setTimeout`; 0 ends that. An abort still rejects at once. */
  delay(ms: number): void;
  /** Takes the permission for an operation away, or for both: `ERR_MASTER_KEY_DENIED`. */
  deny(operation?: MemoryOperation): void;
  /** Gives the permission back. */
  allow(operation?: MemoryOperation): void;
  /** Every call is `ERR_MASTER_KEY_DISABLED`, until `enable`. */
  disable(): void;
  enable(): void;
  /** Makes a new version, which wraps from now on; the older ones still unwrap. The URI stays, as it does in AWS KMS and Cloud KMS. */
  rotate(): void;
  /** Another provider for the same key, as another process has it: open, also when this one was closed. */
  reopen(): MemoryMasterKey;
  /** Closes this provider: its calls are `ERR_CLOSED` then. The key lives on in those that `reopen` gives. */
  close(): Promise<void>;
}

const URI = "memory:";
const ID = /^[!-~]{1,1000}$/;
const OPERATIONS: readonly MemoryOperation[] = ["wrap", "unwrap"];

const FAILURES: Readonly<Record<MemoryFailure, true>> = {
  ERR_MASTER_KEY_DENIED: true,
  ERR_MASTER_KEY_NOT_FOUND: true,
  ERR_MASTER_KEY_DISABLED: true,
  ERR_MASTER_KEY_THROTTLED: true,
  ERR_MASTER_KEY_UNAVAILABLE: true,
  ERR_MASTER_KEY_REJECTED: true,
  ERR_MASTER_KEY_BAD_REPLY: true,
  ERR_CREDENTIALS: true,
};

/**
 * A master key that lives in this process: a KMS for tests, with no network, no credentials and nothing to install. It
 * really encrypts (AES-256-GCM, NIST SP 800-38D, the KMS context as additional authenticated data) and is as strict as
 * the services: a wrong context, a changed byte, a disabled key or a missing permission fails with the code that the
 * real providers give. Where their errors have the SDK's as `cause`, these have one as well.
 *
 * A wrap is 61 bytes: 01 ‖ nonce 12 ‖ ciphertext and tag 48. The key is gone with the process: not for production.
 *
 * ```ts
 * const masterKey = memoryMasterKey();
 * masterKey.fail("ERR_MASTER_KEY_THROTTLED", { times: 2 });
 * ```
 *
 * | code | when |
 * | --- | --- |
 * | `ERR_MASTER_KEY_REJECTED` | another key's wrap, another context, or an altered wrap |
 * | `ERR_MASTER_KEY_DENIED`, `ERR_MASTER_KEY_DISABLED` | after `deny`, after `disable` |
 * | whatever `fail` was given | after `fail` |
 * | `ERR_INVALID_ARGUMENT` | the key to be wrapped is not 32 bytes |
 * | `ERR_ABORTED`, `ERR_CLOSED` | as in `MasterKeyProvider` |
 *
 * @throws `ERR_INVALID_ARGUMENT` for an option that is not of its kind or does not exist
 */
export function memoryMasterKey(options: MemoryMasterKeyOptions = {}): MemoryMasterKey {
  requireOptions(options, ["id", "key", "authenticatesWraps"], "memoryMasterKey");
  const { id = randomId(), key, authenticatesWraps = true } = options;
  requireArgument(typeof id === "string" && ID.test(id), "id must be 1 to 1,000 characters of ! to ~.");
  if (key !== undefined) requireKeyOption(key);
  requireArgument(typeof authenticatesWraps === "boolean", "authenticatesWraps must be true or false.");
  return new Opened(new MemoryService(`${URI}${id}`, authenticatesWraps, key));
}

class Opened implements MemoryMasterKey {
  readonly name: string;
  readonly masterKey: string;
  readonly authenticatesWraps: boolean;
  readonly #service: MemoryService;
  /** Undefined once this provider, not the key, was closed. */
  #open: MemoryService | undefined;

  constructor(service: MemoryService) {
    this.name = service.masterKey;
    this.masterKey = service.masterKey;
    this.authenticatesWraps = service.authenticatesWraps;
    this.#service = service;
    this.#open = service;
  }

  recognizes(masterKey: string): boolean {
    return masterKey === this.masterKey;
  }

  async wrapKey(key: Uint8Array, { context, signal }: KeyOperation): Promise<WrappedKey> {
    requireKey(key);
    const service = requireOpen(this.#open, this.name);
    requireNotAborted(signal);
    return { masterKey: this.masterKey, ciphertext: await service.wrap(key, context, signal) };
  }

  async unwrapKey({ masterKey, ciphertext }: WrappedKey, { context, signal }: KeyOperation): Promise<Bytes> {
    const service = requireOpen(this.#open, this.name);
    requireNotAborted(signal);
    if (masterKey !== this.masterKey) throw rejected(`The master key ${this.name} is not ${masterKey}.`);
    return service.unwrap(ciphertext, context, signal);
  }

  get calls(): MemoryCalls {
    const list = [...this.#service.calls];
    const wraps = list.filter(({ operation }) => operation === "wrap").length;
    return { wraps, unwraps: list.length - wraps, list };
  }

  fail(code: MemoryFailure, options: MemoryFailOptions = {}): void {
    requireArgument(
      Object.hasOwn(FAILURES, code),
      `fail takes a code that a KMS causes: ${Object.keys(FAILURES).join(", ")}.`,
    );
    requireFailOptions(options);
    this.#service.plan(code, options);
  }

  clear(): void {
    this.#service.clear();
  }

  delay(ms: number): void {
    requireMilliseconds(ms, "delay");
    this.#service.delay = ms;
  }

  deny(operation?: MemoryOperation): void {
    for (const each of operationsOf(operation)) this.#service.denied.add(each);
  }

  allow(operation?: MemoryOperation): void {
    for (const each of operationsOf(operation)) this.#service.denied.delete(each);
  }

  disable(): void {
    this.#service.enabled = false;
  }

  enable(): void {
    this.#service.enabled = true;
  }

  rotate(): void {
    this.#service.rotate();
  }

  reopen(): MemoryMasterKey {
    return new Opened(this.#service);
  }

  async close(): Promise<void> {
    this.#open = undefined;
  }
}

function randomId(): string {
  return Buffer.from(randomFillSync(new Uint8Array(16))).toString("hex");
}

function requireKeyOption(key: unknown): void {
  requireArgument(
    key instanceof Uint8Array && key.length === KEY_BYTES,
    `key must be ${KEY_BYTES} bytes in a Uint8Array.`,
  );
}

function requireFailOptions(options: MemoryFailOptions): void {
  requireOptions(options, ["times", "operation", "retryAfter"], "fail");
  const { times = 1, operation, retryAfter = 0 } = options;
  requireArgument(
    times === Number.POSITIVE_INFINITY || (Number.isSafeInteger(times) && times > 0),
    "times must be a whole number from 1, or Infinity.",
  );
  operationsOf(operation);
  requireMilliseconds(retryAfter, "retryAfter");
}

function requireMilliseconds(ms: number, what: string): void {
  requireArgument(Number.isFinite(ms) && ms >= 0, `${what} must be a number of milliseconds from 0.`);
}

function operationsOf(operation: MemoryOperation | undefined): readonly MemoryOperation[] {
  if (operation === undefined) return OPERATIONS;
  requireArgument(OPERATIONS.includes(operation), 'An operation is "wrap" or "unwrap".');
  return [operation];
}
