/** A request's members, read and checked as the service's model says. */

import { invalidMember, ServiceError } from "./service-error.ts";

/** The members of a JSON 1.1 request. */
export type Input = Readonly<Record<string, unknown>>;

/** The limits of the service's model. */
const MAX_KEY_ID_LENGTH = 2_048;
const MAX_GRANT_TOKENS = 10;

export function parseInput(body: Uint8Array): Input {
  const parsed = parseJson(Buffer.from(body).toString("utf8"));
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw unreadable();
  return parsed as Input;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw Object.assign(unreadable(), { cause });
  }
}

/** A key's name as the request gives it: 1 to 2,048 characters. */
export function keyId(input: Input, member: string): string {
  const value = optionalKeyId(input, member);
  if (value === undefined) throw invalidMember(camel(member), "Member must not be null");
  return value;
}

export function optionalKeyId(input: Input, member: string): string | undefined {
  const value = input[member];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw unreadable();
  requireLength(member, value.length, MAX_KEY_ID_LENGTH);
  return value;
}

/** Base64 in JSON: 1 to `most` bytes. */
export function bytes(input: Input, member: string, most: number): Buffer {
  const value = input[member];
  if (value === undefined || value === null) throw invalidMember(camel(member), "Member must not be null");
  if (typeof value !== "string") throw unreadable();
  const decoded = Buffer.from(value, "base64");
  if (decoded.toString("base64") !== value) throw unreadable();
  requireLength(member, decoded.length, most);
  return decoded;
}

/** Text to text; an absent context is an empty one. */
export function context(input: Input, member: string): Readonly<Record<string, string>> {
  const value = input[member] ?? {};
  if (typeof value !== "object" || Array.isArray(value)) throw unreadable();
  const entries = Object.entries(value).map(([key, text]): [string, string] => {
    if (typeof text !== "string") throw unreadable();
    return [key, text];
  });
  return Object.fromEntries(entries);
}

export function grantTokens(input: Input): readonly string[] {
  const value = input["GrantTokens"] ?? [];
  if (!Array.isArray(value) || !value.every((token) => typeof token === "string")) throw unreadable();
  if (value.length > MAX_GRANT_TOKENS) {
    throw invalidMember("grantTokens", `Member must have length less than or equal to ${MAX_GRANT_TOKENS}`);
  }
  return value;
}

/** How many bytes a data key shall have: either as a spec or as a number. */
export function dataKeyBytes(input: Input): number {
  const { KeySpec: spec, NumberOfBytes: number } = input;
  if ((spec === undefined) === (number === undefined)) {
    throw new ServiceError("ValidationException", "Please specify either number of bytes or key spec.");
  }
  if (spec === "AES_256") return 32;
  if (spec === "AES_128") return 16;
  if (typeof number !== "number" || number < 1 || number > 1_024) {
    throw invalidMember("numberOfBytes", "Member must have value between 1 and 1024");
  }
  return number;
}

function requireLength(member: string, length: number, most: number): void {
  if (length < 1) {
    throw invalidMember(camel(member), "Member must have length greater than or equal to 1");
  }
  if (length > most) {
    throw invalidMember(camel(member), `Member must have length less than or equal to ${most}`);
  }
}

function camel(member: string): string {
  return member.charAt(0).toLowerCase() + member.slice(1);
}

function unreadable(): ServiceError {
  return new ServiceError("SerializationException", "The request could not be read.");
}
