/** The provider on the real SDK, against the fake service. */

import { createServer } from "node:net";
import { inspect } from "node:util";
import type { WrappedKey } from "@keyfold/core";
import { describe, expect, onTestFinished, test } from "vitest";
import { rejectionOf } from "../../../test/support/refusal.ts";
import { gcpKms } from "../src/index.ts";
import { ScriptedClient } from "./support/scripted-client.ts";
import {
  aad,
  context,
  impatient,
  key,
  operation,
  providerOf,
  realClient,
  serve,
  soon,
  startService,
} from "./support/service.ts";

const signal = new AbortController().signal;

describe("a wrap", () => {
  test("is 01 and the ciphertext of Encrypt, with the encoded context as associated data", async () => {
    const { kms, provider, uri } = await serve();
    const wrapped = await provider.wrapKey(key, operation());
    expect(wrapped.masterKey).toBe(uri);
    expect(wrapped.ciphertext[0]).toBe(1);
    const opened = kms.decryptBlob(kms.keyName, wrapped.ciphertext.subarray(1), aad);
    expect(opened && Uint8Array.from(opened)).toEqual(key);
    expect(kms.requests).toMatchObject([{ operation: "Encrypt", key: kms.keyName }]);
  });

  test("that was made by the specification alone unwraps", async () => {
    const { kms, provider, uri } = await serve();
    const ciphertext = Uint8Array.of(1, ...kms.encryptBlob(kms.keyName, key, aad));
    expect(await provider.unwrapKey({ masterKey: uri, ciphertext }, operation())).toEqual(key);
    expect(kms.requests).toMatchObject([{ operation: "Decrypt", key: kms.keyName }]);
  });

  test("is bound to its context, in any order", async () => {
    const { provider } = await serve();
    const wrapped = await provider.wrapKey(key, operation());
    const reversed = Object.fromEntries(Object.entries(context).reverse());
    expect(await provider.unwrapKey(wrapped, { context: reversed, signal })).toEqual(key);
    for (const other of [{}, { ...context, more: "" }, { ...context, "keyfold:project": "billing/test" }]) {
      const refusal = await rejectionOf(provider.unwrapKey(wrapped, { context: other, signal }));
      expect(refusal.code).toBe("ERR_MASTER_KEY_REJECTED");
    }
  });

  test("of one key opens under no other, whatever name it is given", async () => {
    const { kms, provider, uri } = await serve();
    const other = providerOf(kms, kms.createKey());
    const { ciphertext } = await other.wrapKey(key, operation());
    const refusal = await rejectionOf(provider.unwrapKey({ masterKey: uri, ciphertext }, operation()));
    expect(refusal.code).toBe("ERR_MASTER_KEY_REJECTED");
    expect(refusal.cause).toMatchObject({ code: 3 });
  });

  test.each<[string, (whole: WrappedKey) => Partial<WrappedKey>]>([
    ["under another key's name", ({ masterKey }) => ({ masterKey: `${masterKey}2` })],
    ["under a version's name", ({ masterKey }) => ({ masterKey: `${masterKey}/cryptoKeyVersions/1` })],
    ["of another scheme", ({ ciphertext }) => ({ ciphertext: ciphertext.with(0, 2) })],
    ["that is empty", () => ({ ciphertext: new Uint8Array() })],
    ["that is a scheme byte", () => ({ ciphertext: Uint8Array.of(1) })],
    ["of 32 bytes", () => ({ ciphertext: new Uint8Array(32).with(0, 1) })],
    ["of 8,194 bytes", () => ({ ciphertext: new Uint8Array(8_194).with(0, 1) })],
  ])("%s is refused without a request", async (_, alter) => {
    const { kms, provider, uri } = await serve();
    const ciphertext = Uint8Array.of(1, ...kms.encryptBlob(kms.keyName, key, aad));
    const whole = { masterKey: uri, ciphertext };
    const refusal = await rejectionOf(provider.unwrapKey({ ...whole, ...alter(whole) }, operation()));
    expect(refusal.code).toBe("ERR_MASTER_KEY_REJECTED");
    expect(kms.requests).toHaveLength(0);
  });

  test("at the bounds of its length is asked for", async () => {
    const { kms, provider, uri } = await serve();
    for (const bytes of [33, 8_193]) {
      const ciphertext = new Uint8Array(bytes).with(0, 1);
      const refusal = await rejectionOf(provider.unwrapKey({ masterKey: uri, ciphertext }, operation()));
      expect(refusal).toMatchObject({ code: "ERR_MASTER_KEY_REJECTED", cause: { code: 3 } });
    }
    expect(kms.requests).toHaveLength(2);
  });

  test("fits an HSM key with the largest KMS context", async () => {
    const kms = await startService();
    const provider = providerOf(kms, kms.createKey({ protectionLevel: "HSM" }));
    // 2 bytes of count and 2 of each length: 2,048 in all.
    const largest = { context: { a: "x".repeat(2_048 - 2 - 2 - 1 - 2) }, signal };
    const wrapped = await provider.wrapKey(key, largest);
    expect(await provider.unwrapKey(wrapped, largest)).toEqual(key);
  });

  test("survives a rotation, also for a process that starts after it", async () => {
    const { kms, provider, uri } = await serve();
    const before = await provider.wrapKey(key, operation());
    kms.rotate(kms.keyName);
    const after = await provider.wrapKey(key, operation());
    expect([before.masterKey, after.masterKey]).toEqual([uri, uri]);
    for (const each of [provider, providerOf(kms)]) {
      expect(await each.unwrapKey(before, operation())).toEqual(key);
      expect(await each.unwrapKey(after, operation())).toEqual(key);
    }
    kms.disable(`${kms.keyName}/cryptoKeyVersions/1`);
    expect((await rejectionOf(provider.unwrapKey(before, operation()))).code).toBe("ERR_MASTER_KEY_DISABLED");
    expect(await provider.unwrapKey(after, operation())).toEqual(key);
  });
});

