/** What a client is asked, and which of its replies are believed. */

import type { KeyfoldErrorCode } from "@keyfold/core";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { rejectionOf } from "../../../test/support/refusal.ts";
import { crc32c } from "../src/crc32c.ts";
import { type GcpDecryptReply, type GcpEncryptReply, gcpKms } from "../src/index.ts";
import { failingClient, keyName, ScriptedClient } from "./support/scripted-client.ts";
import { aad, key, operation, soon } from "./support/service.ts";

test("a call is one attempt of 10 s, with our signal, and checksums of all that is sent", async () => {
  const client = new ScriptedClient();
  const provider = gcpKms({ keyName, client });
  const given = operation();
  const wrapped = await provider.wrapKey(key, given);
  expect(await provider.unwrapKey(wrapped, given)).toEqual(key);
  const options = { timeout: 10_000, retry: { retryCodes: [] }, signal: given.signal };
  expect(client.options).toEqual([options, options]);
  const context = {
    additionalAuthenticatedData: aad,
    additionalAuthenticatedDataCrc32c: { value: crc32c(aad) },
  };
  expect(client.encrypted).toEqual([
    { name: keyName, plaintext: key, plaintextCrc32c: { value: crc32c(key) }, ...context },
  ]);
  const ciphertext = wrapped.ciphertext.slice(1);
  expect(client.decrypted).toEqual([
    { name: keyName, ciphertext, ciphertextCrc32c: { value: crc32c(ciphertext) }, ...context },
  ]);
});

describe("a reply to Encrypt", () => {
  const good: [string, (reply: GcpEncryptReply) => GcpEncryptReply][] = [
    ["as it is", (reply) => reply],
    ["of a late version", (reply) => ({ ...reply, name: `${keyName}/cryptoKeyVersions/1234` })],
    [
      "with a checksum that is a number",
      (reply) => ({ ...reply, ciphertextCrc32c: { value: Number(reply.ciphertextCrc32c?.value) } }),
    ],
    [
      "with a checksum that is an object",
      (reply) => ({
        ...reply,
        ciphertextCrc32c: { value: { toString: () => `${reply.ciphertextCrc32c?.value}` } },
      }),
    ],
    [
      "in base64",
      (reply) => ({ ...reply, ciphertext: Buffer.from(reply.ciphertext as Buffer).toString("base64") }),
    ],
    ["of 8,192 bytes", (reply) => ({ ...reply, ...withChecksum(new Uint8Array(8_192)) })],
  ];
  test.each(good)("%s is believed", async (_, spoil) => {
    const client = new ScriptedClient().spoil(spoil);
    const wrapped = await gcpKms({ keyName, client }).wrapKey(key, operation());
    expect(wrapped.ciphertext[0]).toBe(1);
  });

  const bad: [string, (reply: GcpEncryptReply) => unknown][] = [
    ["that names no key", ({ name: _, ...reply }) => reply],
    ["that names nothing", (reply) => ({ ...reply, name: "" })],
    ["that names the key and no version", (reply) => ({ ...reply, name: keyName })],
    ["that names a longer key", (reply) => ({ ...reply, name: `${keyName}2/cryptoKeyVersions/1` })],
    ["that names another project", (reply) => ({ ...reply, name: reply.name?.replace("p-1", "p-2") })],
    ["that names a key after the version", (reply) => ({ ...reply, name: `${reply.name}/x` })],
    ["that names version 0", (reply) => ({ ...reply, name: `${keyName}/cryptoKeyVersions/0` })],
    ["with a plaintext that was not verified", (reply) => ({ ...reply, verifiedPlaintextCrc32c: false })],
    [
      "with a context that was not verified",
      (reply) => ({ ...reply, verifiedAdditionalAuthenticatedDataCrc32c: false }),
    ],
    ["that says nothing of what was verified", ({ verifiedPlaintextCrc32c: _, ...reply }) => reply],
    ["without a checksum", (reply) => ({ ...reply, ciphertextCrc32c: null })],
    ["with an empty checksum", (reply) => ({ ...reply, ciphertextCrc32c: {} })],
    ["with another checksum", (reply) => ({ ...reply, ciphertextCrc32c: { value: "1" } })],
    ["without a ciphertext", (reply) => ({ ...reply, ciphertext: null })],
    ["with an empty one", (reply) => ({ ...reply, ...withChecksum(new Uint8Array()) })],
    ["with one of 31 bytes", (reply) => ({ ...reply, ...withChecksum(new Uint8Array(31)) })],
    ["with one of 8,193 bytes", (reply) => ({ ...reply, ...withChecksum(new Uint8Array(8_193)) })],
    ["that is missing", () => undefined],
  ];
  test.each(bad)("%s is refused", async (_, spoil) => {
    const client = new ScriptedClient().spoil(spoil);
    const refusal = await rejectionOf(gcpKms({ keyName, client }).wrapKey(key, operation()));
    expect(refusal.code).toBe<KeyfoldErrorCode>("ERR_MASTER_KEY_BAD_REPLY");
    expect(client.encrypted).toHaveLength(1);
  });

  function withChecksum(ciphertext: Uint8Array): GcpEncryptReply {
    return { ciphertext, ciphertextCrc32c: { value: crc32c(ciphertext) } };
  }
});

