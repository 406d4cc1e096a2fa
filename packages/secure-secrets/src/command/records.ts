/** JSON lines as records. */

import { isUtf8 } from "node:buffer";
import type { EncryptionContext } from "@keyfold/core";
import type { SecretRecord } from "../migration.ts";
import type { Line } from "./lines.ts";

/** What names a record in the input and in the output. */
export type RecordId = string | number;

export interface InputRecord extends SecretRecord {
  readonly id: RecordId;
  readonly line: number;
}

/** Why a line is no record. */
export class RefusedLine extends Error {}

/** An object that a line holds. @throws `RefusedLine` */
export function objectOf({ bytes }: Line): Readonly<Record<string, unknown>> {
  if (!isUtf8(bytes)) throw new RefusedLine("The line is not UTF-8.");
  const value = json(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8"));
  if (isObject(value)) return value;
  throw new RefusedLine("The line is no JSON object.");
}

/** @param context of a line that brings none, if such a line is admitted. @throws `RefusedLine` */
export function recordOf(line: Line, context: EncryptionContext | undefined): InputRecord {
  const object = objectOf(line);
  const id = idOf(object);
  return {
    id,
    line: line.number,
    encryptedDek: textOf(object, "encrypted_dek"),
    salt: textOf(object, "salt"),
    encryptedSecret: textOf(object, "encrypted_secret"),
    context: object["context"] === undefined ? defaultContext(id, context) : contextOf(object["context"]),
  };
}

/** @throws `RefusedLine` */
export function idOf({ id }: Readonly<Record<string, unknown>>): RecordId {
  if (typeof id === "string" || Number.isSafeInteger(id)) return id as RecordId;
  throw new RefusedLine("id must be a text or a whole number.");
}

/** 1 and "1" are two ids. */
export function nameOf(id: RecordId): string {
  return JSON.stringify(id);
}

/** Neither the text nor the parser's message, which quotes it, is repeated: it may be a secret. */
function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function textOf(object: Readonly<Record<string, unknown>>, name: string): string {
  const value = object[name];
  if (typeof value === "string") return value;
  throw new RefusedLine(`${name} must be a text.`);
}

function contextOf(value: unknown): EncryptionContext {
  if (isObject(value) && Object.values(value).every((each) => typeof each === "string")) {
    return value as EncryptionContext;
  }
  throw new RefusedLine("context must be an object of texts.");
}

function defaultContext(id: RecordId, context: EncryptionContext | undefined): EncryptionContext {
  if (context === undefined) {
    throw new RefusedLine("The line has no context, and neither --context nor --no-context is given.");
  }
  const entries = Object.entries(context).map(([key, value]) => [
    key,
    value.replaceAll("{id}", () => String(id)),
  ]);
  return Object.fromEntries(entries);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
