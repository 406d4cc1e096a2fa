/**
 * The one table from the errors of the AWS SDK to keyfold's. By name and not by class: the SDK has no class for many of
 * them (throttling, access, credentials), and `$retryable` is never set.
 */

import { KeyfoldError, type KeyfoldErrorCode } from "@keyfold/core";
import { aborted, retryAfterMs } from "@keyfold/core/provider";

/** What is asked of the service, by its own name. */
export type Operation = "Encrypt" | "Decrypt";

type Row = readonly [code: KeyfoldErrorCode, names: readonly string[]];

/** By `error.name`: AWS KMS API Reference, "Common Errors" and the errors of Encrypt and Decrypt; the SDK's own. */
const rows: readonly Row[] = [
  [
    "ERR_MASTER_KEY_DENIED",
    ["AccessDeniedException", "InvalidGrantTokenException", "NotAuthorized", "OptInRequired"],
  ],
  ["ERR_MASTER_KEY_NOT_FOUND", ["NotFoundException", "InvalidArnException"]],
  ["ERR_MASTER_KEY_DISABLED", ["DisabledException"]],
  [
    "ERR_MASTER_KEY_REJECTED",
    [
      "InvalidCiphertextException",
      "IncorrectKeyException",
      "InvalidKeyUsageException",
      "ValidationException",
      "UnsupportedOperationException",
    ],
  ],
  [
    "ERR_MASTER_KEY_THROTTLED",
    [
      "ThrottlingException",
      "Throttling",
      "ThrottledException",
      "RequestThrottled",
      "RequestThrottledException",
      "LimitExceededException",
      "RequestLimitExceeded",
      "TooManyRequestsException",
    ],
  ],
  [
    "ERR_MASTER_KEY_UNAVAILABLE",
    [
      "KMSInternalException",
      "KeyUnavailableException",
      "DependencyTimeoutException",
      "InternalFailure",
      "ServiceUnavailable",
      "ServiceUnavailableException",
      "RequestTimeout",
      "RequestTimeoutException",
      "TimeoutError",
      "AbortError",
    ],
  ],
  [
    "ERR_CREDENTIALS",
    [
      "CredentialsProviderError",
      "TokenProviderError",
      "ExpiredToken",
      "ExpiredTokenException",
      "UnrecognizedClientException",
      "InvalidClientTokenId",
      "InvalidSignatureException",
      "SignatureDoesNotMatch",
      "IncompleteSignature",
      "MissingAuthenticationToken",
      "RequestExpired",
      // What STS says when the role that the credentials come from may not be assumed. AWS KMS spells its own otherwise.
      "AccessDenied",
      "InvalidIdentityToken",
      "InvalidIdentityTokenException",
    ],
  ],
];

/** By `error.code`: what Node says of sockets, names and certificates. */
const unreachable: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "EPROTO",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENETDOWN",
  "EADDRNOTAVAIL",
  "CERT_HAS_EXPIRED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "ERR_SSL_WRONG_VERSION_NUMBER",
]);

/** What may come of a wrong clock. The SDK corrects its own by the reply's Date, so the next request is signed right. */
const ofClock: ReadonlySet<string> = new Set([
  "InvalidSignatureException",
  "SignatureDoesNotMatch",
  "RequestExpired",
  "RequestTimeTooSkewed",
  "RequestInTheFuture",
]);

const byName: ReadonlyMap<string, KeyfoldErrorCode> = new Map(
  rows.flatMap(([code, names]) => names.map((name): [string, KeyfoldErrorCode] => [name, code])),
);

/** What is looked at in an error of the SDK. */
interface Foreign {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly $fault?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly clockSkewCorrected?: boolean };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

/**
 * An error of the SDK as keyfold's, with itself as `cause`. An aborted signal comes first: whatever came of the call
 * then came of that.
 *
 * @param masterKey the provider's name, for the message
 */
export function translate(
  error: unknown,
  operation: Operation,
  masterKey: string,
  signal: AbortSignal,
): KeyfoldError {
  if (signal.aborted) return aborted(signal);
  if (error instanceof KeyfoldError) return error;
  const foreign: Foreign = typeof error === "object" && error !== null ? error : {};
  if (foreign.message === "Region is missing") return noRegion(masterKey, error);
  const code = codeOf(foreign);
  const retryAfter = retryAfterMs(foreign.$response?.headers?.["retry-after"]);
  return new KeyfoldError(code, `${operation} under ${masterKey} failed: ${labelOf(foreign)}.`, {
    cause: isUnreadableReply(foreign) ? withoutQuotation(foreign) : error,
    ...(retryAfter === undefined ? {} : { retryAfter }),
    ...(code === "ERR_MASTER_KEY_DENIED" ? { remedy: `Allow kms:${operation} on the key.` } : {}),
  });
}

function codeOf(error: Foreign): KeyfoldErrorCode {
  const { name, code, $metadata: { httpStatusCode: status = 0 } = {} } = error;
  if (isClockError(error)) return "ERR_MASTER_KEY_UNAVAILABLE";
  if (name === "KMSInvalidStateException") return codeOfState(String(error.message));
  const known = byName.get(String(name));
  if (known !== undefined) return known;
  if (unreachable.has(String(code)) || status >= 500) return "ERR_MASTER_KEY_UNAVAILABLE";
  if (status === 429) return "ERR_MASTER_KEY_THROTTLED";
  return status === 401 || status === 403 ? "ERR_MASTER_KEY_DENIED" : "ERR_MASTER_KEY_BAD_REPLY";
}

function isClockError({ name, message, $metadata }: Foreign): boolean {
  const said = /^Signature (expired|not yet current)/.test(String(message));
  return ofClock.has(String(name)) && (said || $metadata?.clockSkewCorrected === true);
}

/**
 * "… is pending deletion." ends with the key; the other states (importing, creating, a key store that is not connected)
 * end with its use. AWS KMS Developer Guide, "Key states": the error's name is the same for all.
 */
function codeOfState(message: string): KeyfoldErrorCode {
  return /pending ?(replica ?)?deletion/i.test(message)
    ? "ERR_MASTER_KEY_DISABLED"
    : "ERR_MASTER_KEY_UNAVAILABLE";
}

/** The error's name, and nothing of its message: the service quotes there what it was sent. */
function labelOf({ name, code }: Foreign): string {
  const label = [name, code].filter((text) => typeof text === "string" && /^[A-Za-z0-9_]{1,80}$/.test(text));
  return label.length === 0 ? "an error without a name" : label.join(" ");
}

/** Whether a reply came that the SDK could not read: no error of the service, none of the network, and yet a status. */
function isUnreadableReply({ name, code, $fault, $metadata }: Foreign): boolean {
  if (name === "SyntaxError") return true;
  return $fault === undefined && code === undefined && $metadata?.httpStatusCode === 200;
}

/** In the place of an error whose message quotes the reply: it may be that of Decrypt, with the key in it. */
function withoutQuotation(error: Foreign): Error {
  return new Error(`The reply could not be read (${labelOf(error)}).`);
}

function noRegion(masterKey: string, cause: unknown): KeyfoldError {
  return new KeyfoldError("ERR_INVALID_ARGUMENT", `No AWS region is known for ${masterKey}.`, {
    cause,
    remedy: "Give region, a key's ARN, or set AWS_REGION.",
  });
}
