/** From what the SDK throws to keyfold's codes: one table, applied once. */

import { KeyfoldError, type KeyfoldErrorCode } from "@keyfold/core";
import { retryAfterMs } from "@keyfold/core/provider";
import type { AzureRawResponse } from "./client.ts";

/** By the code inside a Key Vault error, `error.innererror.code`: it says more than the status. */
const byInnerCode: ReadonlyMap<string, KeyfoldErrorCode> = new Map([
  ["KeyDisabled", "ERR_MASTER_KEY_DISABLED"],
  ["KeyExpired", "ERR_MASTER_KEY_DISABLED"],
  ["KeyNotYetValid", "ERR_MASTER_KEY_DISABLED"],
  ["ObjectIsBeingDeleted", "ERR_MASTER_KEY_DISABLED"],
  ["ObjectIsDeletedButRecoverable", "ERR_MASTER_KEY_DISABLED"],
  ["ObjectIsBeingRecovered", "ERR_MASTER_KEY_UNAVAILABLE"],
  ["ForbiddenByFirewall", "ERR_MASTER_KEY_UNAVAILABLE"],
]);

/** By HTTP status, where the inner code does not decide. A conflict passes: another operation on the key is under way. */
const byStatus: ReadonlyMap<number, KeyfoldErrorCode> = new Map([
  [400, "ERR_MASTER_KEY_REJECTED"],
  [401, "ERR_CREDENTIALS"],
  [403, "ERR_MASTER_KEY_DENIED"],
  [404, "ERR_MASTER_KEY_NOT_FOUND"],
  [408, "ERR_MASTER_KEY_UNAVAILABLE"],
  [409, "ERR_MASTER_KEY_UNAVAILABLE"],
  [429, "ERR_MASTER_KEY_THROTTLED"],
]);

/** By the name of an error that has no HTTP answer of the vault behind it. */
const byName: ReadonlyMap<string, KeyfoldErrorCode> = new Map([
  ["CredentialUnavailableError", "ERR_CREDENTIALS"],
  ["AuthenticationError", "ERR_CREDENTIALS"],
  ["AggregateAuthenticationError", "ERR_CREDENTIALS"],
  ["AuthenticationRequiredError", "ERR_CREDENTIALS"],
  ["AbortError", "ERR_MASTER_KEY_UNAVAILABLE"],
  ["TimeoutError", "ERR_MASTER_KEY_UNAVAILABLE"],
]);

/** Of `node:net` and `node:dns`, and the SDK's own for anything that befalls a connection. */
const CONNECTION: ReadonlySet<string> = new Set([
  "REQUEST_SEND_ERROR",
  "EAI_AGAIN",
  "ECONNABORTED",
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EPIPE",
  "ETIMEDOUT",
]);

/** Inner codes of a version outside its validity. */
const DATED: ReadonlySet<string> = new Set(["KeyExpired", "KeyNotYetValid"]);
const OPENS: ReadonlySet<string> = new Set(["keys/unwrapKey", "keys/decrypt"]);

/** A call that failed. */
export interface FailedCall {
  /** The service's name for it, which is also the permission's: `keys/wrapKey`. */
  readonly operation: string;
  /** The key, for the message. */
  readonly key: string;
  /** The latest answer that the SDK showed: for an error without a body it throws a TypeError that has no status. */
  readonly response: AzureRawResponse | undefined;
}

/** The `KeyfoldError` for what an SDK call threw. One of keyfold's own, such as ERR_ABORTED, stays as it is. */
export function translate(error: unknown, call: FailedCall): KeyfoldError {
  if (error instanceof KeyfoldError) return error;
  const status = statusOf(error) ?? call.response?.status;
  const code = codeFor(error, status);
  const retryAfter =
    code === "ERR_MASTER_KEY_THROTTLED" || code === "ERR_MASTER_KEY_UNAVAILABLE"
      ? pauseOf(error, call)
      : undefined;
  return new KeyfoldError(code, detailOf(error, status, call), {
    cause: isSuccess(status) ? withoutBody(error) : error,
    ...remedyFor(code, innerCodeOf(error), call.operation),
    ...(retryAfter === undefined ? {} : { retryAfter }),
  });
}

