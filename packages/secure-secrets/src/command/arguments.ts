/** The command line of `secure-secrets migrate`, checked. */

import { parseArgs } from "node:util";
import type { EncryptionContext } from "@keyfold/core";
import { wrongUsage } from "./io.ts";

export interface MigrateArguments {
  /** Path of the input, undefined for standard input. */
  readonly input: string | undefined;
  readonly project: string;
  readonly keyfoldProject: string;
  /** The name of a variable, or the path of a file, that holds the old master secret. */
  readonly masterSecret: { readonly env: string } | { readonly file: string };
  /** The context of lines that bring none, "{id}" in it; undefined where such lines are refused. */
  readonly context: EncryptionContext | undefined;
  readonly output: string | undefined;
  readonly resume: boolean;
  readonly errors: string | undefined;
}

const options = {
  project: { type: "string" },
  "keyfold-project": { type: "string" },
  context: { type: "string", multiple: true },
  "no-context": { type: "boolean" },
  "master-secret-env": { type: "string" },
  "master-secret-file": { type: "string" },
  output: { type: "string", short: "o" },
  resume: { type: "boolean" },
  errors: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

/** What the arguments say, or "help". @throws `CommandError` of wrong usage, which repeats no value */
export function readArguments(args: readonly string[]): MigrateArguments | "help" {
  const { values, positionals } = parsed(args);
  if (values.help === true) return "help";
  const [command, input, ...more] = positionals;
  if (command !== "migrate") throw wrongUsage('The only command is "migrate".');
  if (more.length > 0) throw wrongUsage("Only one input file can be given.");
  if (values.project === undefined) throw wrongUsage("--project is missing.");
  if (values.resume === true && values.output === undefined) throw wrongUsage("--resume needs --output.");
  return {
    input: input === "-" ? undefined : input,
    project: values.project,
    keyfoldProject: values["keyfold-project"] ?? values.project,
    masterSecret: masterSecret(values["master-secret-env"], values["master-secret-file"]),
    context: context(values.context, values["no-context"] === true),
    output: values.output,
    resume: values.resume === true,
    errors: values.errors,
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    if (!(error instanceof TypeError && "code" in error)) throw error;
    throw wrongUsage(error.message);
  }
}

function masterSecret(env: string | undefined, file: string | undefined): MigrateArguments["masterSecret"] {
  if (env !== undefined && file !== undefined) {
    throw wrongUsage("--master-secret-env and --master-secret-file exclude each other.");
  }
  return file === undefined ? { env: env ?? "SECURE_SECRETS_MASTER_KEY" } : { file };
}

function context(pairs: readonly string[] | undefined, none: boolean): EncryptionContext | undefined {
  if (pairs === undefined) return none ? {} : undefined;
  if (none) throw wrongUsage("--context and --no-context exclude each other.");
  const entries = pairs.map((pair): [string, string] => {
    const at = pair.indexOf("=");
    if (at < 1) throw wrongUsage("--context is KEY=VALUE.");
    return [pair.slice(0, at), pair.slice(at + 1)];
  });
  if (new Set(entries.map(([key]) => key)).size < entries.length) {
    throw wrongUsage("--context gives a key twice.");
  }
  return Object.fromEntries(entries);
}
