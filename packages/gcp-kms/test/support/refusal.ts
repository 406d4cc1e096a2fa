/** The error that a refusal must be. */

import { KeyfoldError } from "@keyfold/core";

export async function rejectionOf(promise: Promise<unknown>): Promise<KeyfoldError> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  return keyfoldError(outcome);
}

export function refusalOf(call: () => unknown): KeyfoldError {
  try {
    call();
  } catch (error) {
    return keyfoldError(error);
  }
  return keyfoldError(undefined);
}

function keyfoldError(outcome: unknown): KeyfoldError {
  if (outcome instanceof KeyfoldError) return outcome;
  throw new Error("It was not refused with a KeyfoldError.", { cause: outcome });
}
