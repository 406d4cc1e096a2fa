/** The fields of a record, sealed apart under one key, each bound to its place. docs/spec/fields-v1.md. */

import { constants } from "node:buffer";
import type { Bytes } from "./bytes.ts";
import { type OperationOptions, requireNotAborted } from "./callers.ts";
import { MESSAGE_SALT_BYTES, messageBytes, openMessage, sealMessage } from "./cobblestone.ts";
import { type EncryptionContext, encodeContext } from "./context.ts";
import { encodeText } from "./envelope.ts";
import { KeyfoldError, type KeyfoldErrorCode } from "./errors.ts";
import { type FoundField, fieldError, findFields, parsePaths } from "./field-paths.ts";
import { decodeFieldValue, encodeFieldValue } from "./field-values.ts";
import type { Operations } from "./operations.ts";
import { drawRandom } from "./random.ts";
import { type AskingForDeks, answerLater, answerNow, notReady, RecordDeks } from "./record-deks.ts";
import { type FreshHeader, type SealingKey, sealHeader } from "./sealing.ts";

/** The key of the encryption context that names the field's place. Applications cannot set it. */
const FIELD_KEY = "keyfold:field";

/** What says that a text is no envelope of this field, in the mouth of `open`. Any other failure leaves that unknown. */
const NOT_SEALED_HERE: ReadonlySet<KeyfoldErrorCode> = new Set<KeyfoldErrorCode>([
  "ERR_NOT_AN_ENVELOPE",
  "ERR_UNSUPPORTED_VERSION",
  "ERR_MALFORMED_ENVELOPE",
  "ERR_NO_USABLE_WRAP",
  "ERR_UNAUTHENTICATED_WRAP",
  "ERR_KEY_MISMATCH",
  "ERR_HEADER_REJECTED",
  "ERR_CONTEXT_MISMATCH",
  "ERR_MESSAGE_ALTERED",
  "ERR_MESSAGE_TRUNCATED",
  "ERR_MASTER_KEY_REJECTED",
]);

/** What concerns the whole record, or names the path already. */
const WITHOUT_PATH: ReadonlySet<KeyfoldErrorCode> = new Set<KeyfoldErrorCode>([
  "ERR_ABORTED",
  "ERR_CLOSED",
  "ERR_FIELD",
]);

export interface SealFieldsOptions extends OperationOptions {
  /**
   * Whether a text that opens as this very field stays as it is, so that a record which is half sealed can be sealed again.
   * It needs the keys of what is already sealed. Default false: every value is sealed, whatever it looks like.
   */
  readonly skipSealed?: boolean | undefined;
}

/** A record on its way in or out: its copy, the fields found in it, and what they are bound to. */
interface Task<F extends FoundField> {
  readonly copy: object;
  readonly fields: readonly F[];
  readonly context: EncryptionContext;
}

/** A field with its value as bytes, which are wiped here. */
interface FieldToSeal extends FoundField {
  readonly encoded: Bytes;
}

/** Seals from keys in memory. @throws `ERR_NOT_READY` where one is not */
export function sealFieldsNow(
  operations: Operations,
  record: object,
  paths: readonly string[],
  context: EncryptionContext,
  options?: SealFieldsOptions,
): object {
  const task = toSeal(operations, record, paths, context, options);
  try {
    const fields =
      options?.skipSealed === true ? answerNow(operations, unsealed(operations, task)) : task.fields;
    if (fields.length > 0) sealUnder(sealingKeyNow(operations), operations, task, fields);
    return task.copy;
  } finally {
    for (const { encoded } of task.fields) encoded.fill(0);
  }
}

/** Seals with keys that may have to be asked for. */
export async function sealFields(
  operations: Operations,
  record: object,
  paths: readonly string[],
  context: EncryptionContext,
  options?: SealFieldsOptions,
): Promise<object> {
  const task = toSeal(operations, record, paths, context, options);
  try {
    const fields =
      options?.skipSealed === true
        ? await answerLater(operations, unsealed(operations, task), options)
        : task.fields;
    if (fields.length > 0) sealUnder(await operations.sealingKey(options), operations, task, fields);
    return task.copy;
  } finally {
    for (const { encoded } of task.fields) encoded.fill(0);
  }
}

/** Opens from keys in memory. @throws `ERR_NOT_READY` where one is not */
export function openFieldsNow(
  operations: Operations,
  record: object,
  paths: readonly string[],
  context: EncryptionContext,
): object {
  return answerNow(operations, opened(operations, toOpen(operations, record, paths, context)));
}

/** Opens with keys that may have to be asked for. */
export async function openFields(
  operations: Operations,
  record: object,
  paths: readonly string[],
  context: EncryptionContext,
  options?: OperationOptions,
): Promise<object> {
  requireNotAborted(options);
  const task = toOpen(operations, record, paths, context);
  return answerLater(operations, opened(operations, task), options);
}

/** The encoded encryption context of one field. */
export function encodeFieldContext(context: EncryptionContext, path: string): Bytes {
  return encodeContext({ ...context, [FIELD_KEY]: path });
}

