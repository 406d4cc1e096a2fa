/** What the fake vault checks and models, asked over plain HTTPS; through the SDK it is asked in raw-sdk.test.ts. */

import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import {
  type FakeAzureKeyVault,
  type FakeAzureKeyVaultOptions,
  startFakeAzureKeyVault,
} from "../../src/azure/fake-azure-key-vault.ts";

const SCOPE = "https://vault.azure.net/.default";
const API = "?api-version=7.4";
const value = Buffer.alloc(32, 7).toString("base64url");

async function start(options: FakeAzureKeyVaultOptions = {}): Promise<FakeAzureKeyVault> {
  const vault = await startFakeAzureKeyVault({ kty: "oct-HSM", ...options });
  onTestFinished(() => vault.close());
  return vault;
}

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: { readonly [member: string]: unknown };
}

interface Call {
  readonly body?: object | string;
  readonly token?: string;
  readonly type?: string;
}

async function call(vault: FakeAzureKeyVault, path: string, options: Call = {}): Promise<Answer> {
  const { body, type = "application/json" } = options;
  const token = options.token ?? (await vault.credential.getToken(SCOPE)).token;
  const outgoing = request(new URL(path, vault.vaultUrl), {
    agent: vault.clientOptions.agent,
    method: body === undefined ? "GET" : "POST",
    headers: { ...(token === "" ? {} : { authorization: `Bearer ${token}` }), "content-type": type },
  });
  outgoing.end(typeof body === "object" ? JSON.stringify(body) : body);
  const [incoming]: IncomingMessage[] = await once(outgoing, "response");
  if (incoming === undefined) throw new Error("There was no response.");
  return {
    status: incoming.statusCode,
    headers: incoming.headers,
    body: JSON.parse(await text(incoming)),
  };
}

function codeOf({ status, body }: Answer): string {
  const error = Object(body["error"]);
  return [status, error.code, ...(error.innererror === undefined ? [] : [error.innererror.code])].join(" ");
}

test("without a token a request is challenged, and is none that counts", async () => {
  const vault = await start();
  const answer = await call(vault, `/keys/keyfold${API}`, { token: "" });
  expect(codeOf(answer)).toBe("401 Unauthorized");
  expect(answer.headers["www-authenticate"]).toMatch(
    /^Bearer authorization="https:\/\/login\.microsoftonline\.com\/[0-9a-f-]{36}", resource="https:\/\/vault\.azure\.net"$/,
  );
  expect([vault.challenges, vault.requests.length]).toEqual([1, 0]);
});

test("a token must be the fake's own, for this resource, and not expired", async () => {
  const vault = await start();
  const { token } = await vault.credential.getToken(SCOPE);
  const { token: other } = await vault.credential.getToken("https://managedhsm.azure.net/.default");
  const status = async (token: string) => (await call(vault, `/keys/keyfold${API}`, { token })).status;
  expect([await status(token), await status(other), await status("made-up")]).toEqual([200, 401, 401]);
  vault.expireTokens();
  expect(await status(token)).toBe(401);
});

test.each([
  ["no api-version", "/keys/keyfold", undefined, "400 BadParameter"],
  ["an api-version that there is not", "/keys/keyfold?api-version=1", undefined, "400 BadParameter"],
  ["another collection", `/secrets/keyfold${API}`, undefined, "404 NotFound"],
  ["an operation that there is not", `/keys/keyfold/sign${API}`, {}, "404 NotFound"],
  ["a key that there is not", `/keys/absent${API}`, undefined, "404 KeyNotFound"],
  ["a version that there is not", `/keys/keyfold/${"0".repeat(32)}${API}`, undefined, "404 KeyNotFound"],
  ["an empty body", `/keys/keyfold/wrapkey${API}`, "", "400 BadParameter"],
  ["no JSON", `/keys/keyfold/wrapkey${API}`, "{", "400 BadParameter"],
  ["no algorithm", `/keys/keyfold/wrapkey${API}`, { value }, "400 BadParameter"],
  ["no value", `/keys/keyfold/wrapkey${API}`, { alg: "A256KW" }, "400 BadParameter"],
  [
    "base64 with padding",
    `/keys/keyfold/wrapkey${API}`,
    { alg: "A256KW", value: `${value}=` },
    "400 BadParameter",
  ],
  ["an RSA algorithm", `/keys/keyfold/wrapkey${API}`, { alg: "RSA-OAEP-256", value }, "400 BadParameter"],
  ["A256GCM to wrap", `/keys/keyfold/wrapkey${API}`, { alg: "A256GCM", value }, "400 BadParameter"],
  ["A256KW to encrypt", `/keys/keyfold/encrypt${API}`, { alg: "A256KW", value }, "400 BadParameter"],
  [
    "an iv of the caller's",
    `/keys/keyfold/encrypt${API}`,
    { alg: "A256GCM", value, iv: "AAAAAAAAAAAAAAAA" },
    "400 BadParameter",
  ],
  ["no iv to decrypt", `/keys/keyfold/decrypt${API}`, { alg: "A256GCM", value }, "400 BadParameter"],
  [
    "eight bytes to wrap",
    `/keys/keyfold/wrapkey${API}`,
    { alg: "A256KW", value: "AAAAAAAAAAA" },
    "400 BadParameter",
  ],
])("%s is refused", async (_, path, body, code) => {
  const vault = await start();
  expect(codeOf(await call(vault, path, body === undefined ? {} : { body }))).toBe(code);
});