describe("a reply is refused", () => {
  test("that another key made", async () => {
    const { kms, provider } = await serve();
    kms.inject({ kind: "another-key" }, { operation: "Encrypt" });
    const refusal = await rejectionOf(provider.wrapKey(key, operation()));
    expect(refusal.code).toBe("ERR_MASTER_KEY_BAD_REPLY");
    expect(refusal.message).toMatch(/Another key/);
  });

  test.each(["bad-checksum", "bad-length", "malformed"] as const)(
    "for %s, wrapping and unwrapping",
    async (kind) => {
      const { kms, provider } = await serve();
      const wrapped = await provider.wrapKey(key, operation());
      kms.inject({ kind }, { times: 2 });
      for (const call of [provider.wrapKey(key, operation()), provider.unwrapKey(wrapped, operation())]) {
        const refusal = await rejectionOf(call);
        expect(refusal).toMatchObject({ code: "ERR_MASTER_KEY_BAD_REPLY", retryable: false });
      }
      expect(kms.requests).toHaveLength(3);
      expect(await provider.unwrapKey(wrapped, operation())).toEqual(key);
    },
  );
});

describe("a dead endpoint", () => {
  test("that refuses connections fails at once", async () => {
    const { kms, provider } = await serve();
    await kms.close();
    const refusal = await rejectionOf(provider.wrapKey(key, operation()));
    expect(refusal).toMatchObject({ code: "ERR_MASTER_KEY_UNAVAILABLE", cause: { code: 14 } });
  });

  test("that accepts and says nothing does not block past the signal", async () => {
    const kms = await startService();
    const deaf = createServer();
    await new Promise<void>((resolve) => deaf.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void deaf.close());
    const address = deaf.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const provider = gcpKms({ keyName: kms.keyName, client: realClient(kms, port) });
    // The SDK's own timeout would be ERR_MASTER_KEY_UNAVAILABLE.
    const refusal = await rejectionOf(provider.wrapKey(key, operation(AbortSignal.timeout(300))));
    expect(refusal.code).toBe("ERR_ABORTED");
  });

  test("ends the SDK's own call too, in the time that it is given, and is asked once", async () => {
    const kms = await startService();
    const provider = gcpKms({ keyName: kms.keyName, client: impatient(realClient(kms)) });
    kms.inject({ kind: "silent" }, { times: Number.POSITIVE_INFINITY });
    const refusal = await rejectionOf(provider.wrapKey(key, operation()));
    expect(refusal).toMatchObject({ code: "ERR_MASTER_KEY_UNAVAILABLE", cause: { code: 4 } });
    expect(kms.requests).toHaveLength(1);
  });
});

