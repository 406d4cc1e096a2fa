/** Who called, and may give up: the caller's signal, on the way in and on the way out. */

import { KeyfoldError, requireArgument } from "./errors.ts";
import type { Asker } from "./provider-calls.ts";

export interface OperationOptions {
  /** Ends the operation for this caller with `ERR_ABORTED`; others who wait for the same key are not disturbed. */
  readonly signal?: AbortSignal | undefined;
}

/** Who asks for a key in the foreground. */
export function asker(options?: OperationOptions): Asker {
  return { signals: options?.signal === undefined ? [] : [options.signal] };
}

/** `ERR_ABORTED` if the signal of the options is; `ERR_INVALID_ARGUMENT` if it is no signal. */
export function requireNotAborted(options?: OperationOptions): void {
  const signal = options?.signal;
  if (signal === undefined) return;
  requireArgument(signal instanceof AbortSignal, "options.signal must be an AbortSignal.");
  if (signal.aborted) throw aborted(signal);
}

/** What the operation gives; where the caller's own signal ended it, `ERR_ABORTED` with the signal's reason as cause. */
export async function settle<T>(operation: Promise<T>, options?: OperationOptions): Promise<T> {
  try {
    return await operation;
  } catch (error) {
    if (options?.signal?.aborted && error === options.signal.reason) throw aborted(options.signal);
    throw error;
  }
}

/** `ERR_ABORTED`, with the signal's reason as its cause. */
export function aborted(signal: AbortSignal): KeyfoldError {
  return new KeyfoldError("ERR_ABORTED", undefined, { cause: signal.reason });
}
