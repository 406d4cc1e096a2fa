/**
 * What the real service and the real SDK do, driven with the raw SDK against the fake: the provider is not involved, so
 * that it and the fake cannot share a misunderstanding.
 */

import { constants, publicEncrypt } from "node:crypto";
import { CryptographyClient, type CryptographyClientOptions, KeyClient } from "@azure/keyvault-keys";
import { expect, onTestFinished, test } from "vitest";
import {
  type FakeAzureKeyVault,
  type FakeAzureKeyVaultOptions,
  startFakeAzureKeyVault,
} from "../../src/azure/fake-azure-key-vault.ts";

const secret = Uint8Array.from({ length: 32 }, (_, i) => 0xa0 + i);
const ended = { aborted: true };

async function start(options: FakeAzureKeyVaultOptions = {}): Promise<FakeAzureKeyVault> {
  const vault = await startFakeAzureKeyVault(options);
  onTestFinished(() => vault.close());
  return vault;
}

/** The SDK as it comes, which describes the key to itself first: given an id alone. */
function byId(vault: FakeAzureKeyVault, id: string = vault.keyId, options: CryptographyClientOptions = {}) {
  return new CryptographyClient(id, vault.credential, { ...vault.clientOptions, ...options });
}

/** The SDK given a key that holds no more than its names. */
function bySyntheticKey(
  vault: FakeAzureKeyVault,
  id: string = vault.keyId,
  options: CryptographyClientOptions = {},
) {
  const { vaultUrl, keyName: name } = vault;
  const key = { id, name, properties: { name, vaultUrl } };
  return new CryptographyClient(key, vault.credential, { ...vault.clientOptions, ...options });
}

function operations(vault: FakeAzureKeyVault): readonly string[] {
  return vault.requests.map(({ operation }) => operation);
}

const quick = { retryOptions: { maxRetries: 3, retryDelayInMs: 1, maxRetryDelayInMs: 2 } };

test("an unversioned client wraps with the newest version and reports the one that it saw first: data loss", async () => {
  const vault = await start();
  const unversioned = `${vault.vaultUrl}/keys/${vault.keyName}`;
  const client = byId(vault, unversioned);
  expect((await client.wrapKey("RSA-OAEP-256", secret)).keyID).toBe(vault.keyId);
  const second = vault.rotate();
  const { keyID, result } = await client.wrapKey("RSA-OAEP-256", secret);
  expect(keyID).toBe(vault.keyId);
  expect(vault.requests.at(-1)?.key).toBe(vault.keyName);
  await expect(bySyntheticKey(vault, keyID).unwrapKey("RSA-OAEP-256", result)).rejects.toMatchObject({
    statusCode: 400,
    code: "BadParameter",
  });
  const opened = await bySyntheticKey(vault, second).unwrapKey("RSA-OAEP-256", result);
  expect(Buffer.from(opened.result)).toEqual(Buffer.from(secret));
});

test("the service names the key that answered, which only onResponse shows", async () => {
  const vault = await start({ kty: "oct-HSM" });
  const kids: unknown[] = [];
  vault.inject({ kind: "another-key" });
  const { keyID } = await bySyntheticKey(vault).wrapKey("A256KW", secret, {
    onResponse: ({ parsedBody }) => kids.push(Reflect.get(Object(parsedBody), "kid")),
  });
  expect(keyID).toBe(vault.keyId);
  expect(kids).toHaveLength(1);
  expect(kids[0]).toMatch(/^https:\/\/emulator\.vault\.azure\.net\/keys\/keyfold\/[0-9a-f]{32}$/);
  expect(kids[0]).not.toBe(vault.keyId);
});

test("a key that was fetched and has expired is refused by the SDK itself, with an error without a code", async () => {
  const vault = await start();
  const { result } = await bySyntheticKey(vault).wrapKey("RSA-OAEP-256", secret);
  vault.expire();
  const before = operations(vault).length;
  const refusal = await byId(vault)
    .unwrapKey("RSA-OAEP-256", result)
    .catch((error: unknown) => error);
  expect(refusal).toMatchObject({ name: "Error", message: expect.stringContaining("expired at") });
  expect(refusal).not.toHaveProperty("code");
  expect(refusal).not.toHaveProperty("statusCode");
  expect(operations(vault).slice(before)).toEqual(["get"]);
});

