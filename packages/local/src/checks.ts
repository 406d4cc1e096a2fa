/** What every factory and method checks before it works, each with its code. */

import { KeyfoldError } from "@keyfold/core";

/** Bytes of every key here: a master key, a derived key, a key that is wrapped. */
export const KEY_BYTES = 32;

/** Throws `ERR_INVALID_ARGUMENT` with `detail` unless `condition` holds. */
export function requireArgument(condition: boolean, detail: string): asserts condition {
  if (!condition) throw new KeyfoldError("ERR_INVALID_ARGUMENT", detail);
}

/** Refuses what is not an object of the options `known`: a misspelt option must not be a silent default. */
export function requireOptions(options: unknown, known: readonly string[], factory: string): void {
  requireArgument(
    typeof options === "object" && options !== null,
    `The options of ${factory} must be an object.`,
  );
  for (const name of Object.keys(options)) {
    requireArgument(
      known.includes(name),
      `${factory} has no option "${name}". Its options: ${known.join(", ")}.`,
    );
  }
}

export function requirePath(path: unknown): asserts path is string {
  requireArgument(
    typeof path === "string" && path !== "" && !path.includes("\0"),
    "The path of a key file must be a string that is not empty.",
  );
}

/** A key to be wrapped: exactly 32 bytes. */
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

export function requireNotAborted(signal: AbortSignal): void {
  if (signal.aborted) throw aborted(signal);
}

export function aborted(signal: AbortSignal): KeyfoldError {
  return new KeyfoldError("ERR_ABORTED", undefined, { cause: signal.reason });
}

export function rejected(detail: string, cause?: unknown): KeyfoldError {
  return new KeyfoldError("ERR_MASTER_KEY_REJECTED", detail, cause === undefined ? {} : { cause });
}

/** `detail` says what is wrong and how to mend it, so no general remedy follows. */
export function keyFileError(detail: string, cause?: unknown): KeyfoldError {
  return new KeyfoldError("ERR_KEY_FILE", detail, { remedy: "", ...(cause === undefined ? {} : { cause }) });
}
