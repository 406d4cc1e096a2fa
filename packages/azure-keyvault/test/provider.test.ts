/** The provider against the fake vault, through the real SDK. */

import { constants, createDecipheriv, createHash, privateDecrypt } from "node:crypto";
import { readFileSync } from "node:fs";
import { createHttpHeaders, type PipelineRequest } from "@azure/core-rest-pipeline";
import { CredentialUnavailableError } from "@azure/identity";
import { CryptographyClient, KeyClient } from "@azure/keyvault-keys";
import { encodeContext } from "@keyfold/core";
import { describe, expect, test } from "vitest";
import { type AzureCallOptions, azureKeyVault } from "../src/index.ts";
import { MAX_CLIENTS } from "../src/vault.ts";
import { injected, KEY_ID, URI, VERSION } from "./support/injected.ts";
import {
  algorithms,
  hex,
  keyTypeFor,
  kmsContext,
  operation,
  operationsOf,
  providerFor,
  rejectionOf,
  secret,
  soon,
  startVault,
  untouched,
  uriOf,
} from "./support/material.ts";

const H = createHash("sha512").update(encodeContext(kmsContext)).digest().subarray(0, 32);

describe.each(algorithms)("%s", (algorithm) => {
  const kty = keyTypeFor(algorithm);

  test("wraps as the specification says, which the key itself proves", async () => {
    const vault = await startVault({ kty });
    const { masterKey, ciphertext } = await providerFor(vault, { algorithm }).wrapKey(secret, operation());
    expect(masterKey).toBe(uriOf(vault.keyId));
    const material = await vault.material();
    const body = Buffer.from(ciphertext.subarray(1));
    if (material.kty === "RSA") {
      expect([ciphertext[0], body.length]).toEqual([1, 256]);
      const padding = constants.RSA_PKCS1_OAEP_PADDING;
      const plain = privateDecrypt({ key: material.privateKey, padding, oaepHash: "sha256" }, body);
      expect(hex(plain)).toBe(hex(secret) + hex(H));
    } else if (algorithm === "A256KW") {
      expect([ciphertext[0], body.length]).toEqual([2, 72]);
      const decipher = createDecipheriv("id-aes256-wrap", material.key, Buffer.alloc(8, 0xa6));
      expect(hex(decipher.update(body))).toBe(hex(secret) + hex(H));
    } else {
      expect([ciphertext[0], body.length]).toEqual([3, 60]);
      const decipher = createDecipheriv("aes-256-gcm", material.key, body.subarray(0, 12), {
        authTagLength: 16,
      });
      decipher.setAuthTag(body.subarray(12, 28)).setAAD(encodeContext(kmsContext));
      expect(hex(Buffer.concat([decipher.update(body.subarray(28)), decipher.final()]))).toBe(hex(secret));
    }
  });

  test("at a managed HSM", async () => {
    const vault = await startVault({ kty, host: "emulator.managedhsm.azure.net" });
    const wrapped = await providerFor(vault, { algorithm }).wrapKey(secret, operation());
    expect(wrapped.masterKey).toBe(uriOf(vault.keyId));
    expect(hex(await providerFor(vault, { algorithm }).unwrapKey(wrapped, operation()))).toBe(hex(secret));
  });

  test("rotation between wrap and unwrap: both versions open, and each wrap names its own", async () => {
    const vault = await startVault({ kty });
    const warm = providerFor(vault, { algorithm });
    const first = await warm.wrapKey(secret, operation());
    const kid = vault.rotate();
    // Until the version is asked for again, the warm one wraps with the old version, and says so.
    const second = await warm.wrapKey(secret, operation());
    const third = await providerFor(vault, { algorithm }).wrapKey(secret, operation());
    expect([first, second, third].map(({ masterKey }) => masterKey)).toEqual(
      [vault.keyId, vault.keyId, kid].map(uriOf),
    );
    for (const provider of [warm, providerFor(vault, { algorithm })]) {
      for (const wrapped of [first, second, third]) {
        expect(hex(await provider.unwrapKey(wrapped, operation()))).toBe(hex(secret));
      }
    }
  });

  test("an expired version unwraps, without keys/get", async () => {
    const vault = await startVault({ kty });
    const wrapped = await providerFor(vault, { algorithm }).wrapKey(secret, operation());
    vault.expire();
    vault.deny("get");
    const before = operationsOf(vault).length;
    expect(hex(await providerFor(vault, { algorithm }).unwrapKey(wrapped, operation()))).toBe(hex(secret));
    expect(operationsOf(vault).slice(before)).toEqual([algorithm === "A256GCM" ? "decrypt" : "unwrapKey"]);
  });

  test("an expired version does not wrap, and the next wrap asks for a newer one", async () => {
    const vault = await startVault({ kty });
    const provider = providerFor(vault, { algorithm });
    await provider.wrapKey(secret, operation());
    vault.expire();
    expect((await rejectionOf(provider.wrapKey(secret, operation()))).code).toBe("ERR_MASTER_KEY_DISABLED");
    const kid = vault.rotate();
    expect((await provider.wrapKey(secret, operation())).masterKey).toBe(uriOf(kid));
  });

  test("cold-client race: a hundred calls at once keep their bodies, and challenge each client once", async () => {
    const vault = await startVault({ kty });
    const provider = providerFor(vault, { algorithm });
    const wraps = await Promise.all(
      Array.from({ length: 100 }, (_, i) => provider.wrapKey(new Uint8Array(32).fill(i), operation())),
    );
    expect(vault.challenges).toBe(2);
    expect(operationsOf(vault).filter((name) => name === "get")).toHaveLength(1);
    const cold = providerFor(vault, { algorithm });
    const keys = await Promise.all(wraps.map((wrapped) => cold.unwrapKey(wrapped, operation())));
    expect(keys.map(hex)).toEqual(wraps.map((_, i) => hex(new Uint8Array(32).fill(i))));
    expect(vault.challenges).toBe(3);
  });

  test("another context is refused", async () => {
    const vault = await startVault({ kty });
    const provider = providerFor(vault, { algorithm });
    const wrapped = await provider.wrapKey(secret, operation());
    const other = operation({ ...kmsContext, "keyfold:project": "billing/test" });
    expect((await rejectionOf(provider.unwrapKey(wrapped, other))).code).toBe("ERR_MASTER_KEY_REJECTED");
  });

  test("a reply that names another key, or has another length, is refused", async () => {
    const vault = await startVault({ kty });
    const provider = providerFor(vault, { algorithm });
    const wrapped = await provider.wrapKey(secret, operation());
    for (const kind of ["another-key", "bad-length", "malformed"] as const) {
      vault.inject({ kind });
      expect((await rejectionOf(provider.unwrapKey(wrapped, operation()))).code).toBe(
        "ERR_MASTER_KEY_BAD_REPLY",
      );
      vault.inject({ kind });
      expect((await rejectionOf(provider.wrapKey(secret, operation()))).code).toBe(
        "ERR_MASTER_KEY_BAD_REPLY",
      );
    }
  });

  test("an algorithm that does not fit the key is refused by the service", async () => {
    const vault = await startVault({ kty: kty === "RSA" ? "oct-HSM" : "RSA" });
    const failure = await rejectionOf(providerFor(vault, { algorithm }).wrapKey(secret, operation()));
    expect(failure.code).toBe("ERR_MASTER_KEY_REJECTED");
    expect(failure.message).toContain("algorithm");
  });
});

