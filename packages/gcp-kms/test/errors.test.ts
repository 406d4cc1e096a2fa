/** Every row of the error table, through both operations. */

import type { KeyfoldErrorCode, MasterKeyProvider, WrappedKey } from "@keyfold/core";
import { describe, expect, test } from "vitest";
import { rejectionOf } from "../../../test/support/refusal.ts";
import { gcpKms } from "../src/index.ts";
import { failingClient, keyName, ScriptedClient } from "./support/scripted-client.ts";
import { key, operation } from "./support/service.ts";

const wrapped: WrappedKey = {
  masterKey: `gcp-kms://${keyName}`,
  ciphertext: Uint8Array.of(1, ...new Uint8Array(64)),
};

const calls: Readonly<Record<string, (provider: MasterKeyProvider) => Promise<unknown>>> = {
  wrapKey: (provider) => provider.wrapKey(key, operation()),
  unwrapKey: (provider) => provider.unwrapKey(wrapped, operation()),
};

/** As the SDK makes them: an Error with a number for a code. */
function grpcError(code: unknown, message = "as the service words it", more: object = {}): Error {
  return Object.assign(new Error(`${message}`), { code, details: message, ...more });
}

describe.each(Object.entries(calls))("%s", (_, call) => {
  test.each<[string, number, KeyfoldErrorCode, boolean]>([
    ["CANCELLED", 1, "ERR_MASTER_KEY_UNAVAILABLE", true],
    ["UNKNOWN", 2, "ERR_MASTER_KEY_UNAVAILABLE", true],
    ["INVALID_ARGUMENT", 3, "ERR_MASTER_KEY_REJECTED", false],
    ["DEADLINE_EXCEEDED", 4, "ERR_MASTER_KEY_UNAVAILABLE", true],
    ["NOT_FOUND", 5, "ERR_MASTER_KEY_NOT_FOUND", false],
    ["ALREADY_EXISTS", 6, "ERR_MASTER_KEY_BAD_REPLY", false],
    ["PERMISSION_DENIED", 7, "ERR_MASTER_KEY_DENIED", false],
    ["RESOURCE_EXHAUSTED", 8, "ERR_MASTER_KEY_THROTTLED", true],
    ["FAILED_PRECONDITION", 9, "ERR_MASTER_KEY_DISABLED", false],
    ["ABORTED", 10, "ERR_MASTER_KEY_UNAVAILABLE", true],
    ["OUT_OF_RANGE", 11, "ERR_MASTER_KEY_BAD_REPLY", false],
    ["UNIMPLEMENTED", 12, "ERR_MASTER_KEY_BAD_REPLY", false],
    ["INTERNAL", 13, "ERR_MASTER_KEY_UNAVAILABLE", true],
    ["UNAVAILABLE", 14, "ERR_MASTER_KEY_UNAVAILABLE", true],
    ["DATA_LOSS", 15, "ERR_MASTER_KEY_BAD_REPLY", false],
    ["UNAUTHENTICATED", 16, "ERR_CREDENTIALS", false],
  ])("%s (%i) is %s", async (_, code, expected, retryable) => {
    const cause = grpcError(code);
    const refusal = await rejectionOf(call(gcpKms({ keyName, client: failingClient(cause) })));
    expect(refusal).toMatchObject({ code: expected, retryable });
    expect(refusal.cause).toBe(cause);
    expect(refusal.retryAfter).toBeUndefined();
  });

  test.each<[string, unknown, KeyfoldErrorCode]>([
    [
      "a reply that is no message",
      grpcError(13, "13 INTERNAL: Response message parsing error: index out of range"),
      "ERR_MASTER_KEY_BAD_REPLY",
    ],
    ["no message", grpcError(12, "12 UNIMPLEMENTED: No message received"), "ERR_MASTER_KEY_BAD_REPLY"],
    [
      "no default credentials",
      new Error("Could not load the default credentials. Browse to …"),
      "ERR_CREDENTIALS",
    ],
    ["a refused refresh token", grpcError("400", "invalid_grant"), "ERR_CREDENTIALS"],
    [
      "a refused token within gRPC",
      grpcError(2, "2 UNKNOWN: Getting metadata from plugin failed with error: invalid_grant"),
      "ERR_CREDENTIALS",
    ],
    [
      "a token server that is down, within gRPC",
      grpcError(
        2,
        "2 UNKNOWN: Getting metadata from plugin failed with error: request to https://oauth2.googleapis.com/token failed, reason: connect ECONNREFUSED",
      ),
      "ERR_MASTER_KEY_UNAVAILABLE",
    ],
    [
      "a token server that is unwell, within gRPC",
      grpcError(
        2,
        "2 UNKNOWN: Getting metadata from plugin failed with error: Request failed with status code 503",
      ),
      "ERR_MASTER_KEY_UNAVAILABLE",
    ],
    [
      "a token server that refuses, within gRPC",
      grpcError(
        2,
        "2 UNKNOWN: Getting metadata from plugin failed with error: Request failed with status code 401",
      ),
      "ERR_CREDENTIALS",
    ],
    [
      "no connection of the REST transport",
      grpcError("ECONNREFUSED", "connect ECONNREFUSED 127.0.0.1:443"),
      "ERR_MASTER_KEY_UNAVAILABLE",
    ],
    ["an error of another kind", new TypeError("x is not a function"), "ERR_MASTER_KEY_BAD_REPLY"],
    ["a code that gRPC does not have", grpcError(99), "ERR_MASTER_KEY_BAD_REPLY"],
    ["a string", "The client has already been closed.", "ERR_MASTER_KEY_BAD_REPLY"],
    ["undefined", undefined, "ERR_MASTER_KEY_BAD_REPLY"],
    ["null", null, "ERR_MASTER_KEY_BAD_REPLY"],
  ])("%s", async (_, cause, expected) => {
    const refusal = await rejectionOf(call(gcpKms({ keyName, client: failingClient(cause) })));
    expect(refusal.code).toBe(expected);
    expect(refusal.cause).toBe(cause);
  });

  test.each<[string, unknown, number | undefined]>([
    ["a number", { seconds: 2, nanos: 500_000_000 }, 2_500],
    ["a string", { seconds: "2", nanos: 0 }, 2_000],
    ["an object of 64 bits", { seconds: { toString: () => "3" }, nanos: 1 }, 3_001],
    ["nothing but nanoseconds", { nanos: 20_000_000 }, 20],
    ["no number", { seconds: "soon" }, undefined],
    ["negative", { seconds: -1 }, undefined],
  ])("the pause that the service asks for is kept: its seconds are %s", async (_, retryDelay, expected) => {
    const cause = grpcError(8, "8 RESOURCE_EXHAUSTED: quota", {
      statusDetails: [{ reason: "x" }, { retryDelay }],
    });
    const refusal = await rejectionOf(call(gcpKms({ keyName, client: failingClient(cause) })));
    expect(refusal.code).toBe("ERR_MASTER_KEY_THROTTLED");
    expect(refusal.retryAfter).toBe(expected);
  });
});

