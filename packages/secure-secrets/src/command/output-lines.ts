/** One run of `secure-secrets migrate`: records in, envelopes out, and what is to be said about the others. */

import { type EncryptionContext, KeyfoldError, type KeyfoldErrorCode } from "@keyfold/core";
import type { Migration } from "../migration.ts";
import { type Line, linesOf } from "./lines.ts";
import { outputLine } from "./output.ts";
import { type InputRecord, nameOf, type RecordId, RefusedLine, recordOf } from "./records.ts";

/** Why a record has no envelope. */
export interface Refusal {
  readonly line: number;
  /** Where the line has one. */
  readonly id?: RecordId;
  readonly code: KeyfoldErrorCode;
  readonly message: string;
}

/** Hears what becomes of each record. */
export interface RunReport {
  migrated(): void;
  refused(refusal: Refusal): void;
  /** It was migrated by an earlier run. */
  skipped(): void;
}

export interface Run {
  readonly migration: Migration;
  readonly input: AsyncIterable<Uint8Array>;
  /** Of lines that bring none. */
  readonly context: EncryptionContext | undefined;
  /** Names of what an earlier run has migrated. */
  readonly done: ReadonlySet<string>;
  readonly signal: AbortSignal;
  readonly report: RunReport;
}

/** Failures of one record. Any other would be that of the next record, too, and ends the run. */
const OF_A_RECORD: readonly KeyfoldErrorCode[] = ["ERR_FERNET_INVALID", "ERR_INVALID_ARGUMENT"];

/** The lines of the output. Once the signal has aborted there are no more. @throws what ends the run */
export async function* outputLines(run: Run): AsyncGenerator<string, void, undefined> {
  const { migration, signal } = run;
  try {
    for await (const { record, ...result } of migration.migrateMany(recordsOf(run), { signal })) {
      if (result.ok) {
        yield outputLine(record.id, result.value);
        run.report.migrated();
      } else if (OF_A_RECORD.includes(result.error.code)) {
        const { code, message } = result.error;
        run.report.refused({ line: record.line, id: record.id, code, message });
      } else throw result.error;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** The records that are to be migrated: those of the input, less the refused lines and what is done. */
async function* recordsOf(run: Run): AsyncGenerator<InputRecord, void, undefined> {
  const seen = new Set<string>();
  for await (const line of linesOf(run.input)) {
    if (isBlank(line)) continue;
    const record = readRecord(run, line);
    if (record === undefined) continue;
    const name = nameOf(record.id);
    if (seen.has(name)) run.report.refused(refusalOf(line, "An earlier line has the same id.", record.id));
    else if (run.done.has(name)) run.report.skipped();
    else yield record;
    seen.add(name);
  }
}

function readRecord(run: Run, line: Line): InputRecord | undefined {
  try {
    return recordOf(line, run.context);
  } catch (error) {
    if (!(error instanceof RefusedLine)) throw error;
    run.report.refused(refusalOf(line, error.message));
    return undefined;
  }
}

function refusalOf({ number }: Line, detail: string, id?: RecordId): Refusal {
  const { code, message } = new KeyfoldError("ERR_INVALID_ARGUMENT", detail, { remedy: "" });
  return { line: number, ...(id === undefined ? {} : { id }), code, message };
}

function isBlank({ bytes }: Line): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}
