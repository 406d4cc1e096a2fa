/** The provider as the master key of a keyfold, counted at the server. */

import { createKeyfold, type Keyfold, type KeyfoldOptions, type MasterKeyProvider } from "@keyfold/core";
import { describe, expect, onTestFinished, test } from "vitest";
import { rejectionOf } from "../../../test/support/refusal.ts";
import { clientFor, type FakeAwsKms, providerFor, startKms } from "./support/material.ts";

const context = { name: "db_password" };
const always = { times: Number.POSITIVE_INFINITY };

test("10,000 seals from 100 concurrent callers make one Encrypt, and a second process opens them with one Decrypt", async () => {
  const kms = await startKms();
  const sealer = keyfoldOf(providerFor(kms, { keyId: kms.alias }), { deadline: 60_000 });
  const sealed = await inParallel(100, (caller) =>
    oneByOne(100, (i) => sealer.seal(`secret ${caller}/${i}`, { name: `${caller}/${i}` })),
  );
  expect(operations(kms)).toEqual(["Encrypt"]);

  const opener = keyfoldOf(providerFor(kms, { keyId: kms.alias }), { deadline: 60_000 });
  const opened = await inParallel(100, (caller) =>
    oneByOne(100, async (i) => {
      const envelope = sealed[caller]?.[i];
      if (envelope === undefined) throw new Error("an envelope is missing");
      return opener.openText(envelope, { name: `${caller}/${i}` });
    }),
  );
  expect(opened.flat()).toHaveLength(10_000);
  for (const [caller, texts] of opened.entries()) {
    expect(texts).toEqual(Array.from({ length: 100 }, (_, i) => `secret ${caller}/${i}`));
  }
  expect(operations(kms)).toEqual(["Encrypt", "Decrypt"]);
});