test("the vector of the plaintext that RSA-OAEP-256 and A256KW wrap", async () => {
  const file = new URL("../../core/test/vectors/wraps-and-keyring-v1.json", import.meta.url);
  const { azurePlaintext, wraps } = JSON.parse(readFileSync(file, "utf8"));
  const vector = wraps.find(({ encoded }: { encoded: string }) => encoded === azurePlaintext.encoded);
  const context = {
    ...vector.kmsContext,
    "keyfold:project": vector.project,
    "keyfold:purpose": vector.purpose,
  };
  expect(hex(encodeContext(context))).toBe(azurePlaintext.encoded);
  const key = Buffer.from(azurePlaintext.plaintext, "hex").subarray(0, 32);
  for (const algorithm of ["RSA-OAEP-256", "A256KW"] as const) {
    const sent: string[] = [];
    const { client } = injected({
      wrapKey: async (bytes) => {
        sent.push(hex(bytes));
        throw new Error("enough");
      },
    });
    const provider = azureKeyVault({ keyId: KEY_ID, algorithm, client });
    await rejectionOf(provider.wrapKey(key, operation(context)));
    expect(sent).toEqual([azurePlaintext.plaintext]);
  }
});

test("an AES key opens the wraps of both AES algorithms", async () => {
  const vault = await startVault();
  for (const [wraps, opens] of [
    ["A256KW", "A256GCM"],
    ["A256GCM", "A256KW"],
  ] as const) {
    const wrapped = await providerFor(vault, { algorithm: wraps }).wrapKey(secret, operation());
    const opener = providerFor(vault, { algorithm: opens });
    expect(hex(await opener.unwrapKey(wrapped, operation()))).toBe(hex(secret));
  }
});

