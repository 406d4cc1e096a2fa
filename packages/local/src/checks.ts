/** What more than one file here checks, each with its code. */

import { KeyfoldError } from "@keyfold/core";
import { requireArgument } from "@keyfold/core/provider";

export function requirePath(path: unknown): asserts path is string {
  requireArgument(
    typeof path === "string" && path !== "" && !path.includes("\0"),
    "The path of a key file must be a string that is not empty.",
  );
}

/** `detail` says what is wrong and how to mend it, so no general remedy follows. */
export function keyFileError(detail: string, cause?: unknown): KeyfoldError {
  return new KeyfoldError("ERR_KEY_FILE", detail, { remedy: "", ...(cause === undefined ? {} : { cause }) });
}