describe("a reply to Decrypt", () => {
  const wrapped = {
    masterKey: `gcp-kms://${keyName}`,
    ciphertext: Uint8Array.of(1, ...key, ...new Uint8Array(16)),
  };

  test("is copied, and what the SDK held is wiped", async () => {
    const pool = Buffer.alloc(8_192);
    const view = pool.subarray(1_000, 1_032);
    const client = new ScriptedClient().spoil(
      (reply) => reply,
      (reply) => {
        view.set(reply.plaintext as Buffer);
        return { ...reply, plaintext: view };
      },
    );
    const opened = await gcpKms({ keyName, client }).unwrapKey(wrapped, operation());
    expect(opened).toEqual(key);
    expect(opened.buffer).not.toBe(pool.buffer);
    expect(pool.every((byte) => byte === 0)).toBe(true);
  });

  test("in base64 is believed", async () => {
    const client = new ScriptedClient().spoil(
      (reply) => reply,
      (reply) => ({ ...reply, plaintext: Buffer.from(key).toString("base64") }),
    );
    expect(await gcpKms({ keyName, client }).unwrapKey(wrapped, operation())).toEqual(key);
  });

  const bad: [string, (reply: GcpDecryptReply) => unknown][] = [
    ["without a checksum", (reply) => ({ ...reply, plaintextCrc32c: null })],
    ["with an empty checksum", (reply) => ({ ...reply, plaintextCrc32c: { value: null } })],
    ["with another checksum", (reply) => ({ ...reply, plaintextCrc32c: { value: "1" } })],
    ["without a plaintext", (reply) => ({ ...reply, plaintext: null })],
    ["with an empty one", () => withChecksum(Buffer.alloc(0))],
    ["with one of 31 bytes", () => withChecksum(Buffer.alloc(31, 7))],
    ["with one of 33 bytes", () => withChecksum(Buffer.alloc(33, 7))],
    ["that is missing", () => undefined],
  ];
  test.each(bad)("%s is refused", async (_, spoil) => {
    const client = new ScriptedClient().spoil((reply) => reply, spoil);
    const refusal = await rejectionOf(gcpKms({ keyName, client }).unwrapKey(wrapped, operation()));
    expect(refusal.code).toBe<KeyfoldErrorCode>("ERR_MASTER_KEY_BAD_REPLY");
    expect(client.decrypted).toHaveLength(1);
  });

  function withChecksum(plaintext: Uint8Array): GcpDecryptReply {
    return { plaintext, plaintextCrc32c: { value: crc32c(plaintext) } };
  }
});

test("the copy of a key that the SDK was lent is wiped, whether it was wrapped or not", async () => {
  const client = new ScriptedClient();
  const failing = failingClient(Object.assign(new Error("no"), { code: 7 }));
  const given = key.slice();
  await gcpKms({ keyName, client }).wrapKey(given, operation());
  const refusal = await rejectionOf(gcpKms({ keyName, client: failing }).wrapKey(given, operation()));
  expect(refusal.code).toBe("ERR_MASTER_KEY_DENIED");
  expect([...client.lent, ...failing.lent]).toEqual([new Uint8Array(32), new Uint8Array(32)]);
  expect(given).toEqual(key);
});

/** As @google-cloud/kms 5.7.0 does: no heed of the signal, and an end only by its own timeout. */
test("a client that ignores the signal is not waited for", async () => {
  const client = new ScriptedClient().spoil(
    () => new Promise(() => undefined),
    () => new Promise(() => undefined),
  );
  const provider = gcpKms({ keyName, client });
  const controller = new AbortController();
  const pending = [
    rejectionOf(provider.wrapKey(key, operation(controller.signal))),
    rejectionOf(
      provider.unwrapKey(
        { masterKey: `gcp-kms://${keyName}`, ciphertext: new Uint8Array(65).with(0, 1) },
        operation(controller.signal),
      ),
    ),
  ];
  await expect.poll(() => client.options.length, soon).toBe(2);
  controller.abort();
  expect((await Promise.all(pending)).map(({ code }) => code)).toEqual(["ERR_ABORTED", "ERR_ABORTED"]);
  expect(client.options.every(({ timeout }) => timeout < 60_000)).toBe(true);
});

test("a key that comes after the abort is wiped, and nobody gets it", async () => {
  const answer = Promise.withResolvers<void>();
  const late = Buffer.alloc(8_192).subarray(100, 132);
  late.set(key);
  const client = new ScriptedClient().spoil(
    (reply) => reply,
    async () => {
      await answer.promise;
      return { plaintext: late, plaintextCrc32c: { value: crc32c(key) } };
    },
  );
  const wrapped = { masterKey: `gcp-kms://${keyName}`, ciphertext: new Uint8Array(65).with(0, 1) };
  const controller = new AbortController();
  const pending = rejectionOf(gcpKms({ keyName, client }).unwrapKey(wrapped, operation(controller.signal)));
  await expect.poll(() => client.options.length, soon).toBe(1);
  controller.abort();
  expect((await pending).code).toBe("ERR_ABORTED");
  expect(new Uint8Array(late)).toEqual(key);
  const fill = vi.spyOn(Uint8Array.prototype, "fill");
  onTestFinished(() => fill.mockRestore());
  answer.resolve();
  await expect.poll(() => late.every((byte) => byte === 0), soon).toBe(true);
  // The copy as well, which Buffer's own fill has nothing to do with.
  expect(fill.mock.contexts).toEqual([new Uint8Array(32)]);
});

test("a late rejection of a call that nobody waits for is observed", async () => {
  let fail: (error: Error) => void = () => undefined;
  const client = new ScriptedClient().spoil(
    () =>
      new Promise((_, reject) => {
        fail = reject;
      }),
  );
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  process.on("unhandledRejection", note);
  const controller = new AbortController();
  const pending = rejectionOf(gcpKms({ keyName, client }).wrapKey(key, operation(controller.signal)));
  await expect.poll(() => client.options.length, soon).toBe(1);
  controller.abort();
  expect((await pending).code).toBe("ERR_ABORTED");
  fail(new Error("late"));
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
});