test("CANCELLED by our own signal is ERR_ABORTED", async () => {
  const controller = new AbortController();
  const client = new ScriptedClient().spoil(() => {
    const rejection = Promise.reject(grpcError(1));
    controller.abort(new Error("enough"));
    return rejection;
  });
  const refusal = await rejectionOf(gcpKms({ keyName, client }).wrapKey(key, operation(controller.signal)));
  expect(refusal.code).toBe("ERR_ABORTED");
  expect(refusal.cause).toEqual(new Error("enough"));
});

describe("credentials that are not found", () => {
  test.each<[string, string, KeyfoldErrorCode]>([
    ["none", "Could not load the default credentials. Browse to …", "ERR_CREDENTIALS"],
    ["a file that is not there", "ENOENT: no such file or directory, lstat 'key.json'", "ERR_CREDENTIALS"],
    ["a file that is none", "Unexpected token 'x', \"x\" is not valid JSON", "ERR_CREDENTIALS"],
    [
      "of another universe",
      "The configured universe domain (a) does not match the universe domain found in the credentials (b).",
      "ERR_CREDENTIALS",
    ],
    [
      "an unreachable metadata server",
      "request to http://169.254.169.254 failed, reason: connect EHOSTUNREACH",
      "ERR_MASTER_KEY_UNAVAILABLE",
    ],
  ])("%s: no call is made, and the next call looks again", async (_, message, expected) => {
    const client = new ScriptedClient();
    const cause = new Error(message);
    let looks = 0;
    const initialize = async () => {
      if (looks++ === 0) throw cause;
    };
    const provider = gcpKms({ keyName, client: Object.assign(client, { initialize }) });
    const refusal = await rejectionOf(provider.wrapKey(key, operation()));
    expect(refusal.code).toBe(expected);
    expect(refusal.cause).toBe(cause);
    expect(client.encrypted).toHaveLength(0);
    await provider.wrapKey(key, operation());
    expect(client.encrypted).toHaveLength(1);
  });
});