describe("refused without a request and without a token", () => {
  const uri = `azure-keyvault://emulator.vault.azure.net/keys/keyfold/${VERSION}`;
  const gcm = Uint8Array.of(3, ...new Uint8Array(60));
  const kw = Uint8Array.of(2, ...new Uint8Array(72));
  const rsa = Uint8Array.of(1, ...new Uint8Array(256));

  test.each([
    ["a host other than the configured", "A256KW", uri.replace("emulator", "evil"), kw],
    ["a host that begins like the configured", "A256KW", uri.replace(".net", ".net.evil.example"), kw],
    ["the configured host as user-info", "A256KW", uri.replace("/keys", "@evil.example/keys"), kw],
    ["another key", "A256KW", uri.replace("/keyfold/", "/other/"), kw],
    ["no version", "A256KW", uri.replace(`/${VERSION}`, ""), kw],
    ["a version with more after it", "A256KW", `${uri}/../../secrets`, kw],
    ["a wrap of the RSA scheme for an AES key", "A256KW", uri, rsa],
    ["a wrap of the RSA scheme for an AES-GCM key", "A256GCM", uri, rsa],
    ["a wrap of an AES scheme for an RSA key", "RSA-OAEP-256", uri, kw],
    ["a wrap of the GCM scheme for an RSA key", "RSA-OAEP-256", uri, gcm],
    ["a scheme that there is not", "A256KW", uri, Uint8Array.of(4, ...kw.subarray(1))],
    ["an empty wrap", "A256KW", uri, new Uint8Array()],
    ["a wrap that is a byte short", "A256KW", uri, kw.subarray(1)],
    ["a GCM wrap with a byte more", "A256GCM", uri, Uint8Array.of(...gcm, 0)],
    ["an RSA wrap of no modulus", "RSA-OAEP-256", uri, rsa.subarray(0, 200)],
  ] as const)("%s", async (_, algorithm, masterKey, ciphertext) => {
    const vault = await startVault();
    const provider = providerFor(vault, { algorithm });
    const failure = await rejectionOf(provider.unwrapKey({ masterKey, ciphertext }, operation()));
    expect(failure.code).toBe("ERR_MASTER_KEY_REJECTED");
    expect(untouched(vault)).toBe(true);
  });
});

test("a vault whose challenge names another domain gets no token", async () => {
  const vault = await startVault();
  vault.challengeResource = "https://vault.example.net";
  const failure = await rejectionOf(providerFor(vault).wrapKey(secret, operation()));
  expect(failure.code).toBe("ERR_MASTER_KEY_BAD_REPLY");
  expect(vault.tokens).toBe(0);
});

