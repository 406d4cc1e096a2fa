/** With a master key in memory: the fastest way, and enough for most tests. */

import { createKeyfold } from "@keyfold/core";
import { type MemoryMasterKey, memoryMasterKey } from "@keyfold/testing";
import { beforeEach, describe, expect, test } from "vitest";
import { TokenStore } from "../token-store.ts";

let masterKey: MemoryMasterKey;
let rows: Map<string, string>;

beforeEach(() => {
  masterKey = memoryMasterKey();
  rows = new Map();
});

/** The service in a process of its own: same master key, same table, nothing in memory yet. */
function startService(): TokenStore {
  return new TokenStore(createKeyfold({ project: "shop", masterKeys: masterKey, deadline: 2_000 }), rows);
}

describe("the token store, with a master key in memory", () => {
  test("gives a token back after a restart", async () => {
    await startService().save("ada", "token-1");
    expect(await startService().read("ada")).toBe("token-1");
    expect(masterKey.calls).toMatchObject({ wraps: 1, unwraps: 1 });
  });

  test("stores no token in clear", async () => {
    await startService().save("ada", "token-1");
    expect([...rows.values()].join()).not.toContain("token-1");
  });

  test("asks the master key once for a thousand tokens", async () => {
    const service = startService();
    const users = Array.from({ length: 1_000 }, (_, number) => `user-${number}`);
    await Promise.all(users.map((user) => service.save(user, `token of ${user}`)));
    expect(masterKey.calls.wraps).toBe(1);
  });

  test("does not open a token in another user's row", async () => {
    const service = startService();
    await service.save("ada", "token-1");
    rows.set("eve", rows.get("ada") ?? "");
    await expect(service.read("eve")).rejects.toMatchObject({ code: "ERR_CONTEXT_MISMATCH" });
  });

  test("gets over a throttled master key", async () => {
    masterKey.fail("ERR_MASTER_KEY_THROTTLED", { times: 2 });
    await startService().save("ada", "token-1");
    expect(masterKey.calls.wraps).toBe(3);
  });

  test.each([
    ["ERR_MASTER_KEY_UNAVAILABLE", "degraded"],
    ["ERR_MASTER_KEY_DENIED", "misconfigured"],
  ] as const)("reports %s as %s", async (code, health) => {
    masterKey.fail(code, { times: Number.POSITIVE_INFINITY });
    expect(await startService().health()).toBe(health);
    masterKey.clear();
    expect(await startService().health()).toBe("ok");
  });

  test("reads what was saved before the key was rotated", async () => {
    await startService().save("ada", "token-1");
    masterKey.rotate();
    expect(await startService().read("ada")).toBe("token-1");
  });
});
