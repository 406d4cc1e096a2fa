/** What the tests of behaviour have in common: a keyfold in a line, its refusals, and master keys that wait or are watched. */

import { type Bytes, concat } from "../../src/bytes.ts";
import { decodeHeader, encodeHeaderPrefix, type HeaderPrefix } from "../../src/envelope.ts";
import { KeyfoldError } from "../../src/errors.ts";
import { createKeyfold, type Keyfold } from "../../src/keyfold.ts";
import type { KeyOperation, WrappedKey } from "../../src/master-key.ts";
import type { KeyfoldOptions } from "../../src/options.ts";
import { MemoryKms } from "./memory-kms.ts";

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

export const context = { name: "db_password" };

/** A keyfold of the project "test", which stands for a process of its own: it shares no key with another. */
export function keyfoldWith(options: Omit<KeyfoldOptions, "project"> & { project?: string }): Keyfold {
  return createKeyfold({ project: "test", ...options });
}

/** An envelope that a process of its own sealed under these master keys. */
export function sealedBy(masterKeys: MemoryKms | readonly MemoryKms[], plaintext = "secret"): Promise<Bytes> {
  return keyfoldWith({ masterKeys }).seal(plaintext, context);
}

/** The `KeyfoldError` that `promise` rejects with. Any other error goes on, and none at all is an error too. */
export async function rejection(promise: Promise<unknown>): Promise<KeyfoldError> {
  const result = await promise.then(
    () => "nothing",
    (error: unknown) => error,
  );
  if (result instanceof KeyfoldError) return result;
  throw result === "nothing" ? new Error("It was not refused.") : result;
}

/** Whether a promise has settled; to be read after the clock was moved. */
export function watch(promise: Promise<unknown>): { settled: boolean } {
  const watched = { settled: false };
  const settle = () => {
    watched.settled = true;
  };
  promise.then(settle, settle);
  return watched;
}

/** The error, its cause, the cause of that, and so on. */
export function causes(error: unknown): unknown[] {
  return error instanceof Error ? [error, ...causes(error.cause)] : [];
}

/** The envelope with another header before the same nonce, sealed DEK and message. */
export function withHeader(envelope: Uint8Array, change: Partial<HeaderPrefix>): Bytes {
  const header = decodeHeader(envelope);
  return concat(encodeHeaderPrefix({ ...header, ...change }), envelope.subarray(header.aad.length));
}

/** The wraps that an envelope carries. */
export function wrapsOf(envelope: Uint8Array): readonly WrappedKey[] {
  return decodeHeader(envelope).wraps;
}

/** What waits until a test lets it go on. */
export class Gate {
  readonly #gate = Promise.withResolvers<void>();
  readonly opened: Promise<void> = this.#gate.promise;
  open(): void {
    this.#gate.resolve();
  }
}

/** For `before` of a `MemoryKms`: no answer, ever, whatever its signal says. */
export function silence(): Promise<void> {
  return new Promise(() => {});
}

/** A `MemoryKms` that keeps hold of the very arrays that keyfold lent to it and that it gave to keyfold, and of their content. */
export class SpyKms extends MemoryKms {
  readonly lent: Uint8Array[] = [];
  readonly given: Uint8Array[] = [];
  readonly keys: Uint8Array[] = [];

  override wrapKey(key: Uint8Array, operation: KeyOperation): Promise<WrappedKey> {
    this.lent.push(key);
    this.keys.push(key.slice());
    return super.wrapKey(key, operation);
  }

  override async unwrapKey(wrapped: WrappedKey, operation: KeyOperation): Promise<Bytes> {
    const key = await super.unwrapKey(wrapped, operation);
    this.given.push(key);
    this.keys.push(key.slice());
    return key;
  }
}
