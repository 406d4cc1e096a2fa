/** Every row of the table from the SDK's errors to keyfold's, each thrown by a client that is mocked. */

import {
  DecryptCommand,
  EncryptCommand,
  KMSClient,
  KMSInvalidStateException,
  KMSServiceException,
} from "@aws-sdk/client-kms";
import { KeyfoldError, type KeyfoldErrorCode } from "@keyfold/core";
import { mockClient } from "aws-sdk-client-mock";
import { beforeEach, describe, expect, test } from "vitest";
import { rejectionOf } from "../../../test/support/refusal.ts";
import { awsKms } from "../src/index.ts";
import { operation, secret } from "./support/material.ts";

const arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const client = new KMSClient({ region: "eu-central-1" });
const mock = mockClient(client);
const provider = awsKms({ keyId: arn, client });

beforeEach(() => mock.reset());

const names: Readonly<Partial<Record<KeyfoldErrorCode, readonly string[]>>> = {
  ERR_MASTER_KEY_DENIED: [
    "AccessDeniedException",
    "InvalidGrantTokenException",
    "NotAuthorized",
    "OptInRequired",
  ],
  ERR_MASTER_KEY_NOT_FOUND: ["NotFoundException", "InvalidArnException"],
  ERR_MASTER_KEY_DISABLED: ["DisabledException"],
  ERR_MASTER_KEY_REJECTED: [
    "InvalidCiphertextException",
    "IncorrectKeyException",
    "InvalidKeyUsageException",
    "ValidationException",
    "UnsupportedOperationException",
  ],
  ERR_MASTER_KEY_THROTTLED: [
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "LimitExceededException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
  ],
  ERR_MASTER_KEY_UNAVAILABLE: [
    "KMSInternalException",
    "KMSInvalidStateException",
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
  ERR_CREDENTIALS: [
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
    "AccessDenied",
    "InvalidIdentityToken",
    "InvalidIdentityTokenException",
  ],
  ERR_MASTER_KEY_BAD_REPLY: ["UnknownOperationException", "SerializationException", "SyntaxError", "Error"],
};
const rows = Object.entries(names).flatMap(([code, list]) => list.map((name) => [name, code] as const));

test.each(rows)("%s is %s, for both operations", async (name, code) => {
  const error = serviceError(name);
  for (const { refusal, sent } of await meet(error)) {
    expect(refusal.code).toBe(code);
    expect(refusal.retryable).toBe(/THROTTLED|UNAVAILABLE/.test(code));
    expect(refusal.message).toContain(name);
    expect(refusal.message).not.toContain("words of the service");
    expect(sent).toBe(1);
    if (name === "SyntaxError") expect(refusal.cause).toBeInstanceOf(Error);
    else expect(refusal.cause).toBe(error);
  }
});

test.each([
  [`${arn} is pending deletion.`, "ERR_MASTER_KEY_DISABLED"],
  [`${arn} is pending replica deletion.`, "ERR_MASTER_KEY_DISABLED"],
  ["the key state is PendingDeletion", "ERR_MASTER_KEY_DISABLED"],
  [`${arn} is pending import.`, "ERR_MASTER_KEY_UNAVAILABLE"],
  [`${arn} is unavailable.`, "ERR_MASTER_KEY_UNAVAILABLE"],
  [`${arn} is creating.`, "ERR_MASTER_KEY_UNAVAILABLE"],
  ["", "ERR_MASTER_KEY_UNAVAILABLE"],
])("KMSInvalidStateException with %j is %s", async (message, code) => {
  const error = new KMSInvalidStateException({ message, $metadata: { httpStatusCode: 400 } });
  for (const { refusal } of await meet(error)) expect(refusal.code).toBe(code);
});

test.each([
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
])("a plain Error with the code %s is ERR_MASTER_KEY_UNAVAILABLE", async (code) => {
  const error = Object.assign(new Error("connect"), { code, $metadata: { attempts: 1 } });
  for (const { refusal } of await meet(error)) {
    expect(refusal.code).toBe("ERR_MASTER_KEY_UNAVAILABLE");
    expect(refusal.message).toContain(code);
    expect(refusal.cause).toBe(error);
  }
});

test.each([
  [500, "ERR_MASTER_KEY_UNAVAILABLE"],
  [502, "ERR_MASTER_KEY_UNAVAILABLE"],
  [503, "ERR_MASTER_KEY_UNAVAILABLE"],
  [429, "ERR_MASTER_KEY_THROTTLED"],
  [401, "ERR_MASTER_KEY_DENIED"],
  [403, "ERR_MASTER_KEY_DENIED"],
  [400, "ERR_MASTER_KEY_BAD_REPLY"],
  [200, "ERR_MASTER_KEY_BAD_REPLY"],
])("a name that is not known, with HTTP status %i, is %s", async (httpStatusCode, code) => {
  const error = Object.assign(new SyntaxError("Unexpected token"), { $metadata: { httpStatusCode } });
  for (const { refusal } of await meet(error)) expect(refusal.code).toBe(code);
});

describe("a wrong clock", () => {
  test.each([
    ["said by the service", "Signature expired: 20260131T120000Z is now earlier than", {}],
    ["said by the service the other way", "Signature not yet current: 20260131T120000Z", {}],
    ["found by the SDK", "The signature does not match.", { clockSkewCorrected: true }],
  ])("that is %s is retryable: the next request is signed right", async (_, message, metadata) => {
    const error = serviceError("InvalidSignatureException", message, metadata);
    for (const { refusal } of await meet(error)) expect(refusal.code).toBe("ERR_MASTER_KEY_UNAVAILABLE");
  });

  test("makes no denial retryable", async () => {
    const error = serviceError("AccessDeniedException", "no", { clockSkewCorrected: true });
    for (const { refusal } of await meet(error)) expect(refusal.code).toBe("ERR_MASTER_KEY_DENIED");
  });
});

test.each([
  ["3", 3_000],
  ["0", 0],
  ["soon", undefined],
])("Retry-After: %s is retryAfter %s", async (header, retryAfter) => {
  const error = Object.assign(serviceError("ThrottlingException"), {
    $response: { statusCode: 400, headers: { "retry-after": header } },
  });
  for (const { refusal } of await meet(error)) expect(refusal.retryAfter).toBe(retryAfter);
});

test("a denial says which permission to give", async () => {
  const [wrap, unwrap] = await meet(serviceError("AccessDeniedException"));
  expect(wrap?.refusal.message).toContain("Allow kms:Encrypt");
  expect(unwrap?.refusal.message).toContain("Allow kms:Decrypt");
});

test("no region is ERR_INVALID_ARGUMENT, with the mend", async () => {
  for (const { refusal } of await meet(new Error("Region is missing"))) {
    expect(refusal.code).toBe("ERR_INVALID_ARGUMENT");
    expect(refusal.message).toContain("AWS_REGION");
  }
});

test("an aborted signal comes before whatever the SDK made of it", async () => {
  const abort = new AbortController();
  mock.on(EncryptCommand).callsFake(async () => {
    abort.abort(new Error("enough"));
    throw Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });
  });
  const refusal = await rejectionOf(provider.wrapKey(secret, operation({}, abort.signal)));
  expect(refusal.code).toBe("ERR_ABORTED");
  expect(refusal.cause).toBe(abort.signal.reason);
});

