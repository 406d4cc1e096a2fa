/** What kms-facts says of Cloud KMS and its SDK, seen with the SDK alone: no code of keyfold but the fake is in it. */

import { spawnSync } from "node:child_process";
import { createSecureServer } from "node:http2";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import type { KeyManagementServiceClient } from "@google-cloud/kms";
import { grpc } from "google-gax";
import selfsigned from "selfsigned";
import { describe, expect, onTestFinished, test } from "vitest";
import { aad, checksum, clientOf, failureOf, once, plaintext, soon, start } from "./support.ts";

const require = createRequire(import.meta.url);

describe("deadline and retries", () => {
  test("the SDK's own deadline is 60 s, and it retries DEADLINE_EXCEEDED and UNAVAILABLE", () => {
    const path = "@google-cloud/kms/build/src/v1/key_management_service_client_config.json";
    const { methods, retry_codes } = require(path).interfaces["google.cloud.kms.v1.KeyManagementService"];
    for (const method of [methods.Encrypt, methods.Decrypt]) {
      expect(method).toMatchObject({ timeout_millis: 60_000, retry_codes_name: "idempotent" });
    }
    expect(retry_codes.idempotent).toEqual(["DEADLINE_EXCEEDED", "UNAVAILABLE"]);
  });

  test("a dead endpoint takes the whole timeout, and then the code is 4, with the cause in the message alone", async () => {
    const kms = await start();
    await kms.close();
    const began = performance.now();
    const request = { name: kms.keyName, plaintext };
    const failure = await failureOf(clientOf(kms.clientOptions).encrypt(request, { timeout: 1_500 }));
    expect(failure.code).toBe(4);
    expect(failure.message).toMatch(/14 UNAVAILABLE/);
    expect(performance.now() - began).toBeGreaterThan(1_400);
  });

  test("a dead endpoint fails at once, with code 14, in a single attempt", async () => {
    const kms = await start();
    await kms.close();
    const request = { name: kms.keyName, plaintext };
    expect((await failureOf(clientOf(kms.clientOptions).encrypt(request, once))).code).toBe(14);
  });

  test("an endpoint that accepts and says nothing takes the whole timeout also in a single attempt", async () => {
    const kms = await start();
    const deaf = createServer();
    await new Promise<void>((resolve) => deaf.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void deaf.close());
    const address = deaf.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const began = performance.now();
    const client = clientOf({ ...kms.clientOptions, port });
    const failure = await failureOf(
      client.encrypt({ name: kms.keyName, plaintext }, { ...once, timeout: 1_000 }),
    );
    expect(failure.code).toBe(4);
    expect(performance.now() - began).toBeGreaterThan(900);
  });

  test("UNAVAILABLE is retried by default", async () => {
    const kms = await start();
    kms.inject({ kind: "down" });
    await clientOf(kms.clientOptions).encrypt({ name: kms.keyName, plaintext });
    expect(kms.requests.map(({ operation }) => operation)).toEqual(["Encrypt", "Encrypt"]);
  });

  test("RESOURCE_EXHAUSTED is not retried, and says when to come again", async () => {
    const kms = await start();
    kms.inject({ kind: "throttled", retryAfterMs: 1_500 });
    const failure = await failureOf(clientOf(kms.clientOptions).encrypt({ name: kms.keyName, plaintext }));
    expect(failure.code).toBe(8);
    expect(failure.statusDetails).toHaveLength(1);
    expect(JSON.parse(JSON.stringify(failure.statusDetails))).toEqual([
      { retryDelay: { seconds: "1", nanos: 500_000_000 } },
    ]);
    expect(kms.requests).toHaveLength(1);
  });

  test("INTERNAL is not retried", async () => {
    const kms = await start();
    kms.inject({ kind: "malformed" });
    const failure = await failureOf(clientOf(kms.clientOptions).encrypt({ name: kms.keyName, plaintext }));
    expect(failure.code).toBe(13);
    expect(kms.requests).toHaveLength(1);
  });

  test("no retry codes, or no retry, is a single attempt", async () => {
    const kms = await start();
    const client = clientOf(kms.clientOptions);
    kms.inject({ kind: "down" }, { times: Number.POSITIVE_INFINITY });
    const request = { name: kms.keyName, plaintext };
    expect((await failureOf(client.encrypt(request, once))).code).toBe(14);
    expect((await failureOf(client.encrypt(request, { timeout: 5_000, retry: null }))).code).toBe(14);
    expect(kms.requests).toHaveLength(2);
  });

  test("maxRetries means attempts in total, and release 6 works after it", async () => {
    const kms = await start();
    const client = clientOf(kms.clientOptions);
    kms.inject({ kind: "down" }, { times: 2 });
    const request = { name: kms.keyName, plaintext };
    expect((await failureOf(client.encrypt(request, { maxRetries: 2 }))).code).toBe(4);
    expect(kms.requests).toHaveLength(2);
    await client.encrypt(request);
    expect(kms.requests).toHaveLength(3);
  });

  test("an aborted signal is code 1, in flight and before", async () => {
    const kms = await start();
    const client = clientOf(kms.clientOptions);
    const request = { name: kms.keyName, plaintext };
    const before = client.encrypt(request, { ...once, signal: AbortSignal.abort() });
    expect((await failureOf(before)).code).toBe(1);
    expect(kms.requests).toHaveLength(0);
    kms.inject({ kind: "silent" });
    const controller = new AbortController();
    const pending = client.encrypt(request, { ...once, signal: controller.signal });
    await expect.poll(() => kms.requests.length, soon).toBe(1);
    controller.abort();
    expect((await failureOf(pending)).code).toBe(1);
    expect("cancel" in pending).toBe(false);
  });
});