test("a body of another type is refused", async () => {
  const vault = await start();
  const body = { alg: "A256KW", value };
  const answer = await call(vault, `/keys/keyfold/wrapkey${API}`, { body, type: "text/plain" });
  expect(codeOf(answer)).toBe("400 BadParameter");
});

test("without a version the newest answers, and the kid says which", async () => {
  const vault = await start();
  const body = { alg: "A256KW", value };
  const first = await call(vault, `/keys/KeyFold//wrapkey${API}`, { body });
  expect(first.body["kid"]).toBe(vault.keyId);
  const kid = vault.rotate();
  expect((await call(vault, `/keys/keyfold/wrapkey${API}`, { body })).body["kid"]).toBe(kid);
  expect((await call(vault, `/keys/keyfold${API}`)).body["key"]).toMatchObject({ kid, kty: "oct-HSM" });
  expect(vault.requests.map(({ operation, key }) => [operation, key])).toEqual([
    ["wrapKey", "KeyFold"],
    ["wrapKey", "keyfold"],
    ["get", "keyfold"],
  ]);
});

test("an RSA key shows its public half, and its state", async () => {
  const vault = await start({ kty: "RSA" });
  vault.disable();
  vault.expire();
  const { status, body } = await call(vault, `/keys/keyfold${API}`);
  expect(status).toBe(200);
  expect(body["key"]).toMatchObject({ kty: "RSA", e: "AQAB", n: expect.stringMatching(/^[\w-]{342}$/) });
  expect(body["key"]).not.toHaveProperty("d");
  expect(body["attributes"]).toMatchObject({ enabled: false, exp: expect.any(Number) });
});

test("a deleted key is not there until it is recovered, and its name is taken; a purged one is gone", async () => {
  const vault = await start();
  vault.delete();
  expect(codeOf(await call(vault, `/keys/keyfold${API}`))).toBe("404 KeyNotFound");
  expect(() => vault.createKey()).toThrow("deleted but recoverable");
  vault.recover();
  expect((await call(vault, `/keys/keyfold${API}`)).status).toBe(200);
  vault.purge();
  expect(codeOf(await call(vault, `/keys/keyfold${API}`))).toBe("404 KeyNotFound");
  expect(() => vault.disable()).toThrow("was not found");
});

test("each permission is asked for by its own operation", async () => {
  const vault = await start();
  vault.deny("wrapKey");
  const body = { alg: "A256KW", value };
  expect(codeOf(await call(vault, `/keys/keyfold/wrapkey${API}`, { body }))).toBe(
    "403 Forbidden ForbiddenByRbac",
  );
  expect((await call(vault, `/keys/keyfold${API}`)).status).toBe(200);
  vault.allow("wrapKey");
  expect((await call(vault, `/keys/keyfold/wrapkey${API}`, { body })).status).toBe(200);
});

test("faults befall as many requests as they should, of the operation that they should", async () => {
  const vault = await start();
  const get = () => call(vault, `/keys/keyfold${API}`);
  const wrap = () => call(vault, `/keys/keyfold/wrapkey${API}`, { body: { alg: "A256KW", value } });
  vault.inject({ kind: "down" }, { operation: "wrapKey", times: 2 });
  expect([(await get()).status, (await wrap()).status, (await wrap()).status, (await wrap()).status]).toEqual(
    [200, 503, 503, 200],
  );
  vault.inject({ kind: "denied" }, { times: Number.POSITIVE_INFINITY });
  expect(codeOf(await get())).toBe("403 Forbidden ForbiddenByRbac");
  vault.clear();
  expect((await get()).status).toBe(200);
  vault.inject({ kind: "throttled", retryAfterMs: 2_000 });
  expect((await get()).headers["retry-after"]).toBe("2");
  vault.inject({ kind: "throttled", retryAfterMs: 1_500 });
  expect((await get()).headers).toMatchObject({ "retry-after-ms": "1500" });
  vault.inject({ kind: "throttled" });
  expect((await get()).headers).not.toHaveProperty("retry-after");
  vault.inject({ kind: "slow", ms: 60 });
  const begun = performance.now();
  expect((await get()).status).toBe(200);
  expect(performance.now() - begun).toBeGreaterThanOrEqual(50);
});

test("a fault without a meaning here cannot be injected", async () => {
  const vault = await start();
  expect(() => vault.inject({ kind: "bad-checksum" })).toThrow("no checksums");
});

test("only the host that it was started for is served, and no other certificate authority is trusted", async () => {
  const vault = await start();
  const elsewhere = request("https://other.vault.azure.net/", { agent: vault.clientOptions.agent });
  await expect(once(elsewhere.end(), "response")).rejects.toMatchObject({
    code: "ERR_TLS_CERT_ALTNAME_INVALID",
  });
});

test("closing ends what is under way, and twice is fine", async () => {
  const vault = await start();
  vault.inject({ kind: "silent" });
  const pending = call(vault, `/keys/keyfold${API}`);
  const cut = expect(pending).rejects.toMatchObject({ code: "ECONNRESET" });
  while (vault.requests.length === 0) await new Promise(setImmediate);
  await Promise.all([vault.close(), vault.close()]);
  await cut;
  await vault[Symbol.asyncDispose]();
});