test("with a synthetic key an expired version unwraps, without keys/get", async () => {
  const vault = await start();
  const { result } = await bySyntheticKey(vault).wrapKey("RSA-OAEP-256", secret);
  vault.expire();
  vault.deny("get");
  const { result: opened } = await bySyntheticKey(vault).unwrapKey("RSA-OAEP-256", result);
  expect(Buffer.from(opened)).toEqual(Buffer.from(secret));
  expect(operations(vault)).toEqual(["wrapKey", "unwrapKey"]);
});

test.each(["expire", "postpone"] as const)(
  "outside its validity (%s) a key opens and does not wrap",
  async (outside) => {
    const vault = await start({ kty: "oct-HSM" });
    const client = bySyntheticKey(vault);
    const wrapped = await client.wrapKey("A256KW", secret);
    const sealed = await client.encrypt({ algorithm: "A256GCM", plaintext: secret });
    vault[outside]();
    await expect(client.wrapKey("A256KW", secret)).rejects.toMatchObject({
      statusCode: 403,
      code: "Forbidden",
    });
    await expect(client.encrypt({ algorithm: "A256GCM", plaintext: secret })).rejects.toMatchObject({
      statusCode: 403,
    });
    await client.unwrapKey("A256KW", wrapped.result);
    const { iv = secret, authenticationTag = secret, result: ciphertext } = sealed;
    await client.decrypt({ algorithm: "A256GCM", ciphertext, iv, authenticationTag });
  },
);

test("a cold client makes three requests, one with a synthetic key two, a warm one one", async () => {
  const vault = await start({ kty: "oct-HSM" });
  const all = () => vault.requests.length + vault.challenges;
  await byId(vault).wrapKey("A256KW", secret);
  expect(all()).toBe(3);
  const client = bySyntheticKey(vault);
  await client.wrapKey("A256KW", secret);
  expect(all()).toBe(5);
  await client.wrapKey("A256KW", secret);
  expect(all()).toBe(6);
  expect(vault.challenges).toBe(2);
});

test("the first request goes without its body and without a token, for the challenge", async () => {
  const vault = await start({ kty: "oct-HSM" });
  const sent: { readonly body: boolean; readonly token: boolean }[] = [];
  const client = bySyntheticKey(vault, vault.keyId, {
    additionalPolicies: [
      {
        position: "perRetry",
        policy: {
          name: "watch",
          sendRequest(request, next) {
            sent.push({ body: Boolean(request.body), token: request.headers.has("authorization") });
            return next(request);
          },
        },
      },
    ],
  });
  await client.wrapKey("A256KW", secret);
  expect(sent).toEqual([
    { body: false, token: false },
    { body: true, token: true },
  ]);
});

test("a hundred calls on a cold client: each keeps its body in @azure/keyvault-common 2.1.1", async () => {
  const vault = await start({ kty: "oct-HSM" });
  const client = bySyntheticKey(vault);
  const wraps = await Promise.all(Array.from({ length: 100 }, () => client.wrapKey("A256KW", secret)));
  expect(wraps).toHaveLength(100);
  expect(vault.requests).toHaveLength(100);
  expect(vault.challenges).toBeGreaterThan(1);
});

test("a challenge for a resource of another domain gets no token", async () => {
  const vault = await start({ kty: "oct-HSM" });
  vault.challengeResource = "https://vault.example.net";
  await expect(bySyntheticKey(vault).wrapKey("A256KW", secret)).rejects.toThrow(
    "does not match the requested domain",
  );
  expect(vault.tokens).toBe(0);
  expect(vault.requests).toEqual([]);
});

