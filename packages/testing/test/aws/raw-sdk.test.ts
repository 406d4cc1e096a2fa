/**
 * What the AWS SDK itself makes of the fake: each fact that the provider relies on, without the provider, so that the two
 * cannot share a misunderstanding.
 */

import {
  DecryptCommand,
  type DecryptCommandInput,
  DescribeKeyCommand,
  EncryptCommand,
  type EncryptCommandInput,
  GenerateDataKeyCommand,
  KMSClient,
  type KMSClientConfig,
  KMSServiceException,
  ListKeysCommand,
  ReEncryptCommand,
} from "@aws-sdk/client-kms";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { type FakeAwsKms, startFakeAwsKms } from "../../src/aws/fake-aws-kms.ts";
import type { AwsKeyState } from "../../src/aws/key-store.ts";
import type { Fault } from "../../src/faults.ts";

const plaintext: Uint8Array = Uint8Array.from({ length: 32 }, (_, i) => i + 1);
const context = { project: "billing", purpose: "kdk" };
/** What is waited for comes at once, but on a busy machine. */
const soon = { timeout: 30_000 } as const;

describe("a reply", () => {
  test("names the key by its ARN, also when the request named the alias", async () => {
    const { kms, client } = await start();
    const wrapped = await encrypt(client, { KeyId: kms.alias });
    expect(wrapped.KeyId).toBe(kms.keyArn);
    const opened = await decrypt(client, wrapped.CiphertextBlob, { KeyId: kms.alias });
    expect(opened.KeyId).toBe(kms.keyArn);
    expect([...(opened.Plaintext ?? [])]).toEqual([...plaintext]);
  });

  test("by every form of KeyId is the same", async () => {
    const { kms, client } = await start();
    const aliasArn = kms.keyArn.replace(/key\/.*/, kms.alias);
    const id = kms.keyArn.replace(/.*key\//, "");
    for (const KeyId of [kms.keyArn, aliasArn, kms.alias, id]) {
      expect((await encrypt(client, { KeyId })).KeyId).toBe(kms.keyArn);
    }
  });

  test("to Decrypt gives the plaintext as a view of Node's shared pool", async () => {
    const { kms, client } = await start();
    const { CiphertextBlob } = await encrypt(client, { KeyId: kms.keyArn });
    const { Plaintext } = await decrypt(client, CiphertextBlob);
    expect(Plaintext).toBeInstanceOf(Uint8Array);
    expect(Plaintext?.byteLength).toBe(32);
    expect(Plaintext?.buffer.byteLength).toBeGreaterThanOrEqual(Buffer.poolSize);
  });

  test("to Decrypt says which generation of the material it was, and rotation keeps the old one", async () => {
    const { kms, client } = await start();
    const before = await encrypt(client, { KeyId: kms.keyArn });
    kms.rotate(kms.keyArn);
    const after = await encrypt(client, { KeyId: kms.keyArn });
    const [old, present] = [
      await decrypt(client, before.CiphertextBlob),
      await decrypt(client, after.CiphertextBlob),
    ];
    expect(old.KeyMaterialId).toMatch(/^[0-9a-f]{64}$/);
    expect(present.KeyMaterialId).not.toBe(old.KeyMaterialId);
    expect([old.KeyId, present.KeyId]).toEqual([kms.keyArn, kms.keyArn]);
  });

  test("to two Encrypts differs", async () => {
    const { kms, client } = await start();
    const [one, other] = [
      await encrypt(client, { KeyId: kms.keyArn }),
      await encrypt(client, { KeyId: kms.keyArn }),
    ];
    expect(hex(one.CiphertextBlob)).not.toBe(hex(other.CiphertextBlob));
  });
});

describe("the encryption context", () => {
  test.each([
    ["another value", { ...context, purpose: "keyring" }],
    ["an entry less", { project: "billing" }],
    ["an entry more", { ...context, more: "" }],
    ["none", undefined],
    ["another case", { Project: "billing", purpose: "kdk" }],
  ])("that is another one (%s) is InvalidCiphertextException", async (_, other) => {
    const { kms, client } = await start();
    const { CiphertextBlob } = await encrypt(client, { KeyId: kms.keyArn, EncryptionContext: context });
    const error = await refusalOf(
      decrypt(client, CiphertextBlob, { KeyId: kms.keyArn, EncryptionContext: other }),
    );
    expect(error.name).toBe("InvalidCiphertextException");
  });

  test("is bound injectively, and in any order", async () => {
    const { kms, client } = await start();
    const { CiphertextBlob } = await encrypt(client, { KeyId: kms.keyArn, EncryptionContext: { a: "bc" } });
    const other = decrypt(client, CiphertextBlob, { EncryptionContext: { ab: "c" } });
    expect((await refusalOf(other)).name).toBe("InvalidCiphertextException");
    const two = await encrypt(client, { KeyId: kms.keyArn, EncryptionContext: context });
    const turned = { purpose: "kdk", project: "billing" };
    expect((await decrypt(client, two.CiphertextBlob, { EncryptionContext: turned })).KeyId).toBe(kms.keyArn);
  });

  test("that is empty is the same as none", async () => {
    const { kms, client } = await start();
    const { CiphertextBlob } = await encrypt(client, { KeyId: kms.keyArn, EncryptionContext: {} });
    expect((await decrypt(client, CiphertextBlob)).KeyId).toBe(kms.keyArn);
  });

  test("keeps Unicode, an empty value, and a key that is named __proto__", async () => {
    const { kms, client } = await start();
    const odd = JSON.parse('{"__proto__":"x","größe":"𝄞","empty":""}');
    const { CiphertextBlob } = await encrypt(client, { KeyId: kms.keyArn, EncryptionContext: odd });
    expect(hex(kms.decryptBlob(CiphertextBlob ?? plaintext, odd))).toBe(hex(plaintext));
    const { ["__proto__"]: _, ...without } = odd;
    expect(() => kms.decryptBlob(CiphertextBlob ?? plaintext, without)).toThrow();
  });
});

describe("Decrypt", () => {
  test("with another KeyId is IncorrectKeyException; without one the ciphertext names its key", async () => {
    const { kms, client } = await start();
    const { CiphertextBlob } = await encrypt(client, { KeyId: kms.keyArn });
    const strict = decrypt(client, CiphertextBlob, { KeyId: kms.createKey() });
    expect((await refusalOf(strict)).name).toBe("IncorrectKeyException");
    expect((await decrypt(client, CiphertextBlob)).KeyId).toBe(kms.keyArn);
  });

  test("by an alias that has moved is IncorrectKeyException, and new wraps name the new key", async () => {
    const { kms, client } = await start();
    const { CiphertextBlob } = await encrypt(client, { KeyId: kms.alias });
    const next = kms.createKey();
    kms.moveAlias(kms.alias, next);
    const refused = decrypt(client, CiphertextBlob, { KeyId: kms.alias });
    expect((await refusalOf(refused)).name).toBe("IncorrectKeyException");
    expect((await encrypt(client, { KeyId: kms.alias })).KeyId).toBe(next);
    expect((await decrypt(client, CiphertextBlob, { KeyId: kms.keyArn })).KeyId).toBe(kms.keyArn);
  });

  test("of a ciphertext with any byte changed, cut or added is InvalidCiphertextException", async () => {
    const { kms, client } = await start();
    const { CiphertextBlob: blob = plaintext } = await encrypt(client, { KeyId: kms.keyArn });
    const damaged = [
      ...Array.from(blob, (_, at) => blob.map((byte, i) => (i === at ? byte ^ 1 : byte))),
      blob.subarray(1),
      blob.subarray(0, -1),
      Uint8Array.of(...blob, 0),
    ];
    for (const one of damaged) {
      const error = await refusalOf(decrypt(client, one, { KeyId: kms.keyArn }));
      expect(error.name).toBe("InvalidCiphertextException");
    }
  });

  test("reads what was encrypted without a request, and the other way round", async () => {
    const { kms, client } = await start();
    const made = kms.encryptBlob(kms.keyArn, plaintext, context);
    const opened = await decrypt(client, made, { EncryptionContext: context });
    expect(hex(opened.Plaintext)).toBe(hex(plaintext));
    const { CiphertextBlob = plaintext } = await encrypt(client, {
      KeyId: kms.alias,
      EncryptionContext: context,
    });
    expect(hex(kms.decryptBlob(CiphertextBlob, context))).toBe(hex(plaintext));
    expect(CiphertextBlob.length).toBeLessThanOrEqual(6_144);
  });
});

describe("a multi-Region key", () => {
  test("opens in a replica, under the replica's ARN", async () => {
    const { kms, client } = await start();
    const primary = kms.createKey({ multiRegion: true });
    const replica = kms.replicate(primary, "us-east-1");
    expect(replica).toBe(primary.replace(kms.region, "us-east-1"));
    const { CiphertextBlob } = await encrypt(client, { KeyId: primary });
    const there = clientOf(kms, { region: "us-east-1" });
    expect((await decrypt(there, CiphertextBlob, { KeyId: replica })).KeyId).toBe(replica);
  });

  test("has a state, permissions and aliases for each region, and one rotation", async () => {
    const { kms, client } = await start();
    const primary = kms.createKey({ multiRegion: true });
    const replica = kms.replicate(primary, "us-east-1");
    const there = clientOf(kms, { region: "us-east-1" });
    kms.rotate(primary);
    const { CiphertextBlob } = await encrypt(client, { KeyId: primary });
    kms.disable(primary);
    expect((await refusalOf(encrypt(client, { KeyId: primary }))).name).toBe("DisabledException");
    expect((await decrypt(there, CiphertextBlob, { KeyId: replica })).KeyId).toBe(replica);
    expect((await refusalOf(encrypt(there, { KeyId: kms.alias }))).name).toBe("NotFoundException");
  });

  test("is not to be had by its ARN of another region, and a key of one region not at all", async () => {
    const { kms, client } = await start();
    const there = clientOf(kms, { region: "us-east-1" });
    expect(await refusalOf(encrypt(there, { KeyId: kms.keyArn }))).toMatchObject({
      name: "NotFoundException",
      message: `Invalid arn ${kms.region}`,
    });
    const { CiphertextBlob } = await encrypt(client, { KeyId: kms.keyArn });
    expect((await refusalOf(decrypt(there, CiphertextBlob))).name).toBe("AccessDeniedException");
  });
});

describe("accounts", () => {
  test("another account's key is named by its ARN, and what it encrypted is not ours", async () => {
    const { kms, client } = await start();
    const foreign = kms.createKey({ account: "999988887777" });
    expect(foreign).toContain(":999988887777:");
    const { CiphertextBlob } = await encrypt(client, { KeyId: foreign });
    const refused = decrypt(client, CiphertextBlob, { KeyId: kms.keyArn });
    expect((await refusalOf(refused)).name).toBe("IncorrectKeyException");
    expect((await decrypt(client, CiphertextBlob)).KeyId).toBe(foreign);
  });

  test("one that is not there is denied, as if it might be", async () => {
    const { kms, client } = await start();
    const KeyId = kms.keyArn.replace(":111122223333:", ":999988887777:");
    expect((await refusalOf(encrypt(client, { KeyId }))).name).toBe("AccessDeniedException");
  });
});

describe("a refusal", () => {
  const states: readonly (readonly [AwsKeyState, string, string])[] = [
    ["Disabled", "DisabledException", "is disabled."],
    ["PendingDeletion", "KMSInvalidStateException", "is pending deletion."],
    ["PendingImport", "KMSInvalidStateException", "is pending import."],
    ["Unavailable", "KMSInvalidStateException", "is unavailable."],
    ["Creating", "KMSInvalidStateException", "is creating."],
  ];
  test.each(states)("of a key that is %s is %s", async (state, name, words) => {
    const { kms, client } = await start();
    const { CiphertextBlob } = await encrypt(client, { KeyId: kms.keyArn });
    kms.setState(kms.keyArn, state);
    const message = `${kms.keyArn} ${words}`;
    expect(await refusalOf(encrypt(client, { KeyId: kms.keyArn }))).toMatchObject({ name, message });
    expect(await refusalOf(decrypt(client, CiphertextBlob))).toMatchObject({ name, message });
    expect(await describeKey(client, kms.keyArn)).toMatchObject({ KeyState: state, Enabled: false });
    kms.enable(kms.keyArn);
    expect((await decrypt(client, CiphertextBlob)).KeyId).toBe(kms.keyArn);
  });

  test("of a deletion that was cancelled is that of a disabled key; a destroyed one is not found", async () => {
    const { kms, client } = await start();
    kms.scheduleDeletion(kms.keyArn);
    kms.cancelDeletion(kms.keyArn);
    expect((await refusalOf(encrypt(client, { KeyId: kms.keyArn }))).name).toBe("DisabledException");
    kms.destroy(kms.keyArn);
    expect(await refusalOf(encrypt(client, { KeyId: kms.keyArn }))).toMatchObject({
      name: "NotFoundException",
      message: `Key '${kms.keyArn}' does not exist`,
    });
  });

  test.each([
    "alias/none",
    "00000000-0000-4000-8000-000000000000",
    "mrk-00000000000000000000000000000000",
    "none",
  ])("of %s is NotFoundException", async (KeyId) => {
    const { client } = await start();
    expect((await refusalOf(encrypt(client, { KeyId }))).name).toBe("NotFoundException");
  });

  test("for want of a permission is AccessDeniedException, and a grant token helps", async () => {
    const { kms, client } = await start();
    kms.deny("Encrypt", kms.keyArn);
    const error = await refusalOf(encrypt(client, { KeyId: kms.keyArn }));
    expect(error.name).toBe("AccessDeniedException");
    expect(error.message).toContain("kms:Encrypt");
    const token = kms.grant("Encrypt", kms.keyArn);
    expect((await encrypt(client, { KeyId: kms.alias, GrantTokens: [token] })).KeyId).toBe(kms.keyArn);
    const unknown = encrypt(client, { KeyId: kms.keyArn, GrantTokens: ["bm9uZQ=="] });
    expect((await refusalOf(unknown)).name).toBe("InvalidGrantTokenException");
    kms.allow("Encrypt", kms.keyArn);
    expect((await encrypt(client, { KeyId: kms.keyArn })).KeyId).toBe(kms.keyArn);
  });

  test.each([
    ["an empty plaintext", { Plaintext: new Uint8Array() }],
    ["4,097 bytes", { Plaintext: new Uint8Array(4_097) }],
    ["a KeyId of 2,049 characters", { KeyId: "k".repeat(2_049) }],
    ["11 grant tokens", { GrantTokens: Array.from({ length: 11 }, () => "dG9rZW4=") }],
  ])("of %s is ValidationException", async (_, input) => {
    const { kms, client } = await start();
    expect((await refusalOf(encrypt(client, { KeyId: kms.keyArn, ...input }))).name).toBe(
      "ValidationException",
    );
  });

  test("of a ciphertext of 6,145 bytes is ValidationException, of 6,144 InvalidCiphertextException", async () => {
    const { client } = await start();
    expect((await refusalOf(decrypt(client, new Uint8Array(6_145)))).name).toBe("ValidationException");
    expect((await refusalOf(decrypt(client, new Uint8Array(6_144)))).name).toBe("InvalidCiphertextException");
  });

  test("of 4,096 bytes does not happen", async () => {
    const { kms, client } = await start();
    const { CiphertextBlob } = await encrypt(client, { KeyId: kms.keyArn, Plaintext: new Uint8Array(4_096) });
    expect((await decrypt(client, CiphertextBlob)).Plaintext).toHaveLength(4_096);
  });

  test.each([
    ["another secret", "InvalidSignatureException", { secretAccessKey: "another" }],
    ["another access key", "UnrecognizedClientException", { accessKeyId: "AKIAANOTHER" }],
  ])("for %s is %s", async (_, name, changed) => {
    const { kms } = await start();
    const client = clientOf(kms, { credentials: { ...kms.credentials, ...changed } });
    expect((await refusalOf(encrypt(client, { KeyId: kms.keyArn }))).name).toBe(name);
    expect(kms.requests).toHaveLength(0);
  });
});

describe("the SDK's errors", () => {
  const known: readonly (readonly [Fault, string, number, boolean])[] = [
    [{ kind: "throttled" }, "ThrottlingException", 400, false],
    [{ kind: "denied" }, "AccessDeniedException", 400, false],
    [{ kind: "expired-credentials" }, "ExpiredTokenException", 400, false],
    [{ kind: "down" }, "ServiceUnavailableException", 503, false],
  ];
  test.each(known)(
    "of %j are known by name alone: no class, no hint to retry, no namespace",
    async (fault, name, status) => {
      const { kms, client } = await start({ maxAttempts: 1 });
      kms.inject(fault);
      const error = await refusalOf(encrypt(client, { KeyId: kms.keyArn }));
      expect(error.name).toBe(name);
      expect(error).toBeInstanceOf(KMSServiceException);
      expect(error.constructor).toBe(KMSServiceException);
      expect(error).toMatchObject({ $metadata: { httpStatusCode: status, attempts: 1 } });
      expect(error).toHaveProperty("$retryable", undefined);
    },
  );

  test("of a key's own have a class, and are service exceptions too", async () => {
    const { kms, client } = await start();
    kms.disable(kms.keyArn);
    const error = await refusalOf(encrypt(client, { KeyId: kms.keyArn }));
    expect(error).toBeInstanceOf(KMSServiceException);
    expect(error.constructor.name).toBe("DisabledException");
    expect(error).toHaveProperty("$retryable", undefined);
  });

  test("carry Retry-After in the hidden response, in whole seconds", async () => {
    const { kms, client } = await start({ maxAttempts: 1 });
    kms.inject({ kind: "throttled", retryAfterMs: 1_500 });
    const error = await refusalOf(encrypt(client, { KeyId: kms.keyArn }));
    expect(error).toMatchObject({ $response: { headers: { "retry-after": "2" } } });
  });

  test("of a reply that is no JSON is a SyntaxError that quotes it", async () => {
    const { kms, client } = await start();
    kms.inject({ kind: "malformed" });
    const error = await refusalOf(encrypt(client, { KeyId: kms.keyArn }));
    expect(error.name).toBe("SyntaxError");
    expect(error).not.toBeInstanceOf(KMSServiceException);
    expect(error.message).toContain("<html>");
  });

  test("of a connection that was cut has the code ECONNRESET", async () => {
    const { kms, client } = await start({ maxAttempts: 1 });
    kms.inject({ kind: "cut" });
    const error = await refusalOf(encrypt(client, { KeyId: kms.keyArn }));
    expect(error).not.toBeInstanceOf(KMSServiceException);
    expect(error).toMatchObject({ code: "ECONNRESET", $metadata: { attempts: 1 } });
  });

  test("of a port where nobody listens is a plain Error with the code ECONNREFUSED", async () => {
    const { kms } = await start();
    const client = clientOf(kms, { maxAttempts: 2 });
    await kms.close();
    const error = await refusalOf(encrypt(client, { KeyId: kms.keyArn }));
    expect(error.constructor).toBe(Error);
    expect(error).not.toBeInstanceOf(KMSServiceException);
    expect(error).toMatchObject({ code: "ECONNREFUSED", $metadata: { attempts: 2 } });
  });

  test("of no region is said in words, with no code", async () => {
    vi.stubEnv("AWS_REGION", undefined);
    vi.stubEnv("AWS_DEFAULT_REGION", undefined);
    vi.stubEnv("AWS_PROFILE", undefined);
    vi.stubEnv("AWS_CONFIG_FILE", "/nonexistent");
    vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent");
    onTestFinished(() => {
      vi.unstubAllEnvs();
    });
    const { kms } = await start();
    const client = new KMSClient({ endpoint: kms.endpoint, credentials: kms.credentials });
    onTestFinished(() => client.destroy());
    expect((await refusalOf(encrypt(client, { KeyId: kms.keyArn }))).message).toBe("Region is missing");
  });
});

describe("the SDK tries", () => {
  const again: readonly (readonly [Fault])[] = [
    [{ kind: "throttled" }],
    [{ kind: "down" }],
    [{ kind: "cut" }],
  ];
  test.each(again)("three times where it meets %j", async (fault) => {
    const { kms, client } = await start();
    kms.inject(fault, { times: Number.POSITIVE_INFINITY });
    const error = await refusalOf(encrypt(client, { KeyId: kms.keyArn }));
    expect(kms.requests).toHaveLength(3);
    expect(error).toMatchObject({ $metadata: { attempts: 3 } });
  });

  const once: readonly (readonly [Fault])[] = [[{ kind: "denied" }], [{ kind: "expired-credentials" }]];
  test.each(once)("once where it meets %j", async (fault) => {
    const { kms, client } = await start();
    kms.inject(fault, { times: Number.POSITIVE_INFINITY });
    await refusalOf(encrypt(client, { KeyId: kms.keyArn }));
    expect(kms.requests).toHaveLength(1);
  });

  test("once with maxAttempts 1, and with the default the second try succeeds", async () => {
    const { kms, client } = await start();
    kms.inject({ kind: "throttled" });
    expect((await encrypt(client, { KeyId: kms.keyArn })).$metadata.attempts).toBe(2);
    kms.inject({ kind: "throttled" });
    const single = clientOf(kms, { maxAttempts: 1 });
    expect((await refusalOf(encrypt(single, { KeyId: kms.keyArn }))).name).toBe("ThrottlingException");
    expect(kms.requests).toHaveLength(3);
  });

  test("again after a wrong clock, which it corrects by the reply's Date", async () => {
    const { kms } = await start();
    const hour = 3_600_000;
    const slow = clientOf(kms, { systemClockOffset: -hour });
    expect((await encrypt(slow, { KeyId: kms.keyArn })).$metadata.attempts).toBe(2);
    const fast = clientOf(kms, { systemClockOffset: hour, maxAttempts: 1 });
    expect(await refusalOf(encrypt(fast, { KeyId: kms.keyArn }))).toMatchObject({
      name: "InvalidSignatureException",
      message: expect.stringMatching(/^Signature not yet current/),
    });
    expect((await encrypt(fast, { KeyId: kms.keyArn })).KeyId).toBe(kms.keyArn);
  });
});

describe("the SDK's timeouts", () => {
  test("requestTimeout alone does nothing but warn", async () => {
    const warn = vi.fn();
    const logger = { trace: vi.fn(), debug: vi.fn(), info: vi.fn(), warn, error: vi.fn() };
    const { kms, client } = await start({ requestHandler: { requestTimeout: 50, logger } });
    kms.inject({ kind: "slow", ms: 400 });
    expect((await encrypt(client, { KeyId: kms.keyArn })).$metadata.attempts).toBe(1);
    expect(warn).toHaveBeenCalledWith(expect.stringContaining("throwOnRequestTimeout"));
  });

  test("with throwOnRequestTimeout it ends the request with a TimeoutError", async () => {
    const requestHandler = { requestTimeout: 100, throwOnRequestTimeout: true };
    const { kms, client } = await start({ maxAttempts: 1, requestHandler });
    kms.inject({ kind: "silent" });
    expect(await refusalOf(encrypt(client, { KeyId: kms.keyArn }))).toMatchObject({
      name: "TimeoutError",
      code: "ETIMEDOUT",
    });
  });

  test("an abortSignal ends a request in flight with an AbortError, which is no service exception", async () => {
    const { kms, client } = await start();
    kms.inject({ kind: "silent" });
    const abort = new AbortController();
    const pending = client.send(new EncryptCommand({ KeyId: kms.keyArn, Plaintext: plaintext }), {
      abortSignal: abort.signal,
    });
    await vi.waitUntil(() => kms.requests.length === 1, soon);
    abort.abort();
    const error = await refusalOf(pending);
    expect(error.name).toBe("AbortError");
    expect(error).not.toBeInstanceOf(KMSServiceException);
  });

  test("an abortSignal ends the pause before the next try, too", async () => {
    const { kms, client } = await start({ maxAttempts: 100 });
    kms.inject({ kind: "throttled" }, { times: Number.POSITIVE_INFINITY });
    const abort = new AbortController();
    const command = new EncryptCommand({ KeyId: kms.keyArn, Plaintext: plaintext });
    const pending = client.send(command, { abortSignal: abort.signal });
    await vi.waitUntil(() => kms.requests.length >= 2, soon);
    abort.abort();
    expect((await refusalOf(pending)).name).toBe("AbortError");
  });

  test("an aborted signal ends it before any request", async () => {
    const { kms, client } = await start();
    const command = new EncryptCommand({ KeyId: kms.keyArn, Plaintext: plaintext });
    const error = await refusalOf(client.send(command, { abortSignal: AbortSignal.abort() }));
    expect(error.name).toBe("AbortError");
    expect(kms.requests).toHaveLength(0);
  });
});

describe("faults in a reply that is otherwise good", () => {
  test("another key's name", async () => {
    const { kms, client } = await start();
    kms.inject({ kind: "another-key" });
    const { KeyId } = await encrypt(client, { KeyId: kms.keyArn });
    expect(KeyId).not.toBe(kms.keyArn);
    expect(KeyId).toMatch(/^arn:aws:kms:eu-central-1:111122223333:key\/[0-9a-f-]{36}$/);
  });

  test("one byte too few, and no ciphertext at all", async () => {
    const { kms, client } = await start();
    const { CiphertextBlob } = await encrypt(client, { KeyId: kms.keyArn });
    kms.inject({ kind: "bad-length" }, { times: 2 });
    expect((await decrypt(client, CiphertextBlob)).Plaintext).toHaveLength(31);
    expect((await encrypt(client, { KeyId: kms.keyArn })).CiphertextBlob).toHaveLength(0);
  });

  test("a checksum there is none of", async () => {
    const { kms } = await start();
    expect(() => kms.inject({ kind: "bad-checksum" })).toThrow("AWS KMS has no checksums");
  });

  test("befall one operation, so many times, and are forgotten by clear", async () => {
    const { kms, client } = await start({ maxAttempts: 1 });
    kms.inject({ kind: "denied" }, { operation: "Decrypt", times: 2 });
    const { CiphertextBlob } = await encrypt(client, { KeyId: kms.alias });
    expect((await refusalOf(decrypt(client, CiphertextBlob))).name).toBe("AccessDeniedException");
    kms.clear();
    expect((await decrypt(client, CiphertextBlob)).KeyId).toBe(kms.keyArn);
    expect(kms.requests.map(({ operation, key }) => [operation, key])).toEqual([
      ["Encrypt", kms.alias],
      ["Decrypt", ""],
      ["Decrypt", ""],
    ]);
  });
});

describe("the other operations", () => {
  test("GenerateDataKey gives a key that Decrypt gives again", async () => {
    const { kms, client } = await start();
    const command = new GenerateDataKeyCommand({
      KeyId: kms.alias,
      KeySpec: "AES_256",
      EncryptionContext: context,
    });
    const { Plaintext, CiphertextBlob, KeyId } = await client.send(command);
    expect(KeyId).toBe(kms.keyArn);
    expect(Plaintext).toHaveLength(32);
    const opened = await decrypt(client, CiphertextBlob, { EncryptionContext: context });
    expect(hex(opened.Plaintext)).toBe(hex(Plaintext));
    const both = new GenerateDataKeyCommand({ KeyId: kms.alias, KeySpec: "AES_256", NumberOfBytes: 32 });
    expect((await refusalOf(client.send(both))).name).toBe("ValidationException");
  });

  test("ReEncrypt moves a ciphertext to another key and context, with both permissions", async () => {
    const { kms, client } = await start();
    const { CiphertextBlob } = await encrypt(client, { KeyId: kms.keyArn, EncryptionContext: context });
    const next = kms.createKey();
    const command = new ReEncryptCommand({
      CiphertextBlob,
      SourceKeyId: kms.keyArn,
      SourceEncryptionContext: context,
      DestinationKeyId: next,
    });
    const moved = await client.send(command);
    expect([moved.SourceKeyId, moved.KeyId]).toEqual([kms.keyArn, next]);
    expect(hex((await decrypt(client, moved.CiphertextBlob)).Plaintext)).toBe(hex(plaintext));
    kms.deny("ReEncryptTo", next);
    expect((await refusalOf(client.send(command))).name).toBe("AccessDeniedException");
  });

  test("one that the fake does not have is UnknownOperationException", async () => {
    const { kms, client } = await start();
    const error = await refusalOf(client.send(new ListKeysCommand({})));
    expect(error.name).toBe("UnknownOperationException");
    expect(kms.requests).toHaveLength(0);
  });

  test("DescribeKey tells state and kind", async () => {
    const { kms, client } = await start();
    const arn = kms.createKey({ multiRegion: true });
    expect(await describeKey(client, arn)).toMatchObject({
      Arn: arn,
      MultiRegion: true,
      KeyState: "Enabled",
    });
  });
});

test("a hundred calls at once do not disturb one another", async () => {
  const { kms, client } = await start();
  const opened = await Promise.all(
    Array.from({ length: 100 }, async (_, i) => {
      const { CiphertextBlob } = await encrypt(client, { KeyId: kms.alias, Plaintext: Uint8Array.of(i) });
      return (await decrypt(client, CiphertextBlob)).Plaintext?.[0];
    }),
  );
  expect(opened).toEqual(Array.from({ length: 100 }, (_, i) => i));
  expect(kms.requests).toHaveLength(200);
});

async function start(config: KMSClientConfig = {}): Promise<{ kms: FakeAwsKms; client: KMSClient }> {
  const kms = await startFakeAwsKms();
  onTestFinished(() => kms.close());
  return { kms, client: clientOf(kms, config) };
}

function clientOf(kms: FakeAwsKms, config: KMSClientConfig & { systemClockOffset?: number } = {}): KMSClient {
  const client = new KMSClient({ ...kms.clientConfig, ...config });
  onTestFinished(() => client.destroy());
  return client;
}

function encrypt(client: KMSClient, input: Partial<EncryptCommandInput> & { KeyId: string }) {
  return client.send(new EncryptCommand({ Plaintext: plaintext, ...input }));
}

function decrypt(client: KMSClient, blob: Uint8Array | undefined, input: Partial<DecryptCommandInput> = {}) {
  return client.send(new DecryptCommand({ CiphertextBlob: blob, ...input }));
}

async function describeKey(client: KMSClient, KeyId: string) {
  return (await client.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata;
}

async function refusalOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
  throw new Error("Nothing was rejected, where a refusal was expected.");
}

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString("hex");
}