test.each(["https://example.vault.azure.net/elsewhere", "https://evil.example.net/"])(
  "a redirect to %s is not followed, neither without a token nor with one",
  async (location) => {
    const vault = await startVault();
    const headers = createHttpHeaders({ location });
    for (const first of [307, 401]) {
      const urls: string[] = [];
      const httpClient = {
        async sendRequest(request: PipelineRequest) {
          urls.push(request.url);
          if (urls.length > 1 || first === 307) return { status: 307, headers, request };
          const challenge =
            'Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://vault.azure.net"';
          return { status: 401, headers: createHttpHeaders({ "WWW-Authenticate": challenge }), request };
        },
      };
      const provider = azureKeyVault({ ...settingsOf(vault), keyId: KEY_ID, clientOptions: { httpClient } });
      expect((await rejectionOf(provider.wrapKey(secret, operation()))).code).toBe(
        "ERR_MASTER_KEY_BAD_REPLY",
      );
      for (const url of urls) expect(url).toContain("https://example.vault.azure.net/keys/");
      expect(urls).toHaveLength(first === 307 ? 1 : 2);
    }
  },
);

test("a versioned key id wraps with exactly that version, and asks for no other", async () => {
  const vault = await startVault();
  const newer = vault.rotate();
  const { credential, clientOptions } = vault;
  const settings = { credential, clientOptions, algorithm: "A256KW" } as const;
  const pinned = azureKeyVault({ keyId: vault.keyId, ...settings });
  expect((await pinned.wrapKey(secret, operation())).masterKey).toBe(uriOf(vault.keyId));
  expect(operationsOf(vault)).toEqual(["wrapKey"]);
  const other = await azureKeyVault({ keyId: newer, ...settings }).wrapKey(secret, operation());
  expect(hex(await pinned.unwrapKey(other, operation()))).toBe(hex(secret));
});

describe("failures that the vault gives", () => {
  test.each([
    [{ kind: "denied" }, "ERR_MASTER_KEY_DENIED"],
    [{ kind: "throttled", retryAfterMs: 3_000 }, "ERR_MASTER_KEY_THROTTLED"],
    [{ kind: "throttled" }, "ERR_MASTER_KEY_THROTTLED"],
    [{ kind: "expired-credentials" }, "ERR_CREDENTIALS"],
    [{ kind: "down" }, "ERR_MASTER_KEY_UNAVAILABLE"],
    [{ kind: "cut" }, "ERR_MASTER_KEY_UNAVAILABLE"],
  ] as const)("%o is %s, after one request", async (fault, code) => {
    const vault = await startVault();
    const provider = providerFor(vault);
    const wrapped = await provider.wrapKey(secret, operation());
    const before = vault.requests.length;
    vault.inject(fault, { times: Number.POSITIVE_INFINITY });
    const failure = await rejectionOf(provider.unwrapKey(wrapped, operation()));
    expect(failure.code).toBe(code);
    expect(failure.cause).toBeInstanceOf(Error);
    expect(vault.requests.length - before).toBe(1);
    expect(failure.retryAfter).toBe("retryAfterMs" in fault ? fault.retryAfterMs : undefined);
  });

  test("disabled, deleted, behind a firewall, not permitted, and not there", async () => {
    const vault = await startVault();
    const provider = providerFor(vault);
    const wrapped = await provider.wrapKey(secret, operation());
    const code = async () => (await rejectionOf(provider.unwrapKey(wrapped, operation()))).code;
    vault.disable();
    expect(await code()).toBe("ERR_MASTER_KEY_DISABLED");
    vault.enable();
    vault.delete();
    expect(await code()).toBe("ERR_MASTER_KEY_NOT_FOUND");
    vault.recover();
    vault.firewall = true;
    expect(await code()).toBe("ERR_MASTER_KEY_UNAVAILABLE");
    vault.firewall = false;
    vault.deny("unwrapKey");
    expect(await code()).toBe("ERR_MASTER_KEY_DENIED");
    vault.allow("unwrapKey");
    await provider.unwrapKey(wrapped, operation());
    const absent = azureKeyVault({ keyId: `${vault.vaultUrl}/keys/absent`, ...settingsOf(vault) });
    expect((await rejectionOf(absent.wrapKey(secret, operation()))).code).toBe("ERR_MASTER_KEY_NOT_FOUND");
  });

  test("a vault that is not there", async () => {
    const vault = await startVault();
    await vault.close();
    const failure = await rejectionOf(providerFor(vault).wrapKey(secret, operation()));
    expect(failure.code).toBe("ERR_MASTER_KEY_UNAVAILABLE");
  });

  test("an answer without a body, on which the SDK throws a TypeError", async () => {
    const httpClient = {
      sendRequest: async (request: object) => ({ status: 503, headers: createHttpHeaders(), request }),
    };
    const credential = { getToken: () => Promise.reject(new CredentialUnavailableError("none")) };
    const provider = azureKeyVault({ keyId: KEY_ID, credential, clientOptions: { httpClient } });
    const failure = await rejectionOf(provider.wrapKey(secret, operation()));
    expect(failure).toMatchObject({ code: "ERR_MASTER_KEY_UNAVAILABLE", cause: { name: "TypeError" } });
  });
});

