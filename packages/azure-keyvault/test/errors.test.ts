/** Every row of the error table, through the provider with an injected client. */

import { inspect } from "node:util";
import { createHttpHeaders, RestError } from "@azure/core-rest-pipeline";
import {
  AggregateAuthenticationError,
  AuthenticationError,
  AuthenticationRequiredError,
  CredentialUnavailableError,
} from "@azure/identity";
import type { KeyfoldError, KeyfoldErrorCode } from "@keyfold/core";
import { describe, expect, test } from "vitest";
import { azureKeyVault } from "../src/index.ts";
import { injected, KEY_ID, URI } from "./support/injected.ts";
import { hex, operation, rejectionOf, secret } from "./support/material.ts";

const wrap = { masterKey: URI, ciphertext: Uint8Array.of(2, ...new Uint8Array(72)) };

interface Answer {
  readonly status: number;
  readonly code?: string;
  readonly inner?: string;
  readonly headers?: Record<string, string>;
}

/** As the SDK makes it of an error's answer. */
function restError({ status, code, inner, headers = {} }: Answer): RestError {
  const error = new RestError("the service's own words", {
    statusCode: status,
    ...(code === undefined ? {} : { code }),
    response: { status, headers: createHttpHeaders(headers), request: Object.create(null) },
  });
  error.details = { error: { code, ...(inner === undefined ? {} : { innerError: { code: inner } }) } };
  return error;
}

/** What unwrapping, wrapping and the look-up of the version make of an error. */
async function translated(error: unknown): Promise<readonly KeyfoldError[]> {
  const fail = () => Promise.reject(error);
  const { client } = injected({ getKey: fail, wrapKey: fail, unwrapKey: fail });
  const pinned = azureKeyVault({ keyId: KEY_ID, algorithm: "A256KW", client });
  const named = azureKeyVault({
    vaultUrl: "https://example.vault.azure.net",
    keyName: "billing",
    algorithm: "A256KW",
    client,
  });
  return Promise.all([
    rejectionOf(pinned.unwrapKey(wrap, operation())),
    rejectionOf(pinned.wrapKey(secret, operation())),
    rejectionOf(named.wrapKey(secret, operation())),
  ]);
}

const answers: readonly (Answer & { readonly is: KeyfoldErrorCode })[] = [
  { status: 400, code: "BadParameter", is: "ERR_MASTER_KEY_REJECTED" },
  { status: 401, code: "Unauthorized", is: "ERR_CREDENTIALS" },
  { status: 403, code: "Forbidden", is: "ERR_MASTER_KEY_DENIED" },
  { status: 403, code: "Forbidden", inner: "AccessDenied", is: "ERR_MASTER_KEY_DENIED" },
  { status: 403, code: "Forbidden", inner: "ForbiddenByRbac", is: "ERR_MASTER_KEY_DENIED" },
  { status: 403, code: "Forbidden", inner: "ForbiddenByFirewall", is: "ERR_MASTER_KEY_UNAVAILABLE" },
  { status: 403, code: "Forbidden", inner: "KeyDisabled", is: "ERR_MASTER_KEY_DISABLED" },
  { status: 403, code: "Forbidden", inner: "KeyExpired", is: "ERR_MASTER_KEY_DISABLED" },
  { status: 403, code: "Forbidden", inner: "KeyNotYetValid", is: "ERR_MASTER_KEY_DISABLED" },
  { status: 404, code: "KeyNotFound", is: "ERR_MASTER_KEY_NOT_FOUND" },
  { status: 408, is: "ERR_MASTER_KEY_UNAVAILABLE" },
  { status: 409, code: "Conflict", is: "ERR_MASTER_KEY_UNAVAILABLE" },
  { status: 409, code: "Conflict", inner: "ObjectIsBeingDeleted", is: "ERR_MASTER_KEY_DISABLED" },
  { status: 409, code: "Conflict", inner: "ObjectIsDeletedButRecoverable", is: "ERR_MASTER_KEY_DISABLED" },
  { status: 409, code: "Conflict", inner: "ObjectIsBeingRecovered", is: "ERR_MASTER_KEY_UNAVAILABLE" },
  { status: 429, code: "Throttled", is: "ERR_MASTER_KEY_THROTTLED" },
  { status: 500, is: "ERR_MASTER_KEY_UNAVAILABLE" },
  { status: 503, inner: "KeyDisabled", is: "ERR_MASTER_KEY_UNAVAILABLE" },
  { status: 302, is: "ERR_MASTER_KEY_BAD_REPLY" },
  { status: 418, is: "ERR_MASTER_KEY_BAD_REPLY" },
];

test.each(answers)("HTTP $status $inner is $is", async ({ is, ...answer }) => {
  const error = restError(answer);
  for (const failure of await translated(error)) {
    expect(failure.code).toBe(is);
    expect(failure.cause).toBe(error);
    expect(failure.message).toContain(`HTTP ${answer.status}`);
    expect(failure.message).not.toContain("the service's own words");
  }
});

test("a refusal names the operation, which is also the permission", async () => {
  const failures = await translated(restError({ status: 403, code: "Forbidden" }));
  expect(failures.map(({ message }) => /^keys\/\w+/.exec(message)?.[0])).toEqual([
    "keys/unwrapKey",
    "keys/wrapKey",
    "keys/get",
  ]);
});

test("a 400 advises to look at the context when opening, and at the algorithm when not", async () => {
  const [unwrap, ...others] = await translated(restError({ status: 400, code: "BadParameter" }));
  expect(unwrap?.message).toContain("kmsContext");
  for (const { message } of others) expect(message).toContain("algorithm");
});

