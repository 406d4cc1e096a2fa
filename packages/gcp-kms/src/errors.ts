/** From the SDK's errors to keyfold's: by gRPC code, and by what the auth library says. */

import { KeyfoldError, type KeyfoldErrorCode } from "@keyfold/core";
import { badReply } from "@keyfold/core/provider";

interface Row {
  /** The name of the gRPC code. https://grpc.io/docs/guides/status-codes/ */
  readonly status: string;
  readonly code: KeyfoldErrorCode;
  readonly detail: string;
}

const INTERNAL = 13;

const rows: ReadonlyMap<number, Row> = new Map([
  [1, unavailable("CANCELLED")],
  [2, unavailable("UNKNOWN")],
  [3, row("INVALID_ARGUMENT", "ERR_MASTER_KEY_REJECTED", "Cloud KMS refused the wrap or its context.")],
  [4, unavailable("DEADLINE_EXCEEDED")],
  [5, row("NOT_FOUND", "ERR_MASTER_KEY_NOT_FOUND", "Cloud KMS has no such key.")],
  [7, row("PERMISSION_DENIED", "ERR_MASTER_KEY_DENIED", "Cloud KMS denied the use of the key.")],
  [8, row("RESOURCE_EXHAUSTED", "ERR_MASTER_KEY_THROTTLED", "A quota is used up.")],
  [9, row("FAILED_PRECONDITION", "ERR_MASTER_KEY_DISABLED", "The key version is not enabled.")],
  [10, unavailable("ABORTED")],
  [INTERNAL, unavailable("INTERNAL")],
  [14, unavailable("UNAVAILABLE")],
  [16, row("UNAUTHENTICATED", "ERR_CREDENTIALS", "Cloud KMS did not accept the credentials.")],
]);

function row(status: string, code: KeyfoldErrorCode, detail: string): Row {
  return { status, code, detail };
}

/** Codes of a service or a way to it that may be well again soon. */
function unavailable(status: string): Row {
  return row(status, "ERR_MASTER_KEY_UNAVAILABLE", "Cloud KMS did not answer as it should.");
}

/** gRPC passes on in its own words, under the code UNKNOWN as a rule, that no access token was to be had. */
const NO_TOKEN = "Getting metadata from plugin failed";
/** gRPC reports a reply that it cannot decode as INTERNAL, as a failure of the service is. */
const UNREADABLE = "Response message parsing error";
/** What the auth library says where there are no credentials, or where they are refused. */
const REFUSED =
  /default credentials|unable to find credentials|invalid_grant|invalid_client|invalid_rapt|unauthorized_client|refresh.?token|access token/i;
/** What it says where the metadata server or the token endpoint was not reached, or is unwell. */
const UNREACHED =
  /ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|socket hang up|network|timeout|status code (?:429|5\d\d)/i;

/** What a call was rejected with, as a `KeyfoldError` whose `cause` it is. */
export function translated(error: unknown): KeyfoldError {
  if (error instanceof KeyfoldError) return error;
  const code = fieldOf(error, "code");
  const message = messageOf(error);
  if (message.includes(NO_TOKEN)) return credentialsFailure(error);
  if (code === INTERNAL && message.includes(UNREADABLE)) {
    return badReply("The answer is none of Cloud KMS.", error);
  }
  const found = typeof code === "number" ? rows.get(code) : undefined;
  if (found !== undefined) return explained(found, error);
  if (REFUSED.test(message) || UNREACHED.test(message)) return credentialsFailure(error);
  return badReply("Cloud KMS or its SDK failed in a way that it should not: see cause.", error);
}

/** What looking for credentials, or for an access token, was rejected with. */
export function credentialsFailure(cause: unknown): KeyfoldError {
  return UNREACHED.test(messageOf(cause))
    ? new KeyfoldError("ERR_MASTER_KEY_UNAVAILABLE", "Google's auth service was not reached.", { cause })
    : new KeyfoldError("ERR_CREDENTIALS", "Google's auth library found no credentials that are good.", {
        cause,
        remedy: "Set up Application Default Credentials, or renew them, or give gcpKms a client.",
      });
}

function explained({ status, code, detail }: Row, cause: unknown): KeyfoldError {
  const retryAfter = code === "ERR_MASTER_KEY_THROTTLED" ? retryAfterOf(cause) : undefined;
  return new KeyfoldError(code, `${detail} (${status})`, {
    cause,
    ...(retryAfter !== undefined && { retryAfter }),
  });
}

/** Milliseconds, from a `google.rpc.RetryInfo` among the details of the error's status. */
function retryAfterOf(error: unknown): number | undefined {
  const details = fieldOf(error, "statusDetails");
  if (!Array.isArray(details)) return undefined;
  const delay = details.map((detail) => fieldOf(detail, "retryDelay")).find((each) => each !== undefined);
  if (delay === undefined) return undefined;
  // A 64-bit number comes as an object, a string or a number, and only its text is the same in all of them.
  const seconds = Number(String(fieldOf(delay, "seconds") ?? 0));
  const ms = seconds * 1_000 + Math.ceil(Number(fieldOf(delay, "nanos") ?? 0) / 1_000_000);
  return Number.isFinite(ms) && ms >= 0 ? ms : undefined;
}

function messageOf(error: unknown): string {
  return String(fieldOf(error, "message") ?? error);
}

function fieldOf(value: unknown, field: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, field) : undefined;
}