/**
 * The deterministic part of sealing a field, for it and for test vectors: a salt is for one field only.
 *
 * @param messageSalt 24 bytes
 * @param context as {@link encodeFieldContext} gives it
 * @param encoded as `encodeFieldValue` gives it
 */
export function sealFieldWith(
  { header, dek }: FreshHeader,
  messageSalt: Uint8Array,
  context: Uint8Array,
  encoded: Uint8Array,
): string {
  const envelope = new Uint8Array(header.length + messageBytes(encoded.length));
  envelope.set(header);
  sealMessage(dek, messageSalt, context, encoded, envelope, header.length);
  return encodeText(envelope);
}

function toSeal(
  operations: Operations,
  record: object,
  paths: readonly string[],
  context: EncryptionContext,
  options?: SealFieldsOptions,
): Task<FieldToSeal> {
  operations.requireMasterKeys();
  if (options?.skipSealed === true) operations.requireMayOpen();
  requireNotAborted(options);
  operations.contextOf(context);
  const { copy, found } = findFields(record, parsePaths(paths));
  const fields = found.map((field) => ({ ...field, encoded: encodeFieldValue(field.value, field.path) }));
  return { copy, fields, context: { ...context } };
}

function toOpen(
  operations: Operations,
  record: object,
  paths: readonly string[],
  context: EncryptionContext,
): Task<FoundField> {
  operations.requireMayOpen();
  operations.contextOf(context);
  const { copy, found } = findFields(record, parsePaths(paths));
  return { copy, fields: found, context: { ...context } };
}

/** One DEK and one header for all the fields, and a message for each. */
function sealUnder(
  key: SealingKey,
  { shared }: Operations,
  { context }: Task<FieldToSeal>,
  fields: readonly FieldToSeal[],
): void {
  const fresh = sealHeader(key);
  const salt = new Uint8Array(MESSAGE_SALT_BYTES);
  try {
    for (const { path, encoded, replace } of fields) {
      const length = fresh.header.length + messageBytes(encoded.length);
      if ((length * 4) / 3 + 4 >= constants.MAX_STRING_LENGTH)
        throw fieldError(path, "is too long for a text");
      drawRandom(salt);
      replace(sealFieldWith(fresh, salt, encodeFieldContext(context, path), encoded));
      shared.counts.seals++;
    }
  } finally {
    fresh.dek.fill(0);
  }
}

/** The fields that do not open as themselves. */
function* unsealed(operations: Operations, task: Task<FieldToSeal>): AskingForDeks<readonly FieldToSeal[]> {
  const fields: FieldToSeal[] = [];
  const deks = new RecordDeks();
  try {
    for (const field of task.fields) {
      if (!(yield* isSealed(operations, deks, field, task.context))) fields.push(field);
    }
    return fields;
  } finally {
    deks.wipe();
  }
}

function* isSealed(
  operations: Operations,
  deks: RecordDeks,
  { value, path }: FoundField,
  context: EncryptionContext,
): AskingForDeks<boolean> {
  if (typeof value !== "string") return false;
  try {
    const plaintext = yield* openField(operations, deks, value, encodeFieldContext(context, path));
    plaintext.fill(0);
    return true;
  } catch (error) {
    if (error instanceof KeyfoldError && NOT_SEALED_HERE.has(error.code)) return false;
    throw named(error, path);
  }
}

/** The copy, with its fields opened. */
function* opened(operations: Operations, { copy, fields, context }: Task<FoundField>): AskingForDeks<object> {
  const deks = new RecordDeks();
  try {
    for (const { path, value, replace } of fields) {
      if (typeof value !== "string") throw fieldError(path, "is not sealed: it is no text");
      try {
        const plaintext = yield* openField(operations, deks, value, encodeFieldContext(context, path));
        replace(decodeFieldValue(plaintext, path));
        plaintext.fill(0);
      } catch (error) {
        throw named(error, path);
      }
      operations.shared.counts.opens++;
    }
    return copy;
  } finally {
    deks.wipe();
  }
}

function* openField(
  operations: Operations,
  deks: RecordDeks,
  text: string,
  context: Uint8Array,
): AskingForDeks<Bytes> {
  const { header, message } = operations.admit(text);
  return openMessage(yield* deks.of(header), context, message);
}

function sealingKeyNow({ keys, scope }: Operations): SealingKey {
  const key = keys.sealingKey(scope);
  if (key === undefined) throw notReady("The KDK that seals is not in memory.", keys.sealerLoss);
  return key;
}

/** The error with the field's path in its message: the code stays what it is, and the error itself is the cause. */
function named(error: unknown, path: string): unknown {
  if (!(error instanceof KeyfoldError) || WITHOUT_PATH.has(error.code)) return error;
  const { code, message, attempts, retryAfter } = error;
  return new KeyfoldError(code, `The field ${JSON.stringify(path)}: ${message}`, {
    cause: error,
    remedy: "",
    ...(attempts === undefined ? {} : { attempts }),
    ...(retryAfter === undefined ? {} : { retryAfter }),
  });
}
