/** One run of `secure-secrets migrate`: opens its files, lets the lines through, and says what became of them. */

import { createWriteStream } from "node:fs";
import { open } from "node:fs/promises";
import { resolve } from "node:path";
import { addAbortSignal, type Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Keyfold } from "@keyfold/core";
import { createMigration, type Migration, type MigrationOptions } from "../migration.ts";
import type { MigrateArguments } from "./arguments.ts";
import { type CommandIo, DONE, FAILED, SOME_REFUSED, wrongUsage } from "./io.ts";
import { continuedFile, linesDone, newFile } from "./output.ts";
import { outputLines, type Refusal, type RunReport } from "./output-lines.ts";
import { decimal, Progress } from "./progress.ts";

/** @returns the exit status */
export async function runWith(
  args: MigrateArguments,
  io: CommandIo,
  ways: MigrationOptions,
): Promise<number> {
  requireOtherPaths(args);
  const input = addAbortSignal(io.signal, await openInput(args.input, io));
  try {
    const output = await openOutput(args, io, ways.to);
    return await migrateLines({ args, io, input, output, migration: createMigration(ways) });
  } finally {
    input.destroy();
  }
}

interface Lines {
  readonly args: MigrateArguments;
  readonly io: CommandIo;
  readonly input: Readable;
  readonly output: Output;
  readonly migration: Migration;
}

async function migrateLines({ args, io, input, output, migration }: Lines): Promise<number> {
  const errors = args.errors === undefined ? undefined : createWriteStream(args.errors, { mode: 0o600 });
  const report = new Report(new Progress(io.stderr), errors);
  const run = { migration, input, context: args.context, done: output.done, signal: io.signal, report };
  let isOver = false;
  try {
    const writing = pipeline(outputLines(run), output.stream, { end: output.isFile });
    await Promise.all([writing.finally(() => errors?.end()), closed(errors)]);
    isOver = !io.signal.aborted;
  } finally {
    if (io.signal.aborted) report.say("Interrupted.");
    report.sum(args.resume);
    if (output.isFile && (!isOver || report.refusals > 0))
      report.say("The same command with --resume goes on.");
  }
  if (!isOver) return FAILED;
  return report.refusals > 0 ? SOME_REFUSED : DONE;
}

/** What has been done, in numbers and on stderr. */
class Report implements RunReport {
  readonly #progress: Progress;
  readonly #errors: Writable | undefined;
  #migrated = 0;
  #refused = 0;
  #skipped = 0;

  /** @param errors where the refusals go instead of stderr */
  constructor(progress: Progress, errors: Writable | undefined) {
    this.#progress = progress;
    this.#errors = errors;
  }

  get refusals(): number {
    return this.#refused;
  }

  migrated(): void {
    this.#progress.show(++this.#migrated);
  }

  skipped(): void {
    this.#skipped++;
  }

  refused(refusal: Refusal): void {
    this.#refused++;
    const { line, id, code, message } = refusal;
    if (this.#errors !== undefined) {
      this.#errors.write(`${JSON.stringify(refusal)}\n`);
      return;
    }
    const place = id === undefined ? `line ${line}` : `line ${line}, id ${JSON.stringify(id)}`;
    this.say(`${place}: ${code}: ${message}`);
  }

  say(line: string): void {
    this.#progress.say(line);
  }

  sum(withSkipped: boolean): void {
    const before = withSkipped ? `, ${decimal(this.#skipped)} done before` : "";
    this.say(`${decimal(this.#migrated)} migrated, ${decimal(this.#refused)} refused${before}.`);
  }
}

async function openInput(path: string | undefined, io: CommandIo): Promise<Readable> {
  return path === undefined ? io.stdin : (await open(path)).createReadStream();
}

interface Output {
  readonly stream: Writable;
  /** Names of what is in it already. */
  readonly done: ReadonlySet<string>;
  /** A file ends with the run, standard output does not. */
  readonly isFile: boolean;
}

async function openOutput(
  { output, resume }: MigrateArguments,
  io: CommandIo,
  keyfold: Keyfold,
): Promise<Output> {
  if (output === undefined) return { stream: io.stdout, done: new Set(), isFile: false };
  const before = resume ? await linesDone(output, keyfold) : undefined;
  if (before === undefined) return { stream: await newFile(output), done: new Set(), isFile: true };
  const stream = await continuedFile(output, before.wholeBytes);
  return { stream, done: before.names, isFile: true };
}

/** The file of errors is made anew: it must not be one of the others. */
function requireOtherPaths({ input, output, errors }: MigrateArguments): void {
  if (errors === undefined) return;
  const others = [input, output].filter((path) => path !== undefined).map((path) => resolve(path));
  if (others.includes(resolve(errors))) throw wrongUsage("--errors names the input or the output.");
}

/** Once a file is written, or the error that prevented it. */
function closed(stream: Writable | undefined): Promise<void> {
  return new Promise((done, fail) => {
    if (stream === undefined) return done();
    stream.once("error", fail);
    stream.once("close", () => done());
  });
}