describe("checksums", () => {
  const whole = {
    plaintext,
    plaintextCrc32c: checksum(plaintext),
    additionalAuthenticatedData: aad,
    additionalAuthenticatedDataCrc32c: checksum(aad),
  };

  test("are objects with a number when sent, and with decimal digits when received", async () => {
    const { client, name } = await serve();
    const [reply] = await client.encrypt({ name, ...whole }, once);
    expect(reply).toMatchObject({
      verifiedPlaintextCrc32c: true,
      verifiedAdditionalAuthenticatedDataCrc32c: true,
      ciphertextCrc32c: { value: String(checksum(reply.ciphertext as Buffer).value) },
    });
    const [{ plaintextCrc32c }] = await client.decrypt(
      {
        name,
        ciphertext: reply.ciphertext as Buffer,
        ciphertextCrc32c: checksum(reply.ciphertext as Buffer),
        additionalAuthenticatedData: aad,
      },
      once,
    );
    expect(plaintextCrc32c).toEqual({ value: String(checksum(plaintext).value) });
  });

  test("that are not sent are not verified", async () => {
    const { client, name } = await serve();
    const [reply] = await client.encrypt({ name, plaintext }, once);
    expect(reply).toMatchObject({
      verifiedPlaintextCrc32c: false,
      verifiedAdditionalAuthenticatedDataCrc32c: false,
    });
  });

  test("as bare numbers cannot be sent", async () => {
    const { client, name, kms } = await serve();
    // @ts-expect-error A message is wanted, and a number is none.
    const bare = client.encrypt({ name, ...whole, plaintextCrc32c: checksum(plaintext).value }, once);
    expect(await failureOf(bare)).toMatchObject({ code: 13, message: expect.stringMatching(/serializ/i) });
    expect(kms.requests).toHaveLength(0);
  });

  test.each(["plaintextCrc32c", "additionalAuthenticatedDataCrc32c"])(
    "a wrong %s is code 3",
    async (field) => {
      const { client, name } = await serve();
      const wrong = client.encrypt({ name, ...whole, [field]: { value: 1 } }, once);
      expect(await failureOf(wrong)).toMatchObject({ code: 3, message: expect.stringMatching(/checksum/) });
    },
  );

  test.each(["ciphertextCrc32c", "additionalAuthenticatedDataCrc32c"])(
    "a wrong %s is code 3, and Decrypt verifies nothing in its reply",
    async (field) => {
      const { client, name } = await serve();
      const [{ ciphertext }] = await client.encrypt({ name, ...whole }, once);
      const request = { name, ciphertext: ciphertext as Buffer, additionalAuthenticatedData: aad };
      const wrong = client.decrypt({ ...request, [field]: { value: 1 } }, once);
      expect(await failureOf(wrong)).toMatchObject({ code: 3, message: expect.stringMatching(/checksum/) });
      const [reply] = await client.decrypt(request, once);
      expect(Object.keys(reply).sort()).toEqual([
        "plaintext",
        "plaintextCrc32c",
        "protectionLevel",
        "usedPrimary",
      ]);
    },
  );
});

