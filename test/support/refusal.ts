import { KeyfoldError } from "@keyfold/core";

/** The `KeyfoldError` that `action` throws. Any other error goes on, and none at all is an error too. */
export function refusalOf(action: () => unknown): KeyfoldError {
  try {
    action();
  } catch (error) {
    return known(error);
  }
  throw new Error("Nothing was thrown, where a refusal was expected.");
}

/** The same of a promise. */
export async function rejectionOf(promise: Promise<unknown>): Promise<KeyfoldError> {
  try {
    await promise;
  } catch (error) {
    return known(error);
  }
  throw new Error("Nothing was rejected, where a refusal was expected.");
}

function known(error: unknown): KeyfoldError {
  if (error instanceof KeyfoldError) return error;
  throw error;
}
