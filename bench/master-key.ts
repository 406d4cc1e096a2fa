/** The master key of what is measured: a local one, so that no other code is in the process than in a user's. */

import { randomBytes } from "node:crypto";
import type { MasterKeyProvider } from "@keyfold/core";
import { envKey } from "@keyfold/local";

const VARIABLE = "KEYFOLD_BENCH_KEY";

/** The same key each time, of this process alone. */
export function masterKey(): MasterKeyProvider {
  process.env[VARIABLE] ??= randomBytes(32).toString("base64");
  return envKey(VARIABLE);
}