describe("names, versions and states", () => {
  test("the reply names the version, and a rotated key still decrypts what it encrypted", async () => {
    const { client, name, kms } = await serve();
    const [first] = await client.encrypt({ name, plaintext }, once);
    expect(first.name).toBe(`${name}/cryptoKeyVersions/1`);
    expect(kms.rotate(name)).toBe(`${name}/cryptoKeyVersions/2`);
    const [second] = await client.encrypt({ name, plaintext }, once);
    expect(second.name).toBe(`${name}/cryptoKeyVersions/2`);
    const opened = await Promise.all(
      [first, second].map(({ ciphertext }) =>
        client.decrypt({ name, ciphertext: ciphertext as Buffer }, once),
      ),
    );
    expect(opened.map(([{ usedPrimary }]) => usedPrimary)).toEqual([false, true]);
    expect(opened.map(([reply]) => String(reply.plaintext))).toEqual([String(plaintext), String(plaintext)]);
  });

  test("Encrypt takes a version's name, Decrypt a key's alone", async () => {
    const { client, name, kms } = await serve();
    kms.rotate(name);
    const version = `${name}/cryptoKeyVersions/1`;
    const [{ ciphertext, name: used }] = await client.encrypt({ name: version, plaintext }, once);
    expect(used).toBe(version);
    const byVersion = client.decrypt({ name: version, ciphertext: ciphertext as Buffer }, once);
    expect((await failureOf(byVersion)).code).toBe(3);
  });

  test.each(["disable", "scheduleDestruction", "destroy"] as const)(
    "a version after %s is code 9, for Encrypt and for Decrypt",
    async (lever) => {
      const { client, name, kms } = await serve();
      const [{ ciphertext }] = await client.encrypt({ name, plaintext }, once);
      kms[lever](kms.primary(name));
      expect((await failureOf(client.encrypt({ name, plaintext }, once))).code).toBe(9);
      const decrypting = client.decrypt({ name, ciphertext: ciphertext as Buffer }, once);
      expect((await failureOf(decrypting)).code).toBe(9);
    },
  );

  test("a disabled version decrypts again when it is enabled", async () => {
    const { client, name, kms } = await serve();
    const [{ ciphertext }] = await client.encrypt({ name, plaintext }, once);
    kms.disable(kms.primary(name));
    kms.enable(kms.primary(name));
    const [reply] = await client.decrypt({ name, ciphertext: ciphertext as Buffer }, once);
    expect(reply.plaintext).toEqual(plaintext);
  });

  test("a key that is not there is code 5, one that may not be used code 7", async () => {
    const { client, name, kms } = await serve();
    const missing = client.encrypt({ name: `${name}-2`, plaintext }, once);
    expect((await failureOf(missing)).code).toBe(5);
    const deleted = kms.createKey();
    kms.deleteKey(deleted);
    expect((await failureOf(client.encrypt({ name: deleted, plaintext }, once))).code).toBe(5);
    kms.deny(name, "Decrypt");
    const [{ ciphertext }] = await client.encrypt({ name, plaintext }, once);
    const decrypting = client.decrypt({ name, ciphertext: ciphertext as Buffer }, once);
    expect((await failureOf(decrypting)).code).toBe(7);
    kms.deny(name);
    expect((await failureOf(client.encrypt({ name, plaintext }, once))).code).toBe(7);
    kms.allow(name);
    await client.encrypt({ name, plaintext }, once);
  });

  test("another key, other associated data and damage are code 3, with one message", async () => {
    const { client, name, kms } = await serve();
    const [reply] = await client.encrypt({ name, plaintext, additionalAuthenticatedData: aad }, once);
    const ciphertext = reply.ciphertext as Buffer;
    const requests = [
      { name: kms.createKey(), ciphertext, additionalAuthenticatedData: aad },
      { name, ciphertext },
      {
        name,
        ciphertext: ciphertext.map((byte, at) => (at === 30 ? byte ^ 1 : byte)),
        additionalAuthenticatedData: aad,
      },
      { name, ciphertext: ciphertext.subarray(1), additionalAuthenticatedData: aad },
      { name, ciphertext: Buffer.alloc(0), additionalAuthenticatedData: aad },
    ];
    for (const request of requests) {
      expect(await failureOf(client.decrypt(request, once))).toMatchObject({
        code: 3,
        message: expect.stringContaining(
          "Decryption failed: verify that 'name' refers to the correct CryptoKey",
        ),
      });
    }
  });

  test("a software key takes 64 KiB of each, an HSM key 8 KiB of both", async () => {
    const { client, name: software, kms } = await serve();
    const hsm = kms.createKey({ protectionLevel: "HSM" });
    const sizes: [string, number, number, number | undefined][] = [
      [software, 65_536, 65_536, undefined],
      [software, 65_537, 0, 3],
      [software, 1, 65_537, 3],
      [hsm, 4_096, 4_096, undefined],
      [hsm, 4_096, 4_097, 3],
    ];
    for (const [name, bytes, more, code] of sizes) {
      const request = {
        name,
        plaintext: Buffer.alloc(bytes),
        additionalAuthenticatedData: Buffer.alloc(more),
      };
      const outcome = await client.encrypt(request, once).then(
        ([reply]) => reply.protectionLevel,
        (error) => error.code,
      );
      expect(outcome, `${bytes} and ${more}`).toBe(code ?? (name === hsm ? "HSM" : "SOFTWARE"));
    }
  });
});

