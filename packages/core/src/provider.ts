/** `@keyfold/core/provider`: what a master-key provider is made of, so that each writes only what is its service's own. */

import { type Bytes, copyOf } from "./bytes.ts";
import { aborted, settle } from "./callers.ts";
import { promptly as orReason } from "./clock.ts";
import { KeyfoldError, requireArgument } from "./errors.ts";
import { KEY_BYTES } from "./key-hierarchy.ts";

export { type Bytes, concat, copyOf, equalBytes } from "./bytes.ts";
export { aborted } from "./callers.ts";
export { requireArgument } from "./errors.ts";
export { KEY_BYTES } from "./key-hierarchy.ts";
export { Lazy } from "./lazy.ts";
export { requireOptions } from "./option-checks.ts";
export { importPackage, type MasterKeyUri, parseMasterKeyUri, percentDecoded } from "./uri.ts";

/** A key to be wrapped: exactly 32 bytes, or `ERR_INVALID_ARGUMENT`. */
export function requireKey(key: unknown): asserts key is Uint8Array {
  requireArgument(
    key instanceof Uint8Array && key.length === KEY_BYTES,
    `The key to be wrapped must be ${KEY_BYTES} bytes in a Uint8Array.`,
  );
}

/** What `close` takes away: `ERR_CLOSED` once it is gone. */
export function requireOpen<T>(held: T | undefined, name: string): T {
  if (held === undefined) throw new KeyfoldError("ERR_CLOSED", `The master key ${name} was closed.`);
  return held;
}

/** `ERR_ABORTED` if the signal is. */
export function requireNotAborted(signal: AbortSignal): void {
  if (signal.aborted) throw aborted(signal);
}

/** `ERR_MASTER_KEY_REJECTED`: not this key, this context, or this ciphertext. */
export function rejected(detail: string, cause?: unknown): KeyfoldError {
  return new KeyfoldError("ERR_MASTER_KEY_REJECTED", detail, cause === undefined ? {} : { cause });
}

/** `ERR_MASTER_KEY_BAD_REPLY`: the service's answer fails a check. */
export function badReply(detail: string, cause?: unknown): KeyfoldError {
  return new KeyfoldError("ERR_MASTER_KEY_BAD_REPLY", detail, cause === undefined ? {} : { cause });
}

/** What `promise` gives, or `ERR_ABORTED` as soon as the signal aborts; the promise then settles unobserved. */
export function promptly<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return settle(orReason(promise, signal), { signal });
}

/** Bytes out of an SDK's hands: a copy in memory of its own, while the SDK's, in Node's shared pool as a rule, are wiped. */
export function takeBytes(bytes: Uint8Array): Bytes {
  const taken = copyOf(bytes);
  bytes.fill(0);
  return taken;
}

/**
 * A Retry-After header (RFC 9110, section 10.2.3) in milliseconds from now: whole seconds, or a date.
 *
 * @returns undefined where there is none, or one that is neither
 */
export function retryAfterMs(value: string | null | undefined, now: number = Date.now()): number | undefined {
  const text = value?.trim() ?? "";
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  const date = /[A-Za-z]/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
