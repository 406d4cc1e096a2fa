/** From the Python program's three columns to one keyfold envelope. */

import {
  type EncryptionContext,
  type Items,
  type Keyfold,
  KeyfoldError,
  type ManyResult,
} from "@keyfold/core";
import { promptly, requireArgument, requireOptions } from "@keyfold/core/provider";
import type { Fernet } from "./fernet.ts";
import type { KeyManagement } from "./key-management.ts";
import { saltOf } from "./salt.ts";
import { inOrder } from "./window.ts";

const DEFAULT_CONCURRENCY = 16;
const MOST_CONCURRENCY = 1_000;

/** What the Python program stores of a secret, and what its envelope is to be bound to. */
export interface SecretRecord {
  /** `encrypted_dek`: a token, as text or as its ASCII bytes. */
  readonly encryptedDek: string | Uint8Array;
  /** 16 bytes, or their base64, base64url or hex. */
  readonly salt: string | Uint8Array;
  /** What `encrypt_data` gave: a token, as text or as its ASCII bytes. */
  readonly encryptedSecret: string | Uint8Array;
  /** The encryption context of the envelope, needed again to open it; `{}` says that there is none. */
  readonly context: EncryptionContext;
}

export interface MigrationOptions {
  /** Reads the old records. */
  readonly from: KeyManagement;
  /** Seals them anew. */
  readonly to: Keyfold;
}

export interface MigrateOptions {
  /** Ends the operation with `ERR_ABORTED`. */
  readonly signal?: AbortSignal | undefined;
}

export interface MigrateManyOptions<R extends SecretRecord = SecretRecord> extends MigrateOptions {
  /** How many records may be under way: 1 to 1,000, default 16. */
  readonly concurrency?: number | undefined;
  /** For a second run: a record for which this is true was migrated before, and has no result. */
  readonly skip?: ((record: R) => boolean) | undefined;
}

/** What became of a record. `value` is its envelope, "kf1.…". */
export type MigrationResult<R extends SecretRecord = SecretRecord> = ManyResult<string> & {
  /** The record itself, so that the envelope can be stored where it belongs. */
  readonly record: R;
};

/** Safe for concurrent use. It owns nothing: whoever made the key management and the keyfold closes them. */
export interface Migration {
  /**
   * Reads a record and seals its secret anew, byte for byte. The salt's KEK is derived once, and one call to the master
   * key serves all records.
   *
   * @returns the envelope, in its text form
   * @throws `ERR_FERNET_INVALID` where a token is refused, `ERR_INVALID_ARGUMENT`, `ERR_ABORTED`, and as
   * `KeyManagement.generateKek` and `Keyfold.sealText`
   */
  migrate(record: SecretRecord, options?: MigrateOptions): Promise<string>;
  /**
   * Migrates as many records as come: a result for each, in their order. A `KeyfoldError` is its record's result; an error
   * of the input ends the output, and so does the signal, with `ERR_ABORTED`. Results that were given out stay valid: to go
   * on after an interruption, leave out the records that have one, or name them by `skip`.
   */
  migrateMany<R extends SecretRecord>(
    records: Items<R>,
    options?: MigrateManyOptions<R>,
  ): AsyncGenerator<MigrationResult<R>, void, undefined>;
}

/** @throws `ERR_INVALID_ARGUMENT` */
export function createMigration(options: MigrationOptions): Migration {
  requireOptions(options, ["from", "to"], "createMigration");
  const { from, to } = options;
  requireArgument(typeof from?.decryptDek === "function", "from must be made by createKeyManagement.");
  requireArgument(typeof to?.sealText === "function", "to must be made by createKeyfold.");
  const migrate: Migration["migrate"] = (record, given) => migrateOne({ from, to }, record, given);
  return {
    migrate,
    migrateMany: (records, given) => migrateAll(migrate, records, given),
  };
}

async function migrateOne(
  { from, to }: MigrationOptions,
  record: SecretRecord,
  { signal }: MigrateOptions = {},
): Promise<string> {
  requireArgument(typeof record === "object" && record !== null, "A record is an object.");
  requireNotAborted(signal);
  const { kek } = await from.generateKek(saltOf(record.salt));
  const dek = named("The encrypted DEK is refused", OF_DEK, () => from.decryptDek(record.encryptedDek, kek));
  return sealAnew(dek, to, record, signal);
}

async function sealAnew(
  dek: Fernet,
  to: Keyfold,
  record: SecretRecord,
  signal: AbortSignal | undefined,
): Promise<string> {
  const secret = named("The encrypted secret is refused", OF_SECRET, () =>
    dek.decrypt(record.encryptedSecret),
  );
  try {
    return await to.sealText(secret, record.context, { signal });
  } finally {
    secret.fill(0);
  }
}

const OF_DEK =
  "Check the master secret, the project and the salt. If they are right, restore the token from a copy.";
const OF_SECRET = "See whether the encrypted DEK belongs to it. If it does, restore the token from a copy.";

/** Says which of a record's tokens it is that was refused. */
function named<T>(what: string, remedy: string, decrypt: () => T): T {
  try {
    return decrypt();
  } catch (cause) {
    if (!(cause instanceof KeyfoldError) || cause.code !== "ERR_FERNET_INVALID") throw cause;
    throw new KeyfoldError("ERR_FERNET_INVALID", `${what}.`, { cause, remedy });
  }
}

async function* migrateAll<R extends SecretRecord>(
  migrate: Migration["migrate"],
  records: Items<R>,
  options: MigrateManyOptions<R> = {},
): AsyncGenerator<MigrationResult<R>, void, undefined> {
  requireOptions(options, ["signal", "concurrency", "skip"], "migrateMany");
  const { signal, concurrency = DEFAULT_CONCURRENCY, skip } = options;
  requireArgument(
    Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= MOST_CONCURRENCY,
    `concurrency must be a whole number from 1 to ${MOST_CONCURRENCY}.`,
  );
  requireArgument(skip === undefined || typeof skip === "function", "skip must be a function.");
  requireNotAborted(signal);
  const rest = skip === undefined ? records : withoutSkipped(records, skip);
  const results = inOrder(rest, concurrency, (record) => resultOf(migrate, record, signal));
  try {
    for (;;) {
      const next = await (signal === undefined ? results.next() : promptly(results.next(), signal));
      if (next.done === true) return;
      yield next.value;
      requireNotAborted(signal);
    }
  } finally {
    // After an abort the input may never answer: it is told that no more is wanted, and not waited for.
    void results.return();
  }
}

async function* withoutSkipped<R>(records: Items<R>, skip: (record: R) => boolean): AsyncGenerator<R> {
  for await (const record of records) if (!skip(record)) yield record;
}

async function resultOf<R extends SecretRecord>(
  migrate: Migration["migrate"],
  record: R,
  signal: AbortSignal | undefined,
): Promise<MigrationResult<R>> {
  try {
    return { record, ok: true, value: await migrate(record, { signal }) };
  } catch (error) {
    if (error instanceof KeyfoldError) return { record, ok: false, error };
    throw error;
  }
}

function requireNotAborted(signal: AbortSignal | undefined): void {
  if (signal === undefined) return;
  requireArgument(signal instanceof AbortSignal, "signal must be an AbortSignal.");
  if (signal.aborted) throw new KeyfoldError("ERR_ABORTED", undefined, { cause: signal.reason });
}