describe("the wire", () => {
  test("a decrypted plaintext is a view of memory that others share", async () => {
    const { client, name } = await serve();
    const [{ ciphertext }] = await client.encrypt({ name, plaintext }, once);
    const [reply] = await client.decrypt({ name, ciphertext: ciphertext as Buffer }, once);
    const opened = reply.plaintext as Buffer;
    expect(opened).toHaveLength(plaintext.length);
    expect(opened.buffer.byteLength).toBeGreaterThan(plaintext.length);
  });

  test("the name stands in the header x-goog-request-params as well, and the fake wants it there", async () => {
    const { client, name, kms } = await serve();
    await client.encrypt({ name, plaintext }, once);
    const bare = new grpc.Client(`127.0.0.1:${kms.port}`, grpc.credentials.createInsecure());
    onTestFinished(() => bare.close());
    const path = "/google.cloud.kms.v1.KeyManagementService/Encrypt";
    // Field 1, a string: the key's name.
    const message = Buffer.concat([Buffer.from([0x0a, name.length]), Buffer.from(name)]);
    const call = (metadata: grpc.Metadata) =>
      new Promise((resolve) => {
        const pass = (value: Buffer) => value;
        bare.makeUnaryRequest(path, pass, pass, message, metadata, (error) => resolve(error?.code ?? 0));
      });
    expect(await call(new grpc.Metadata())).toBe(3);
    const routed = new grpc.Metadata();
    routed.set("x-goog-request-params", `name=${encodeURIComponent(name)}`);
    expect(await call(routed)).toBe(0);
  });

  test("servicePath is another word for apiEndpoint, and neither holds the port", async () => {
    const kms = await start();
    const { apiEndpoint, port, ...credentials } = kms.clientOptions;
    const request = { name: kms.keyName, plaintext };
    await clientOf({ ...credentials, servicePath: apiEndpoint, port }).encrypt(request, once);
    const together = clientOf({ ...credentials, apiEndpoint: `${apiEndpoint}:${port}` });
    expect((await failureOf(together.encrypt(request, once))).code).toBe(14);
  });

  test("an operation that the fake lacks is code 12", async () => {
    const { client, name } = await serve();
    expect((await failureOf(client.getCryptoKey({ name }, once))).code).toBe(12);
  });
});