function settingsOf({ credential, clientOptions }: Awaited<ReturnType<typeof startVault>>) {
  return { credential, clientOptions, algorithm: "A256KW" } as const;
}

describe("credentials", () => {
  test.each([
    ["fails", () => Promise.reject(new Error("the token service is down"))],
    [
      "throws",
      () => {
        throw new Error("not a promise");
      },
    ],
    ["gives no token", async () => null],
  ])("a credential that %s is ERR_CREDENTIALS", async (_, getToken) => {
    const vault = await startVault();
    const failure = await rejectionOf(
      providerFor(vault, { credential: { getToken } }).wrapKey(secret, operation()),
    );
    expect(failure.code).toBe("ERR_CREDENTIALS");
    expect(vault.requests).toEqual([]);
  });

  test.each([
    ["answers 503", { name: "AuthenticationError", statusCode: 503 }],
    ["answers 429", { name: "AuthenticationError", statusCode: 429 }],
    ["is not reached", { name: "RestError", code: "REQUEST_SEND_ERROR" }],
    ["has no address", { name: "Error", code: "ENOTFOUND" }],
  ])("a token service that %s is unavailable, and asked again", async (_, what) => {
    const vault = await startVault();
    const credential = { getToken: () => Promise.reject(Object.assign(new Error("no token"), what)) };
    const failure = await rejectionOf(providerFor(vault, { credential }).wrapKey(secret, operation()));
    expect(failure).toMatchObject({ code: "ERR_MASTER_KEY_UNAVAILABLE", retryable: true, cause: what });
    expect(vault.requests).toEqual([]);
  });

  test("a token service that refuses with 400 or 401 is ERR_CREDENTIALS", async () => {
    const vault = await startVault();
    for (const statusCode of [400, 401]) {
      const refusal = Object.assign(new Error("invalid_client"), { name: "AuthenticationError", statusCode });
      const credential = { getToken: () => Promise.reject(refusal) };
      const failure = await rejectionOf(providerFor(vault, { credential }).wrapKey(secret, operation()));
      expect(failure).toMatchObject({ code: "ERR_CREDENTIALS", retryable: false, cause: refusal });
    }
  });

  test("a token is asked for once by each SDK client", async () => {
    const vault = await startVault();
    const provider = providerFor(vault);
    for (let i = 0; i < 3; i++) {
      await provider.unwrapKey(await provider.wrapKey(secret, operation()), operation());
    }
    expect([vault.challenges, vault.tokens]).toEqual([2, 2]);
  });
});

describe("aborting", () => {
  test("an aborted signal makes no request", async () => {
    const vault = await startVault();
    const provider = providerFor(vault);
    const aborted = operation(undefined, AbortSignal.abort("enough"));
    const wrapped = { masterKey: uriOf(vault.keyId), ciphertext: new Uint8Array(73).fill(2, 0, 1) };
    for (const call of [provider.wrapKey(secret, aborted), provider.unwrapKey(wrapped, aborted)]) {
      expect(await rejectionOf(call)).toMatchObject({ code: "ERR_ABORTED", cause: "enough" });
    }
    expect(untouched(vault)).toBe(true);
  });

  test("a silent vault is left at once, and the next call is not held up by it", async () => {
    const vault = await startVault();
    const provider = providerFor(vault);
    vault.inject({ kind: "silent" });
    const controller = new AbortController();
    const held = provider.wrapKey(secret, operation(undefined, controller.signal));
    const next = provider.wrapKey(secret, operation());
    setTimeout(() => controller.abort(), 100);
    expect((await rejectionOf(held)).code).toBe("ERR_ABORTED");
    expect((await next).masterKey).toBe(uriOf(vault.keyId));
  });

  test("a credential that ignores the signal is left as well", async () => {
    const vault = await startVault();
    const credential = { getToken: () => new Promise<never>(() => undefined) };
    const signal = AbortSignal.timeout(100);
    const call = providerFor(vault, { credential }).wrapKey(secret, operation(undefined, signal));
    expect((await rejectionOf(call)).code).toBe("ERR_ABORTED");
  });
});

