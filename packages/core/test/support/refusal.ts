import { KeyfoldError, type KeyfoldErrorCode } from "../../src/errors.ts";

/** The `KeyfoldError` that `action` throws. Any other error goes on, and none at all is an error too. */
export function refusalOf(action: () => unknown): KeyfoldError {
  try {
    action();
  } catch (error) {
    if (error instanceof KeyfoldError) return error;
    throw error;
  }
  throw new Error("Nothing was thrown, where a refusal was expected.");
}

/** The code that `action` is refused with. */
export function codeOf(action: () => unknown): KeyfoldErrorCode {
  return refusalOf(action).code;
}
