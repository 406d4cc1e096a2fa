/** A keyfold over Cloud KMS: how many calls it makes, and how it ends when the service does not answer. */

import { createKeyfold, type KeyfoldErrorCode } from "@keyfold/core";
import { describe, expect, onTestFinished, test } from "vitest";
import { rejectionOf } from "../../../test/support/refusal.ts";
import { providerOf, serve, startService } from "./support/service.ts";

const project = "billing/prod";

function keyfoldOf(masterKeys: ReturnType<typeof providerOf>, deadline = 5_000) {
  const keyfold = createKeyfold({ project, masterKeys, deadline });
  onTestFinished(() => keyfold.close());
  return keyfold;
}

test("10,000 seals from 100 callers make one Encrypt; opening them all elsewhere makes one Decrypt", async () => {
  const kms = await startService();
  const sealer = keyfoldOf(providerOf(kms), 60_000);
  const sealed = await Promise.all(
    Array.from({ length: 100 }, async (_, caller) => {
      const own: Uint8Array[] = [];
      for (let i = 0; i < 100; i++) own.push(await sealer.seal(`${caller}/${i}`, { caller: `${caller}` }));
      return own;
    }),
  );
  expect(kms.requests.map(({ operation }) => operation)).toEqual(["Encrypt"]);
  expect(sealer.inspect(sealed[0]?.[0] ?? "").masterKeys).toEqual([`gcp-kms://${kms.keyName}`]);
  const opener = keyfoldOf(providerOf(kms), 60_000);
  const texts = await Promise.all(
    sealed.map((own, caller) =>
      Promise.all(own.map((each) => opener.openText(each, { caller: `${caller}` }))),
    ),
  );
  expect(texts.map((own, caller) => own.every((text, i) => text === `${caller}/${i}`))).toEqual(
    Array.from({ length: 100 }, () => true),
  );
  expect(kms.requests.map(({ operation }) => operation)).toEqual(["Encrypt", "Decrypt"]);
});

describe("a service that does not answer fails within the deadline, with ERR_MASTER_KEY_UNAVAILABLE", () => {
  test.each(["down", "cut", "silent"] as const)("%s", async (kind) => {
    const { kms, provider } = await serve();
    kms.inject({ kind }, { times: Number.POSITIVE_INFINITY });
    await provider.load?.();
    const began = performance.now();
    const refusal = await rejectionOf(keyfoldOf(provider, 1_000).seal("hunter2", {}));
    expect(refusal.code).toBe("ERR_MASTER_KEY_UNAVAILABLE");
    expect(performance.now() - began).toBeLessThan(20_000);
  });

  test("a closed port", async () => {
    const { kms, provider } = await serve();
    await kms.close();
    const refusal = await rejectionOf(keyfoldOf(provider, 500).seal("hunter2", {}));
    expect(refusal.code).toBe("ERR_MASTER_KEY_UNAVAILABLE");
  });
});

test("an outage that ends within the deadline is not noticed", async () => {
  const { kms, provider } = await serve();
  kms.inject({ kind: "down" });
  kms.inject({ kind: "cut" });
  const keyfold = keyfoldOf(provider, 30_000);
  await keyfold.seal("hunter2", {});
  expect(kms.requests).toHaveLength(3);
});

test("the pause that a throttling service asks for is kept", async () => {
  const { kms, provider } = await serve();
  kms.inject({ kind: "throttled", retryAfterMs: 700 });
  await keyfoldOf(provider, 30_000).seal("hunter2", {});
  const [first, second] = kms.requests;
  expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(650);
});

describe("a refusal comes at once, with one request", () => {
  test.each<[string, KeyfoldErrorCode, (kms: Awaited<ReturnType<typeof startService>>) => void]>([
    ["denied", "ERR_MASTER_KEY_DENIED", (kms) => kms.deny(kms.keyName)],
    ["disabled", "ERR_MASTER_KEY_DISABLED", (kms) => kms.disable(kms.primary(kms.keyName))],
    [
      "waiting to be destroyed",
      "ERR_MASTER_KEY_DISABLED",
      (kms) => kms.scheduleDestruction(kms.primary(kms.keyName)),
    ],
    ["destroyed", "ERR_MASTER_KEY_DISABLED", (kms) => kms.destroy(kms.primary(kms.keyName))],
    ["expired credentials", "ERR_CREDENTIALS", (kms) => kms.inject({ kind: "expired-credentials" })],
    [
      "another key's answer",
      "ERR_MASTER_KEY_BAD_REPLY",
      (kms) => kms.inject({ kind: "another-key" }, { operation: "Encrypt" }),
    ],
    ["a wrong checksum", "ERR_MASTER_KEY_BAD_REPLY", (kms) => kms.inject({ kind: "bad-checksum" })],
  ])("%s", async (_, code, arrange) => {
    const { kms, provider } = await serve();
    arrange(kms);
    expect((await rejectionOf(keyfoldOf(provider).seal("hunter2", {}))).code).toBe(code);
    expect(kms.requests).toHaveLength(1);
  });

  test("not found", async () => {
    const kms = await startService();
    const refusal = await rejectionOf(keyfoldOf(providerOf(kms, `${kms.keyName}-2`)).seal("hunter2", {}));
    expect(refusal.code).toBe("ERR_MASTER_KEY_NOT_FOUND");
    expect(kms.requests).toHaveLength(1);
  });
});

test("an envelope of another project is refused by the service itself", async () => {
  const kms = await startService();
  const sealed = await keyfoldOf(providerOf(kms)).seal("hunter2", {});
  const other = createKeyfold({ project: "billing/test", openWith: providerOf(kms) });
  onTestFinished(() => other.close());
  expect((await rejectionOf(other.open(sealed, {}))).code).toBe("ERR_MASTER_KEY_REJECTED");
  expect(kms.requests.map(({ operation }) => operation)).toEqual(["Encrypt", "Decrypt"]);
});