test.each([
  ["emulator.vault.azure.net", "https://vault.azure.net/.default"],
  ["emulator.managedhsm.azure.net", "https://managedhsm.azure.net/.default"],
])("at %s the credential is asked for %s", async (host, scope) => {
  const vault = await start({ host, kty: "oct-HSM" });
  const asked: unknown[] = [];
  const credential = {
    getToken(scopes: string | string[], options?: object) {
      asked.push(scopes, options);
      return vault.credential.getToken(scopes, options);
    },
  };
  const key = await new KeyClient(vault.vaultUrl, credential, vault.clientOptions).getKey(vault.keyName);
  expect(key.id).toBe(vault.keyId);
  expect(asked[0]).toEqual([scope]);
  expect(asked[1]).toMatchObject({ enableCae: true, tenantId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
});

test("an expired token is refused with 401, and a client does not get a new one by itself", async () => {
  const vault = await start({ kty: "oct-HSM" });
  const client = bySyntheticKey(vault);
  await client.wrapKey("A256KW", secret);
  vault.expireTokens();
  await expect(client.wrapKey("A256KW", secret)).rejects.toMatchObject({
    statusCode: 401,
    code: "Unauthorized",
  });
});

test("RSA-OAEP is done locally with the public key, RSA-OAEP-256 by the service", async () => {
  const vault = await start();
  const client = byId(vault);
  const { result } = await client.wrapKey("RSA-OAEP", secret);
  expect(operations(vault)).toEqual(["get"]);
  await client.wrapKey("RSA-OAEP-256", secret);
  expect(operations(vault)).toEqual(["get", "wrapKey"]);
  expect(Buffer.from((await client.unwrapKey("RSA-OAEP", result)).result)).toEqual(Buffer.from(secret));
});

test("whoever has the public key can make a wrap that the service unwraps", async () => {
  const vault = await start();
  const { key } = await new KeyClient(vault.vaultUrl, vault.credential, vault.clientOptions).getKey(
    vault.keyName,
  );
  const text = (bytes: Uint8Array = new Uint8Array()) => Buffer.from(bytes).toString("base64url");
  const forged = publicEncrypt(
    {
      key: { kty: "RSA", n: text(key?.n), e: text(key?.e) },
      format: "jwk",
      padding: constants.RSA_PKCS1_OAEP_PADDING,
      oaepHash: "sha256",
    },
    secret,
  );
  const { result } = await bySyntheticKey(vault).unwrapKey("RSA-OAEP-256", forged);
  expect(Buffer.from(result)).toEqual(Buffer.from(secret));
});

test("A256GCM: the service makes the iv, and binds the additional data", async () => {
  const vault = await start({ kty: "oct-HSM", host: "emulator.managedhsm.azure.net" });
  const client = bySyntheticKey(vault);
  const additionalAuthenticatedData = Buffer.from("context");
  const parameters = { algorithm: "A256GCM", plaintext: secret, additionalAuthenticatedData } as const;
  const { result: ciphertext, iv, authenticationTag } = await client.encrypt(parameters);
  expect([iv?.length, authenticationTag?.length, ciphertext.length]).toEqual([12, 16, 32]);
  if (iv === undefined || authenticationTag === undefined) return;
  const sealed = { algorithm: "A256GCM", ciphertext, iv, authenticationTag } as const;
  const { result } = await client.decrypt({ ...sealed, additionalAuthenticatedData });
  expect(Buffer.from(result)).toEqual(Buffer.from(secret));
  await expect(
    client.decrypt({ ...sealed, additionalAuthenticatedData: Buffer.from("other") }),
  ).rejects.toMatchObject({ statusCode: 400, code: "BadParameter" });
});

test("unwrapping needs the very version, which works on after a rotation while it is enabled", async () => {
  const vault = await start({ kty: "oct-HSM" });
  const { result } = await bySyntheticKey(vault).wrapKey("A256KW", secret);
  const second = vault.rotate();
  expect(Buffer.from((await bySyntheticKey(vault).unwrapKey("A256KW", result)).result)).toEqual(
    Buffer.from(secret),
  );
  await expect(bySyntheticKey(vault, second).unwrapKey("A256KW", result)).rejects.toMatchObject({
    statusCode: 400,
    code: "BadParameter",
  });
});

test("errors: disabled, deleted, forbidden, damaged, and an algorithm that does not fit the key", async () => {
  const vault = await start({ kty: "oct-HSM" });
  const client = bySyntheticKey(vault);
  const { result } = await client.wrapKey("A256KW", secret);
  const unwrap = () => client.unwrapKey("A256KW", result);
  vault.disable();
  await expect(unwrap()).rejects.toMatchObject(refusal(403, "Forbidden", "KeyDisabled"));
  vault.enable();
  vault.delete();
  await expect(unwrap()).rejects.toMatchObject({ statusCode: 404, code: "KeyNotFound" });
  vault.recover();
  vault.deny("unwrapKey");
  await expect(unwrap()).rejects.toMatchObject(refusal(403, "Forbidden", "ForbiddenByRbac"));
  vault.denial = "AccessDenied";
  await expect(unwrap()).rejects.toMatchObject(refusal(403, "Forbidden", "AccessDenied"));
  vault.allow("unwrapKey");
  vault.firewall = true;
  await expect(unwrap()).rejects.toMatchObject(refusal(403, "Forbidden", "ForbiddenByFirewall"));
  vault.firewall = false;
  await unwrap();
  const bad = { statusCode: 400, code: "BadParameter" };
  await expect(
    client.unwrapKey(
      "A256KW",
      result.map((byte) => byte ^ 1),
    ),
  ).rejects.toMatchObject(bad);
  await expect(client.wrapKey("RSA-OAEP-256", secret)).rejects.toMatchObject(bad);
});

function refusal(statusCode: number, code: string, inner: string) {
  return { name: "RestError", statusCode, code, details: { error: { innerError: { code: inner } } } };
}

test("429 is retried only with Retry-After", async () => {
  const vault = await start({ kty: "oct-HSM" });
  const client = bySyntheticKey(vault, vault.keyId, quick);
  vault.inject({ kind: "throttled" });
  await expect(client.wrapKey("A256KW", secret)).rejects.toMatchObject({ statusCode: 429 });
  expect(vault.requests).toHaveLength(1);
  vault.inject({ kind: "throttled", retryAfterMs: 10 });
  await client.wrapKey("A256KW", secret);
  expect(vault.requests).toHaveLength(3);
});

test("the SDK makes four attempts, or one with maxRetries 0", async () => {
  const vault = await start({ kty: "oct-HSM" });
  vault.inject({ kind: "throttled", retryAfterMs: 1 }, { times: Number.POSITIVE_INFINITY });
  await expect(bySyntheticKey(vault, vault.keyId, quick).wrapKey("A256KW", secret)).rejects.toMatchObject({
    statusCode: 429,
  });
  expect(vault.requests).toHaveLength(4);
  const once = bySyntheticKey(vault, vault.keyId, { retryOptions: { maxRetries: 0 } });
  await expect(once.wrapKey("A256KW", secret)).rejects.toMatchObject({ statusCode: 429 });
  expect(vault.requests).toHaveLength(5);
});

test("abortSignal and timeout both end in AbortError, also in a wait for Retry-After", async () => {
  const vault = await start({ kty: "oct-HSM" });
  const client = bySyntheticKey(vault);
  await client.wrapKey("A256KW", secret);
  vault.inject({ kind: "silent" }, { times: 2 });
  const abortSignal = AbortSignal.timeout(100);
  await expect(client.wrapKey("A256KW", secret, { abortSignal })).rejects.toThrow(
    expect.objectContaining({ name: "AbortError" }),
  );
  expect(abortSignal).toMatchObject(ended);
  await expect(client.wrapKey("A256KW", secret, { requestOptions: { timeout: 100 } })).rejects.toThrow(
    expect.objectContaining({ name: "AbortError" }),
  );
  vault.inject({ kind: "throttled", retryAfterMs: 60_000 });
  const begun = performance.now();
  await expect(client.wrapKey("A256KW", secret, { abortSignal: AbortSignal.timeout(100) })).rejects.toThrow(
    expect.objectContaining({ name: "AbortError" }),
  );
  expect(performance.now() - begun).toBeLessThan(30_000);
});

test("unwrapped bytes are a view of Node's shared pool", async () => {
  const vault = await start({ kty: "oct-HSM" });
  const client = bySyntheticKey(vault);
  const { result } = await client.unwrapKey("A256KW", (await client.wrapKey("A256KW", secret)).result);
  expect(result.buffer.byteLength).toBeGreaterThan(result.length);
});

test("the error for an answer that cannot be read quotes the answer", async () => {
  const vault = await start({ kty: "oct-HSM" });
  const client = bySyntheticKey(vault);
  const { result } = await client.wrapKey("A256KW", secret);
  vault.inject({ kind: "malformed" });
  const failed = client.unwrapKey("A256KW", result);
  await expect(failed).rejects.toMatchObject({
    name: "RestError",
    code: "PARSE_ERROR",
    statusCode: 200,
    message: expect.stringContaining(Buffer.from(secret).toString("base64url").slice(0, 16)),
  });
});

test("a connection that is cut, and a vault that is not there, are RestErrors without a status", async () => {
  const vault = await start({ kty: "oct-HSM" });
  const client = bySyntheticKey(vault, vault.keyId, { retryOptions: { maxRetries: 0 } });
  await client.wrapKey("A256KW", secret);
  vault.inject({ kind: "cut" });
  await expect(client.wrapKey("A256KW", secret)).rejects.toMatchObject({
    name: "RestError",
    statusCode: undefined,
  });
  await vault.close();
  await expect(client.wrapKey("A256KW", secret)).rejects.toMatchObject({
    name: "RestError",
    statusCode: undefined,
  });
});