test("a version outside its dates advises a new one", async () => {
  for (const inner of ["KeyExpired", "KeyNotYetValid"]) {
    const [failure] = await translated(restError({ status: 403, code: "Forbidden", inner }));
    expect(failure?.message).toContain("Make a new version of the key");
  }
});

describe("Retry-After", () => {
  test.each([
    ["retry-after in seconds", { "retry-after": "7" }, 7_000],
    ["retry-after-ms", { "retry-after-ms": "250", "retry-after": "7" }, 250],
    ["x-ms-retry-after-ms", { "x-ms-retry-after-ms": "300" }, 300],
    ["nothing", {}, undefined],
    ["nonsense", { "retry-after": "soon" }, undefined],
  ])("%s", async (_, headers, retryAfter) => {
    for (const status of [429, 503]) {
      const [failure] = await translated(restError({ status, headers }));
      expect(failure?.retryAfter).toBe(retryAfter);
    }
  });

  test("is not read of a denial", async () => {
    const [failure] = await translated(restError({ status: 403, headers: { "retry-after": "7" } }));
    expect(failure?.retryAfter).toBeUndefined();
  });
});

const response = { error: "e", errorDescription: "d" };
const withoutAnswer: readonly (readonly [what: string, error: unknown, is: KeyfoldErrorCode])[] = [
  ["REQUEST_SEND_ERROR", new RestError("", { code: "REQUEST_SEND_ERROR" }), "ERR_MASTER_KEY_UNAVAILABLE"],
  ["ENOTFOUND", new RestError("", { code: "ENOTFOUND" }), "ERR_MASTER_KEY_UNAVAILABLE"],
  ["a certificate", new RestError("", { code: "CERT_HAS_EXPIRED" }), "ERR_MASTER_KEY_UNAVAILABLE"],
  ["ECONNREFUSED", coded("ECONNREFUSED"), "ERR_MASTER_KEY_UNAVAILABLE"],
  ["ECONNRESET", coded("ECONNRESET"), "ERR_MASTER_KEY_UNAVAILABLE"],
  ["a timeout of the SDK's", named("AbortError"), "ERR_MASTER_KEY_UNAVAILABLE"],
  ["a TimeoutError", named("TimeoutError"), "ERR_MASTER_KEY_UNAVAILABLE"],
  ["CredentialUnavailableError", new CredentialUnavailableError(""), "ERR_CREDENTIALS"],
  ["AuthenticationError", new AuthenticationError(400, response), "ERR_CREDENTIALS"],
  ["AuthenticationError of a 503", new AuthenticationError(503, response), "ERR_CREDENTIALS"],
  ["AggregateAuthenticationError", new AggregateAuthenticationError([]), "ERR_CREDENTIALS"],
  ["AuthenticationRequiredError", new AuthenticationRequiredError({ scopes: [] }), "ERR_CREDENTIALS"],
  ["a check of the SDK's", new Error("The challenge resource does not match."), "ERR_MASTER_KEY_BAD_REPLY"],
  ["a TypeError of the SDK's", new TypeError("undefined is no object"), "ERR_MASTER_KEY_BAD_REPLY"],
  ["something that is no error", "a string", "ERR_MASTER_KEY_BAD_REPLY"],
  ["nothing", undefined, "ERR_MASTER_KEY_BAD_REPLY"],
];

function named(name: string): Error {
  return Object.assign(new Error("foreign"), { name });
}

function coded(code: string): Error {
  return Object.assign(new Error("foreign"), { code });
}

test.each(withoutAnswer)("%s", async (_, error, is) => {
  for (const failure of await translated(error)) {
    expect(failure.code).toBe(is);
    expect(failure.cause).toBe(error);
  }
});

test("an AbortError is ERR_ABORTED where the signal was aborted, with its reason", async () => {
  const controller = new AbortController();
  const { client } = injected({
    unwrapKey: async () => {
      controller.abort("enough");
      throw named("AbortError");
    },
  });
  const provider = azureKeyVault({ keyId: KEY_ID, algorithm: "A256KW", client });
  const failure = await rejectionOf(provider.unwrapKey(wrap, operation(undefined, controller.signal)));
  expect(failure).toMatchObject({ code: "ERR_ABORTED", cause: "enough" });
});

test("the status of an answer counts where the SDK fails on it without one", async () => {
  const { client } = injected({
    unwrapKey: async (_, { onResponse }) => {
      onResponse({ status: 503, headers: createHttpHeaders({ "retry-after": "2" }) });
      throw new TypeError("Cannot read properties of undefined (reading 'error')");
    },
  });
  const provider = azureKeyVault({ keyId: KEY_ID, algorithm: "A256KW", client });
  const failure = await rejectionOf(provider.unwrapKey(wrap, operation()));
  expect(failure).toMatchObject({ code: "ERR_MASTER_KEY_UNAVAILABLE", retryAfter: 2_000 });
});

test("an error that quotes an answer with key bytes is not kept", async () => {
  const quoted = new RestError(`Error while parsing: {"value":"${hex(secret)}"`, {
    code: "PARSE_ERROR",
    statusCode: 200,
  });
  for (const failure of await translated(quoted)) {
    expect(failure).toMatchObject({
      code: "ERR_MASTER_KEY_BAD_REPLY",
      cause: { message: expect.stringContaining("RestError PARSE_ERROR") },
    });
    expect(inspect(failure, { depth: 10 })).not.toContain(hex(secret));
  }
});