/** Whether nothing answered, or what answered is unwell or overrun: of who gives tokens, that they may be had again soon. */
export function isOutage(error: unknown): boolean {
  const status = statusOf(error);
  if (status === undefined) return CONNECTION.has(text(error, "code"));
  return status >= 500 || status === 429;
}

/** Where the general advice of the code would mislead. */
function remedyFor(
  code: KeyfoldErrorCode,
  innerCode: string,
  operation: string,
): { readonly remedy?: string } {
  if (code === "ERR_MASTER_KEY_DISABLED" && DATED.has(innerCode)) {
    return { remedy: "Make a new version of the key, or change the dates of this one." };
  }
  // Nothing was to be opened, so no context and no envelope can be wrong.
  if (code === "ERR_MASTER_KEY_REJECTED" && !OPENS.has(operation)) {
    return { remedy: "Check that the option algorithm fits the key's type." };
  }
  return {};
}

function codeFor(error: unknown, status: number | undefined): KeyfoldErrorCode {
  const named = byName.get(text(error, "name"));
  if (named !== undefined) return named;
  if (status !== undefined) return codeForStatus(status, innerCodeOf(error));
  // A RestError without a status is one to which nothing answered.
  const unanswered = text(error, "name") === "RestError" || CONNECTION.has(text(error, "code"));
  return unanswered ? "ERR_MASTER_KEY_UNAVAILABLE" : "ERR_MASTER_KEY_BAD_REPLY";
}

function codeForStatus(status: number, innerCode: string): KeyfoldErrorCode {
  if (status >= 500) return "ERR_MASTER_KEY_UNAVAILABLE";
  const inner = status >= 400 ? byInnerCode.get(innerCode) : undefined;
  return inner ?? byStatus.get(status) ?? "ERR_MASTER_KEY_BAD_REPLY";
}

function detailOf(error: unknown, status: number | undefined, { operation, key }: FailedCall): string {
  if (status === undefined) return `${operation} with ${key} failed without an answer.`;
  const codes = [text(error, "code"), innerCodeOf(error)].filter((code) => /^\w{1,64}$/.test(code));
  return `${operation} with ${key} was answered with HTTP ${[status, ...codes].join(" ")}.`;
}

/** Retry-After in milliseconds; the SDK knows two other spellings, in milliseconds already. */
function pauseOf(error: unknown, call: FailedCall): number | undefined {
  const header = headersOf(error) ?? call.response?.headers;
  const milliseconds = header?.get("retry-after-ms") ?? header?.get("x-ms-retry-after-ms");
  if (milliseconds !== undefined && /^\d{1,12}$/.test(milliseconds)) return Number(milliseconds);
  return retryAfterMs(header?.get("retry-after"));
}

/** An error about an answer that should have held bytes quotes the answer, and so may spell the key. */
function withoutBody(error: unknown): Error {
  const what = [text(error, "name"), text(error, "code")].filter((part) => part !== "").join(" ");
  return new Error(`The SDK could not read the answer (${what}). Its error may quote a key and is not kept.`);
}

function isSuccess(status: number | undefined): boolean {
  return status !== undefined && status >= 200 && status < 300;
}

function statusOf(error: unknown): number | undefined {
  const status = member(error, "statusCode");
  return typeof status === "number" ? status : undefined;
}

/** The SDK spells the member in camel case since 4.10, and as the service does before. */
function innerCodeOf(error: unknown): string {
  const detail = member(member(error, "details"), "error");
  return text(member(detail, "innerError") ?? member(detail, "innererror"), "code");
}

function headersOf(error: unknown): AzureRawResponse["headers"] {
  const headers = member(member(error, "response"), "headers");
  return isHeaders(headers) ? headers : undefined;
}

function isHeaders(value: unknown): value is NonNullable<AzureRawResponse["headers"]> {
  return typeof member(value, "get") === "function";
}

function text(value: unknown, name: string): string {
  const found = member(value, name);
  return typeof found === "string" ? found : "";
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
