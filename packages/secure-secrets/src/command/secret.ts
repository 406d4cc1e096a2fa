/** The old master secret, from where the arguments say. No message repeats what they say: it may be the secret itself. */

import { readFile } from "node:fs/promises";
import type { MigrateArguments } from "./arguments.ts";
import { type CommandIo, wrongUsage } from "./io.ts";

/** @throws `CommandError` of wrong usage */
export async function readMasterSecret(
  from: MigrateArguments["masterSecret"],
  env: CommandIo["env"],
): Promise<string | Uint8Array> {
  if ("file" in from) return readSecretFile(from.file);
  const secret = env[from.env];
  if (secret === undefined || secret === "") {
    throw wrongUsage(
      "There is no old master key: set SECURE_SECRETS_MASTER_KEY, or the variable that --master-secret-env names.",
    );
  }
  return secret;
}

/** Bytes of the file, less the line break that an editor leaves at the end. */
async function readSecretFile(path: string): Promise<Uint8Array> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    throw wrongUsage(`The file that --master-secret-file names cannot be read (${error.code}).`);
  }
  const end = /\r?\n$/.exec(bytes.toString("latin1").slice(-2))?.[0].length ?? 0;
  return bytes.subarray(0, bytes.length - end);
}