test("a KeyfoldError goes through as it is", async () => {
  const error = new KeyfoldError("ERR_PROVIDER_NOT_INSTALLED", "@aws-sdk/client-kms is not installed.");
  for (const { refusal } of await meet(error)) expect(refusal).toBe(error);
});

test.each([undefined, null, "text", 7, { name: 7, code: {} }, Object.create(null)])(
  "what is thrown may be anything: %j is ERR_MASTER_KEY_BAD_REPLY",
  async (thrown) => {
    for (const { refusal } of await meet(thrown)) expect(refusal.code).toBe("ERR_MASTER_KEY_BAD_REPLY");
  },
);

test("a name that is not one is not repeated", async () => {
  const error = Object.assign(new Error("x"), { name: "a name\nwith lines" });
  for (const { refusal } of await meet(error)) expect(refusal.message).not.toContain("with lines");
});

/** What both operations make of an error, and how many requests each made. */
async function meet(thrown: unknown): Promise<{ refusal: KeyfoldError; sent: number }[]> {
  const wrapped = { masterKey: `aws-kms://${arn}`, ciphertext: Uint8Array.of(1, 2, 3) };
  const throws = async () => {
    throw thrown;
  };
  mock.on(EncryptCommand).callsFake(throws);
  mock.on(DecryptCommand).callsFake(throws);
  const outcomes: { refusal: KeyfoldError; sent: number }[] = [];
  for (const call of [
    () => provider.wrapKey(secret, operation()),
    () => provider.unwrapKey(wrapped, operation()),
  ]) {
    mock.resetHistory();
    outcomes.push({ refusal: await rejectionOf(call()), sent: mock.calls().length });
  }
  return outcomes;
}

function serviceError(
  name: string,
  message = "words of the service",
  metadata: object = {},
): KMSServiceException {
  return new KMSServiceException({
    name,
    message,
    $fault: "client",
    $metadata: { httpStatusCode: 400, attempts: 1, ...metadata },
  });
}