describe("faults", () => {
  test.each([
    ["throttled", 8, /Quota exceeded/],
    ["denied", 7, /denied/],
    ["expired-credentials", 16, /invalid authentication credentials/],
    ["down", 14, /currently unavailable/],
    ["cut", 14, /Connection dropped|RST_STREAM/],
    ["malformed", 13, /Response message parsing error/],
  ] as const)("%s is code %i", async (kind, code, message) => {
    const { client, name, kms } = await serve();
    const [{ ciphertext }] = await client.encrypt({ name, plaintext }, once);
    kms.inject({ kind }, { times: 2 });
    const encrypting = client.encrypt({ name, plaintext }, once);
    expect(await failureOf(encrypting)).toMatchObject({ code, message: expect.stringMatching(message) });
    const decrypting = client.decrypt({ name, ciphertext: ciphertext as Buffer }, once);
    expect(await failureOf(decrypting)).toMatchObject({ code, message: expect.stringMatching(message) });
    await client.encrypt({ name, plaintext }, once);
  });

  test("slow is late, and silent is never", async () => {
    const { client, name, kms } = await serve();
    kms.inject({ kind: "slow", ms: 300 });
    const began = performance.now();
    await client.encrypt({ name, plaintext }, once);
    expect(performance.now() - began).toBeGreaterThan(290);
    kms.inject({ kind: "silent" });
    expect((await failureOf(client.encrypt({ name, plaintext }, { ...once, timeout: 500 }))).code).toBe(4);
  });

  test("another-key names another, and is for Encrypt alone", async () => {
    const { client, name, kms } = await serve();
    kms.inject({ kind: "another-key" }, { operation: "Encrypt" });
    const [reply] = await client.encrypt({ name, plaintext }, once);
    expect(reply.name).toMatch(/\/cryptoKeyVersions\/1$/);
    expect(reply.name?.startsWith(name)).toBe(false);
    expect(() => kms.inject({ kind: "another-key" })).toThrow(/Encrypt alone/);
    expect(() => kms.inject({ kind: "another-key" }, { operation: "Decrypt" })).toThrow(/Encrypt alone/);
  });

  test("bad-checksum alters the bytes and not their checksum", async () => {
    const { client, name, kms } = await serve();
    const [right] = await client.encrypt({ name, plaintext }, once);
    kms.inject({ kind: "bad-checksum" }, { times: 2 });
    const [sealed] = await client.encrypt({ name, plaintext }, once);
    expect(sealed.ciphertextCrc32c).not.toEqual({
      value: String(checksum(sealed.ciphertext as Buffer).value),
    });
    const [opened] = await client.decrypt({ name, ciphertext: right.ciphertext as Buffer }, once);
    expect(opened.plaintextCrc32c).toEqual({ value: String(checksum(plaintext).value) });
    expect(opened.plaintext).not.toEqual(plaintext);
    expect(opened.plaintext).toHaveLength(plaintext.length);
  });

  test("bad-length is one byte too few of a plaintext, and no ciphertext", async () => {
    const { client, name, kms } = await serve();
    const [right] = await client.encrypt({ name, plaintext }, once);
    kms.inject({ kind: "bad-length" }, { times: 2 });
    const [sealed] = await client.encrypt({ name, plaintext }, once);
    expect(sealed.ciphertext).toHaveLength(0);
    const [opened] = await client.decrypt({ name, ciphertext: right.ciphertext as Buffer }, once);
    expect(opened.plaintext).toHaveLength(plaintext.length - 1);
    expect(opened.plaintextCrc32c).toEqual({ value: String(checksum(opened.plaintext as Buffer).value) });
  });
});

describe("credentials", () => {
  test("a call without any rejects, and ends the process all the same; initialize() does not", () => {
    const program = (call: string) => `
      const { KeyManagementServiceClient } = require("@google-cloud/kms");
      const client = new KeyManagementServiceClient({ keyFilename: "no-such-file.json" });
      client.${call}.catch((error) => console.log("caught", error.message));
      setTimeout(() => console.log("alive"), 500);
    `;
    const run = (call: string) =>
      spawnSync(process.execPath, ["-e", program(call)], { cwd: import.meta.dirname, encoding: "utf8" });
    const encrypting = run('encrypt({ name: "n", plaintext: Buffer.from("p") })');
    expect(encrypting.status).toBe(1);
    expect(encrypting.stderr).toMatch(/no-such-file/);
    expect(encrypting.stdout).not.toMatch(/alive/);
    const initializing = run("initialize()");
    expect(initializing.status).toBe(0);
    expect(initializing.stdout).toMatch(/caught .*no-such-file[\s\S]*alive/);
  });

  test("a token that is not to be had is UNKNOWN, and only the message says what it is", async () => {
    const { private: key, cert } = await selfsigned.generate([{ name: "commonName", value: "localhost" }], {
      extensions: [{ name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] }],
    });
    const server = createSecureServer({ key, cert });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const token = grpc.credentials.createFromMetadataGenerator((_, callback) =>
      callback(new Error("invalid_grant")),
    );
    const tls = grpc.credentials.createSsl(Buffer.from(cert));
    const sslCreds = grpc.credentials.combineChannelCredentials(tls, token);
    const kms = await start();
    const client = clientOf({ ...kms.clientOptions, apiEndpoint: "localhost", port, sslCreds });
    expect(await failureOf(client.encrypt({ name: kms.keyName, plaintext }, once))).toMatchObject({
      code: 2,
      message: expect.stringContaining("Getting metadata from plugin failed with error: invalid_grant"),
    });
  });
});

async function serve(): Promise<{
  kms: Awaited<ReturnType<typeof start>>;
  client: KeyManagementServiceClient;
  name: string;
}> {
  const kms = await start();
  return { kms, client: clientOf(kms.clientOptions), name: kms.keyName };
}
