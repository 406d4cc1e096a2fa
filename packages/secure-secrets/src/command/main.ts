/** `secure-secrets`: the command, from its arguments to its exit status. */

import { createKeyfold, type Keyfold, KeyfoldError, masterKeysFromUri } from "@keyfold/core";
import { createKeyManagement, type KeyManagement } from "../key-management.ts";
import { type MigrateArguments, readArguments } from "./arguments.ts";
import { HELP } from "./help.ts";
import { CommandError, type CommandIo, DONE, FAILED, wrongUsage } from "./io.ts";
import { runWith } from "./run.ts";
import { readMasterSecret } from "./secret.ts";

/** Runs the command. Never throws: what went wrong is on stderr, and in the status. */
export async function main(io: CommandIo): Promise<number> {
  try {
    const args = readArguments(io.args);
    if (args !== "help") return await migrate(args, io);
    io.stdout.write(HELP);
    return DONE;
  } catch (error) {
    io.stderr.write(`secure-secrets: ${messageOf(error)}\n`);
    return error instanceof CommandError ? error.status : FAILED;
  }
}

async function migrate(args: MigrateArguments, io: CommandIo): Promise<number> {
  const uris = io.env["KEYFOLD_MASTER_KEY"];
  if (uris === undefined) throw wrongUsage("The variable KEYFOLD_MASTER_KEY is not set.");
  const masterSecret = await readMasterSecret(args.masterSecret, io.env);
  const masterKeys = await masterKeysFromUri(uris);
  const opened: { close(): Promise<void> }[] = [];
  try {
    const from: KeyManagement = createKeyManagement({ project: args.project, masterSecret });
    opened.push(from);
    const to: Keyfold = createKeyfold({ project: args.keyfoldProject, masterKeys });
    opened.push(to);
    return await runWith(args, io, { from, to });
  } finally {
    await Promise.all([...opened, ...masterKeys].map((each) => each.close?.()));
  }
}

function messageOf(error: unknown): string {
  if (error instanceof KeyfoldError) return `${error.code}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}