describe("an injected client", () => {
  const right = { algorithm: "A256KW", keyID: KEY_ID };

  test("is used as it is, once for each version, and is not closed", async () => {
    const vault = await startVault();
    const versions: string[] = [];
    const { vaultUrl, keyName, credential, clientOptions } = vault;
    const client = {
      keys: new KeyClient(vaultUrl, credential, { ...clientOptions }),
      cryptography(key: { id: string; name: string; properties: { name: string; vaultUrl: string } }) {
        versions.push(key.id);
        return new CryptographyClient(key, credential, { ...clientOptions });
      },
    };
    const provider = azureKeyVault({ vaultUrl, keyName, algorithm: "A256KW", client });
    const wrapped = await provider.wrapKey(secret, operation());
    await provider.unwrapKey(wrapped, operation());
    expect(versions).toEqual([vault.keyId]);
    await provider.close?.();
    await provider.close?.();
    expect((await rejectionOf(provider.wrapKey(secret, operation()))).code).toBe("ERR_CLOSED");
    expect((await rejectionOf(provider.unwrapKey(wrapped, operation()))).code).toBe("ERR_CLOSED");
    expect(provider.recognizes(wrapped.masterKey)).toBe(true);
    expect((await client.keys.getKey(keyName)).id).toBe(vault.keyId);
  });

  test("gets the signal, a timeout and a key that holds nothing but its names", async () => {
    const { client, keys, options } = injected({
      wrapKey: async () => ({ ...right, result: new Uint8Array(72) }),
    });
    const { signal } = new AbortController();
    await azureKeyVault({ keyId: KEY_ID, algorithm: "A256KW", client }).wrapKey(
      secret,
      operation(undefined, signal),
    );
    expect(keys).toEqual([
      {
        id: KEY_ID,
        name: "billing",
        properties: { name: "billing", vaultUrl: "https://example.vault.azure.net" },
      },
    ]);
    expect(options[0]?.abortSignal).toBe(signal);
    expect(options[0]?.requestOptions.timeout).toBeGreaterThan(0);
  });

  test.each<{ readonly what: string; readonly reply?: object; readonly parsedBody?: object }>([
    { what: "another version", reply: { keyID: KEY_ID.replace(VERSION, "f".repeat(32)) } },
    { what: "no key", reply: { keyID: undefined } },
    { what: "another vault", reply: { keyID: KEY_ID.replace("example", "other") } },
    { what: "another algorithm", reply: { algorithm: "A128KW" } },
    { what: "another key in the answer itself", parsedBody: { kid: KEY_ID.replace("billing", "other") } },
    { what: "no key in the answer itself", parsedBody: {} },
    { what: "no bytes", reply: { result: undefined } },
    { what: "a string for bytes", reply: { result: "AAAA" } },
    { what: "too few bytes", reply: { result: new Uint8Array(63) } },
    { what: "too many bytes", reply: { result: new Uint8Array(65) } },
  ])("a reply with $what is ERR_MASTER_KEY_BAD_REPLY", async ({ reply = {}, parsedBody }) => {
    const result = new Uint8Array(64).fill(7);
    const answer = async (_: Uint8Array, { onResponse }: AzureCallOptions) => {
      if (parsedBody !== undefined) onResponse({ status: 200, parsedBody });
      return { ...right, result, ...reply };
    };
    const { client } = injected({ unwrapKey: answer });
    const provider = azureKeyVault({ keyId: KEY_ID, algorithm: "A256KW", client });
    const wrapped = { masterKey: URI, ciphertext: Uint8Array.of(2, ...new Uint8Array(72)) };
    expect((await rejectionOf(provider.unwrapKey(wrapped, operation()))).code).toBe(
      "ERR_MASTER_KEY_BAD_REPLY",
    );
    if (!("result" in reply)) expect(hex(result)).toBe("00".repeat(64));
  });

  test.each([
    ["no id", {}],
    ["no version", { id: "https://example.vault.azure.net/keys/billing" }],
    ["another key", { id: KEY_ID.replace("billing", "other") }],
    ["another vault", { id: KEY_ID.replace("example", "other") }],
  ])(
    "a look-up that answers with %s is ERR_MASTER_KEY_BAD_REPLY, and nothing is wrapped",
    async (_, found) => {
      const { client, calls } = injected({ getKey: async () => found });
      const provider = azureKeyVault({ keyId: KEY_ID.replace(`/${VERSION}`, ""), client });
      expect((await rejectionOf(provider.wrapKey(secret, operation()))).code).toBe(
        "ERR_MASTER_KEY_BAD_REPLY",
      );
      expect(calls).toEqual(["getKey"]);
    },
  );

  test("key bytes in the SDK's hands are copied and wiped, and so is what was sent", async () => {
    const pool = new Uint8Array(8_192);
    const sent: Uint8Array[] = [];
    const { client } = injected({
      wrapKey: async (bytes) => {
        sent.push(bytes);
        return { ...right, result: new Uint8Array(72) };
      },
      unwrapKey: async () => {
        pool.set(secret, 100);
        pool.set(H, 132);
        return { ...right, result: pool.subarray(100, 164) };
      },
    });
    const provider = azureKeyVault({ keyId: KEY_ID, algorithm: "A256KW", client });
    const wrapped = await provider.wrapKey(secret, operation());
    expect(sent.map(hex)).toEqual(["00".repeat(64)]);
    const key = await provider.unwrapKey(wrapped, operation());
    expect(hex(key)).toBe(hex(secret));
    expect(key.buffer.byteLength).toBe(32);
    expect(pool.every((byte) => byte === 0)).toBe(true);
  });

  test("a key that comes after the abort is wiped", async () => {
    const answer = Promise.withResolvers<void>();
    const late = new Uint8Array(64).fill(7);
    const { client, calls } = injected({
      unwrapKey: async () => {
        await answer.promise;
        return { ...right, result: late };
      },
    });
    const provider = azureKeyVault({ keyId: KEY_ID, algorithm: "A256KW", client });
    const wrapped = { masterKey: URI, ciphertext: Uint8Array.of(2, ...new Uint8Array(72)) };
    const controller = new AbortController();
    const pending = rejectionOf(provider.unwrapKey(wrapped, operation(undefined, controller.signal)));
    await expect.poll(() => calls.length, soon).toBe(1);
    controller.abort();
    expect((await pending).code).toBe("ERR_ABORTED");
    answer.resolve();
    await expect.poll(() => hex(late), soon).toBe("00".repeat(64));
  });

  test("no more clients are kept than for the versions used last, whatever wraps name", async () => {
    const { client, keys } = injected({ unwrapKey: () => Promise.reject(new Error("none")) });
    const provider = azureKeyVault({ keyId: KEY_ID, algorithm: "A256KW", client });
    const unwrap = (version: number) => {
      const masterKey = URI.replace(VERSION, version.toString(16).padStart(32, "0"));
      const ciphertext = Uint8Array.of(2, ...new Uint8Array(72));
      return rejectionOf(provider.unwrapKey({ masterKey, ciphertext }, operation()));
    };
    for (let version = 0; version < MAX_CLIENTS; version++) await unwrap(version);
    await unwrap(0);
    expect(keys).toHaveLength(MAX_CLIENTS);
    await unwrap(MAX_CLIENTS);
    await unwrap(0);
    expect(keys).toHaveLength(MAX_CLIENTS + 1);
    await unwrap(1);
    expect(keys).toHaveLength(MAX_CLIENTS + 2);
  });
});
