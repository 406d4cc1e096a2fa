/** With a fake server: the real SDK, its sockets, its signatures and its errors, all on this machine. */

import { KMSClient } from "@aws-sdk/client-kms";
import { awsKms } from "@keyfold/aws-kms";
import { createKeyfold } from "@keyfold/core";
import { type FakeAwsKms, startFakeAwsKms } from "@keyfold/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TokenStore } from "../token-store.ts";

let kms: FakeAwsKms;

beforeAll(async () => {
  kms = await startFakeAwsKms();
});

afterAll(() => kms.close());

function startService(rows = new Map<string, string>()): TokenStore {
  const client = new KMSClient({ ...kms.clientConfig, maxAttempts: 1 });
  const masterKeys = awsKms({ keyId: kms.keyArn, client });
  return new TokenStore(createKeyfold({ project: "shop", masterKeys, deadline: 2_500 }), rows);
}

describe("the token store, against a fake AWS KMS", () => {
  test("gives a token back after a restart, for two requests", async () => {
    const rows = new Map<string, string>();
    const before = kms.requests.length;
    await startService(rows).save("ada", "token-1");
    expect(await startService(rows).read("ada")).toBe("token-1");
    expect(kms.requests.slice(before).map(({ operation }) => operation)).toEqual(["Encrypt", "Decrypt"]);
  });

  test("gets over a connection that is cut", async () => {
    kms.inject({ kind: "cut" });
    expect(await startService().health()).toBe("ok");
  });

  test("is degraded while the service is down, and well again after it", async () => {
    const service = startService();
    kms.inject({ kind: "down" }, { times: Number.POSITIVE_INFINITY });
    expect(await service.health()).toBe("degraded");
    kms.clear();
    await expect.poll(() => service.health(), { timeout: 10_000 }).toBe("ok");
  });

  test("is misconfigured while the key is disabled", async () => {
    kms.disable(kms.keyArn);
    expect(await startService().health()).toBe("misconfigured");
    kms.enable(kms.keyArn);
  });
});
