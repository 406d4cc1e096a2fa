/** A field's value ⇄ bytes: one byte for its type, then the value. docs/spec/fields-v1.md, "Values". */

import { isDate, isUint8Array } from "node:util/types";
import { type Bytes, concat, decodeUtf8, encodeUtf8, toHex } from "./bytes.ts";
import { fieldError, pathOfElement, pathOfKey } from "./field-paths.ts";

/** What JSON can say, and JSON.parse gives back as it was: no NaN or infinity, nothing undefined, no class's instance. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

/** What a field may hold. */
export type FieldValue = JsonValue | bigint | Date | Uint8Array;

const NULL = 0;
const BOOLEAN = 1;
const NUMBER = 2;
const BIGINT = 3;
const STRING = 4;
const BYTES = 5;
const DATE = 6;
const JSON_TEXT = 7;

/** How deep JSON may be; what is deeper is a circle, or would be at the mercy of the stack. */
const MOST_LEVELS = 500;
/** The last millisecond of a `Date`, before and after the epoch (ECMA-262, "Time Values"). */
const LAST_DATE = 8_640_000_000_000_000n;

/**
 * @returns at least 1 byte, the caller's own
 * @throws `ERR_FIELD` with the path, for a value of another kind or one that would not come back as it was
 */
export function encodeFieldValue(value: unknown, path: string): Bytes {
  switch (typeof value) {
    case "boolean":
      return Uint8Array.of(BOOLEAN, value ? 1 : 0);
    case "number":
      return encodeNumber(value);
    case "bigint":
      return encodeBigint(value);
    case "string":
      return typed(STRING, utf8Of(value, path));
    case "object":
      return encodeObject(value, path);
    default:
      throw fieldError(path, `is of the type ${typeof value}, which is not sealed`);
  }
}

/** @throws `ERR_FIELD` with the path, for bytes that {@link encodeFieldValue} gives for no value */
export function decodeFieldValue(bytes: Uint8Array, path: string): FieldValue {
  const value = decode(bytes[0], bytes.subarray(1));
  if (value === undefined) throw fieldError(path, "holds no value in the form that sealFields gives it");
  return value;
}

function decode(type: number | undefined, bytes: Uint8Array): FieldValue | undefined {
  switch (type) {
    case NULL:
      return bytes.length === 0 ? null : undefined;
    case BOOLEAN:
      return bytes.length === 1 ? [false, true][bytes[0] ?? 2] : undefined;
    case NUMBER:
      return decodeNumber(bytes);
    case BIGINT:
      return decodeBigint(bytes);
    case STRING:
      return decodeUtf8(bytes);
    case BYTES:
      return bytes.slice();
    case DATE:
      return decodeDate(bytes);
    case JSON_TEXT:
      return decodeJson(bytes);
    default:
      return undefined;
  }
}

function typed(type: number, bytes: Uint8Array): Bytes {
  return concat(Uint8Array.of(type), bytes);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function encodeObject(value: object | null, path: string): Bytes {
  if (value === null) return Uint8Array.of(NULL);
  if (isUint8Array(value)) return typed(BYTES, value);
  if (isDate(value)) return encodeDate(value, path);
  return typed(JSON_TEXT, utf8Of(toJson(value, path, 0), path));
}

function utf8Of(text: string, path: string): Bytes {
  const bytes = encodeUtf8(text);
  if (bytes === undefined) throw fieldError(path, "is ill-formed text (a lone surrogate)");
  return bytes;
}

/** IEEE 754 binary64, big-endian. Every NaN is the one whose bytes are 7F F8 and zeros. */
function encodeNumber(value: number): Bytes {
  const bytes = new Uint8Array(9);
  bytes[0] = NUMBER;
  if (Number.isNaN(value)) bytes.set([0x7f, 0xf8], 1);
  else viewOf(bytes).setFloat64(1, value);
  return bytes;
}

function decodeNumber(bytes: Uint8Array): number | undefined {
  if (bytes.length !== 8) return undefined;
  const value = viewOf(bytes).getFloat64(0);
  return Number.isNaN(value) && viewOf(bytes).getBigUint64(0) !== 0x7ff8n << 48n ? undefined : value;
}

/** Two's complement, big-endian, in as few bytes as hold it and its sign; 0 is one byte. */
function encodeBigint(value: bigint): Bytes {
  const magnitude = (value < 0n ? ~value : value).toString(16);
  const bits = magnitude.length * 4 - Math.clz32(Number.parseInt(magnitude[0] ?? "0", 16)) + 28;
  const length = Math.floor(bits / 8) + 1;
  const digits = BigInt.asUintN(length * 8, value).toString(16);
  const padded = digits.padStart(length * 2, "0");
  const bytes = new Uint8Array(1 + length);
  bytes[0] = BIGINT;
  for (let i = 0; i < length; i++) bytes[1 + i] = Number.parseInt(padded.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

function decodeBigint(bytes: Uint8Array): bigint | undefined {
  if (bytes.length === 0) return undefined;
  const value = BigInt.asIntN(bytes.length * 8, BigInt(`0x${toHex(bytes)}`));
  return encodeBigint(value).length === bytes.length + 1 ? value : undefined;
}

/** Milliseconds since 1970-01-01T00:00:00Z, as a signed 64-bit integer. */
function encodeDate(date: Date, path: string): Bytes {
  const time = date.getTime();
  if (Number.isNaN(time)) throw fieldError(path, "is an invalid date");
  const bytes = new Uint8Array(9);
  bytes[0] = DATE;
  viewOf(bytes).setBigInt64(1, BigInt(time));
  return bytes;
}

function decodeDate(bytes: Uint8Array): Date | undefined {
  if (bytes.length !== 8) return undefined;
  const time = viewOf(bytes).getBigInt64(0);
  return time < -LAST_DATE || time > LAST_DATE ? undefined : new Date(Number(time));
}

/** As `JSON.stringify`, which leaves out, replaces or calls what is not JSON: here it is refused. */
function toJson(value: unknown, path: string, level: number): string {
  if (level > MOST_LEVELS)
    throw fieldError(path, `is in JSON of more than ${MOST_LEVELS} levels, or in a circle`);
  if (typeof value === "number" && Number.isFinite(value)) return Object.is(value, -0) ? "-0" : String(value);
  if (typeof value === "boolean" || value === null) return String(value);
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) {
    const elements = Array.from(value, (element, i) => toJson(element, pathOfElement(path, i), level + 1));
    return `[${elements.join(",")}]`;
  }
  if (!isPlainObject(value)) throw fieldError(path, `${kindOf(value)}, which JSON has not`);
  const members = Object.entries(value).map(
    ([key, member]) => `${JSON.stringify(key)}:${toJson(member, pathOfKey(path, key), level + 1)}`,
  );
  return `{${members.join(",")}}`;
}

function decodeJson(bytes: Uint8Array): JsonValue | undefined {
  const text = decodeUtf8(bytes);
  if (text === undefined) return undefined;
  try {
    const value: JsonValue = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Of this realm or another, or of no prototype; with nothing that JSON would leave out. */
function isPlainObject(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  const isPlain =
    prototype === null ||
    (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, "hasOwnProperty"));
  return isPlain && Object.getOwnPropertySymbols(value).length === 0;
}

function kindOf(value: unknown): string {
  if (typeof value !== "object")
    return typeof value === "number" ? `is ${value}` : `is of the type ${typeof value}`;
  return "is an instance of a class, or has symbols for keys";
}