test("what one seals another opens, by alias, ARN or key id, and the envelope names the ARN", async () => {
  const kms = await startKms();
  const sealer = keyfoldOf(providerFor(kms, { keyId: kms.alias }));
  const sealed = await sealer.sealText("hunter2", context);
  expect(sealer.inspect(sealed).masterKeys).toEqual([`aws-kms://${kms.keyArn}`]);
  const aliasArn = kms.keyArn.replace(/key\/.*/, kms.alias);
  for (const keyId of [kms.alias, aliasArn, kms.keyArn, kms.keyArn.replace(/.*key\//, "")]) {
    expect(await keyfoldOf(providerFor(kms, { keyId })).openText(sealed, context)).toBe("hunter2");
  }
});

test("another project and another kmsContext are refused by the service", async () => {
  const kms = await startKms();
  const sealed = await keyfoldOf(providerFor(kms)).seal("hunter2", context);
  for (const options of [{ project: "billing/test" }, { kmsContext: { tenant: "acme" } }]) {
    const other = keyfoldOf(providerFor(kms), options);
    expect((await rejectionOf(other.open(sealed, context))).code).toBe("ERR_MASTER_KEY_REJECTED");
  }
});

test("after an alias has moved, the old key in openWith opens, and rewrap lets it go", async () => {
  const kms = await startKms();
  const sealed = await keyfoldOf(providerFor(kms, { keyId: kms.alias })).seal("hunter2", context);
  const next = kms.createKey();
  kms.moveAlias(kms.alias, next);
  const after = keyfoldOf(providerFor(kms, { keyId: kms.alias }), { openWith: providerFor(kms) });
  expect(await after.openText(sealed, context)).toBe("hunter2");
  const rewrapped = await after.rewrap(sealed);
  expect(after.inspect(rewrapped).masterKeys).toEqual([`aws-kms://${next}`]);
  kms.destroy(kms.keyArn);
  const fresh = keyfoldOf(providerFor(kms, { keyId: kms.alias }));
  expect(await fresh.openText(rewrapped, context)).toBe("hunter2");
});

describe("a refusal comes at once, after exactly one request:", () => {
  const levers: readonly (readonly [string, (kms: FakeAwsKms) => void, string])[] = [
    ["denied", (kms) => kms.deny(), "ERR_MASTER_KEY_DENIED"],
    ["disabled", (kms) => kms.disable(kms.keyArn), "ERR_MASTER_KEY_DISABLED"],
    ["pending deletion", (kms) => kms.scheduleDeletion(kms.keyArn), "ERR_MASTER_KEY_DISABLED"],
    ["not found", (kms) => kms.destroy(kms.keyArn), "ERR_MASTER_KEY_NOT_FOUND"],
    ["expired credentials", (kms) => kms.inject({ kind: "expired-credentials" }, always), "ERR_CREDENTIALS"],
  ];
  test.each(levers)("%s", async (_, pull, code) => {
    const kms = await startKms();
    const sealed = await keyfoldOf(providerFor(kms)).seal("hunter2", context);
    pull(kms);
    expect((await rejectionOf(keyfoldOf(providerFor(kms)).seal("hunter2", context))).code).toBe(code);
    expect((await rejectionOf(keyfoldOf(providerFor(kms)).open(sealed, context))).code).toBe(code);
    expect(operations(kms)).toEqual(["Encrypt", "Encrypt", "Decrypt"]);
  });
});

describe("a service that does not answer fails within the deadline:", () => {
  const outages: readonly (readonly [string, (kms: FakeAwsKms) => void | Promise<void>])[] = [
    ["nobody listens", (kms) => kms.close()],
    ["it is silent", (kms) => kms.inject({ kind: "silent" }, always)],
    ["it says that it is down", (kms) => kms.inject({ kind: "down" }, always)],
    ["it cuts every connection", (kms) => kms.inject({ kind: "cut" }, always)],
    ["it throttles for longer", (kms) => kms.inject({ kind: "throttled", retryAfterMs: 60_000 }, always)],
  ];
  test.each(outages)("%s", async (_, pull) => {
    const kms = await startKms();
    const sealed = await keyfoldOf(providerFor(kms)).seal("hunter2", context);
    await pull(kms);
    const began = performance.now();
    const late = keyfoldOf(providerFor(kms), { deadline: 500 });
    for (const call of [late.seal("hunter2", context), late.open(sealed, context)]) {
      const refusal = await rejectionOf(call);
      expect(refusal.code).toBe("ERR_MASTER_KEY_UNAVAILABLE");
      expect(refusal.retryable).toBe(true);
    }
    expect(performance.now() - began).toBeLessThan(20_000);
  });
});

describe("a service that answers in the end is asked again:", () => {
  test.each(["throttled", "down", "cut"] as const)("%s twice", async (kind) => {
    const kms = await startKms();
    kms.inject({ kind }, { times: 2 });
    const keyfold = keyfoldOf(providerFor(kms), { deadline: 30_000 });
    const sealed = await keyfold.seal("hunter2", context);
    expect(await keyfold.openText(sealed, context)).toBe("hunter2");
    expect(operations(kms)).toEqual(["Encrypt", "Encrypt", "Encrypt"]);
  });

  test("a clock that is an hour wrong", async () => {
    const kms = await startKms();
    const client = clientFor(kms, { systemClockOffset: 3_600_000 });
    const sealed = await keyfoldOf(providerFor(kms, { client })).seal("hunter2", context);
    expect(await keyfoldOf(providerFor(kms)).openText(sealed, context)).toBe("hunter2");
  });
});

function keyfoldOf(masterKeys: MasterKeyProvider, options: Partial<KeyfoldOptions> = {}): Keyfold {
  const keyfold = createKeyfold({ project: "billing/prod", masterKeys, ...options });
  onTestFinished(() => keyfold.close());
  return keyfold;
}

function operations(kms: FakeAwsKms): readonly string[] {
  return kms.requests.map(({ operation }) => operation);
}

function inParallel<T>(count: number, work: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => work(index)));
}

async function oneByOne<T>(count: number, work: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let i = 0; i < count; i++) results.push(await work(i));
  return results;
}