describe("a signal", () => {
  test("that is aborted makes no request", async () => {
    const { kms, provider } = await serve();
    const wrapped = await provider.wrapKey(key, operation());
    const reason = new Error("enough");
    const given = operation(AbortSignal.abort(reason));
    for (const call of [provider.wrapKey(key, given), provider.unwrapKey(wrapped, given)]) {
      expect(await rejectionOf(call)).toMatchObject({ code: "ERR_ABORTED", cause: reason });
    }
    expect(kms.requests).toHaveLength(1);
  });

  test("that aborts in flight rejects at once, and cancels the SDK's call", async () => {
    const { kms, provider } = await serve();
    kms.inject({ kind: "silent" });
    const controller = new AbortController();
    const pending = rejectionOf(provider.wrapKey(key, operation(controller.signal)));
    await expect.poll(() => kms.requests.length, soon).toBe(1);
    controller.abort();
    expect((await pending).code).toBe("ERR_ABORTED");
  });
});

describe("bytes", () => {
  test("go in unchanged, and come out in memory of their own", async () => {
    const { provider } = await serve();
    const given = key.slice();
    const wrapped = await provider.wrapKey(given, operation());
    const sealed = wrapped.ciphertext.slice();
    const first = await provider.unwrapKey(wrapped, operation());
    const second = await provider.unwrapKey(wrapped, operation());
    expect(given).toEqual(key);
    expect(wrapped.ciphertext).toEqual(sealed);
    expect(first.buffer.byteLength).toBe(32);
    expect(wrapped.ciphertext.buffer.byteLength).toBe(wrapped.ciphertext.length);
    first.fill(0);
    expect(second).toEqual(key);
  });

  test("of the key to be wrapped are taken at the call, whatever the caller does to them then", async () => {
    const { provider } = await serve();
    const given = key.slice();
    const pending = provider.wrapKey(given, operation());
    given.fill(0);
    expect(await provider.unwrapKey(await pending, operation())).toEqual(key);
  });

  test.each([0, 31, 33])("of a key of %i are refused before a call", async (length) => {
    const { kms, provider } = await serve();
    const refusal = await rejectionOf(provider.wrapKey(new Uint8Array(length), operation()));
    expect(refusal.code).toBe("ERR_INVALID_ARGUMENT");
    expect(kms.requests).toHaveLength(0);
  });
});

describe("closing", () => {
  test("twice is fine, calls then fail, and an injected client is left alone", async () => {
    const kms = await startService();
    const client = new ScriptedClient();
    const provider = gcpKms({ keyName: kms.keyName, client });
    const wrapped = await provider.wrapKey(key, operation());
    await provider.close?.();
    await provider.close?.();
    expect((await rejectionOf(provider.wrapKey(key, operation()))).code).toBe("ERR_CLOSED");
    expect((await rejectionOf(provider.unwrapKey(wrapped, operation()))).code).toBe("ERR_CLOSED");
    expect(provider.recognizes(wrapped.masterKey)).toBe(true);
    expect(client.closed).toBe(0);
    expect(client.encrypted).toHaveLength(1);
  });
});

test("nothing of a provider or its errors prints a key", async () => {
  const { kms, provider } = await serve();
  const wrapped = await provider.wrapKey(key, operation());
  kms.inject({ kind: "bad-checksum" });
  const errors = [
    await rejectionOf(provider.unwrapKey(wrapped, operation())),
    await rejectionOf(provider.unwrapKey(wrapped, { context: {}, signal })),
  ];
  const shown = [provider, ...errors].map(
    (value) => inspect(value, { depth: 20, showHidden: true, maxArrayLength: null }) + JSON.stringify(value),
  );
  const start = [...key.subarray(0, 6)];
  const hex = Buffer.from(key).toString("hex");
  for (const spelling of [
    start.join(", "),
    start.join(","),
    hex.slice(0, 12),
    hex.slice(0, 12).match(/../g)?.join(" "),
  ]) {
    expect(shown.join("\n")).not.toContain(spelling);
  }
});

test("a hundred calls at once on a cold client do not disturb one another", async () => {
  const { kms, provider } = await serve();
  const keys = Array.from({ length: 100 }, (_, index) => key.map((byte) => byte ^ index));
  const wraps = await Promise.all(keys.map((each) => provider.wrapKey(each, operation())));
  const cold = providerOf(kms);
  expect(await Promise.all(wraps.map((wrap) => cold.unwrapKey(wrap, operation())))).toEqual(keys);
  expect(kms.requests).toHaveLength(200);
});
