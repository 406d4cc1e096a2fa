/** The provider against the fake AWS KMS, beyond the contract: names and regions, what is sent, what a reply may be. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import {
  DecryptCommand,
  type DecryptCommandOutput,
  EncryptCommand,
  type EncryptCommandOutput,
  KMSClient,
} from "@aws-sdk/client-kms";
import type { KeyfoldErrorCode } from "@keyfold/core";
import { mockClient } from "aws-sdk-client-mock";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { rejectionOf } from "../../../test/support/refusal.ts";
import { type AwsKmsClient, awsKms } from "../src/index.ts";
import { withoutCredentials } from "./support/environment.ts";
import {
  clientFor,
  type FakeAwsKms,
  hex,
  kmsContext,
  operation,
  providerFor,
  secret,
  startKms,
} from "./support/material.ts";

describe("no data is lost", () => {
  test("to an alias that moves: the wrap names the ARN that answered, and that key's provider opens it", async () => {
    const kms = await startKms();
    const byAlias = providerFor(kms, { keyId: kms.alias });
    const wrapped = await byAlias.wrapKey(secret, operation());
    expect(wrapped.masterKey).toBe(`aws-kms://${kms.keyArn}`);
    kms.moveAlias(kms.alias, kms.createKey());
    const refusal = await rejectionOf(byAlias.unwrapKey(wrapped, operation()));
    expect(refusal).toMatchObject({
      code: "ERR_MASTER_KEY_REJECTED",
      cause: { name: "IncorrectKeyException" },
    });
    expect(hex(await providerFor(kms).unwrapKey(wrapped, operation()))).toBe(hex(secret));
  });

  test("to a rotation: what older material wrapped opens, under the same ARN", async () => {
    const kms = await startKms();
    const before = await providerFor(kms).wrapKey(secret, operation());
    kms.rotate(kms.keyArn);
    const after = await providerFor(kms).wrapKey(secret, operation());
    expect(after.masterKey).toBe(before.masterKey);
    for (const wrapped of [before, after]) {
      expect(hex(await providerFor(kms).unwrapKey(wrapped, operation()))).toBe(hex(secret));
    }
  });

  test("to a reply of another key: it is never stored, and never taken for the key's", async () => {
    const kms = await startKms();
    for (const keyId of [kms.keyArn, kms.keyArn.replace(/.*key\//, "")]) {
      const provider = providerFor(kms, { keyId });
      const wrapped = await provider.wrapKey(secret, operation());
      kms.inject({ kind: "another-key" }, { times: 2 });
      expect((await rejectionOf(provider.wrapKey(secret, operation()))).code).toBe(
        "ERR_MASTER_KEY_BAD_REPLY",
      );
      expect((await rejectionOf(provider.unwrapKey(wrapped, operation()))).code).toBe(
        "ERR_MASTER_KEY_BAD_REPLY",
      );
    }
    const byAlias = providerFor(kms, { keyId: kms.alias });
    const wrapped = await byAlias.wrapKey(secret, operation());
    kms.inject({ kind: "another-key" });
    expect((await rejectionOf(byAlias.unwrapKey(wrapped, operation()))).code).toBe(
      "ERR_MASTER_KEY_BAD_REPLY",
    );
  });

  test("to a region that is down: a replica opens it, called in the configured region", async () => {
    const kms = await startKms();
    const primary = kms.createKey({ multiRegion: true });
    const replica = kms.replicate(primary, "us-east-1");
    const home = providerFor(kms, { keyId: primary });
    const client = clientFor(kms, { region: "us-east-1" });
    const there = awsKms({ keyId: primary, region: "us-east-1", client });

    const wrapped = await home.wrapKey(secret, operation());
    expect(wrapped.masterKey).toBe(`aws-kms://${primary}`);
    kms.setState(primary, "Unavailable");
    expect(there.recognizes(wrapped.masterKey)).toBe(true);
    expect(hex(await there.unwrapKey(wrapped, operation()))).toBe(hex(secret));
    expect(kms.requests.at(-1)).toMatchObject({ operation: "Decrypt", key: replica });

    const back = await there.wrapKey(secret, operation());
    expect(back.masterKey).toBe(`aws-kms://${replica}`);
    kms.enable(primary);
    expect(hex(await home.unwrapKey(back, operation()))).toBe(hex(secret));
    expect(kms.requests.at(-1)).toMatchObject({ operation: "Decrypt", key: primary });
  });

  test("to a region that is down, by alias: the alias there may stand for a replica", async () => {
    const kms = await startKms();
    const primary = kms.createKey({ multiRegion: true });
    kms.moveAlias(kms.alias, primary);
    kms.moveAlias(kms.alias, kms.replicate(primary, "us-east-1"));
    const wrapped = await providerFor(kms, { keyId: kms.alias, region: kms.region }).wrapKey(
      secret,
      operation(),
    );
    const client = clientFor(kms, { region: "us-east-1" });
    const there = awsKms({ keyId: kms.alias, region: "us-east-1", client });
    expect(hex(await there.unwrapKey(wrapped, operation()))).toBe(hex(secret));
  });
});

describe("a request", () => {
  test("always names the configured key, whatever the wrap says", async () => {
    const kms = await startKms();
    const aliasArn = kms.keyArn.replace(/key\/.*/, kms.alias);
    const id = kms.keyArn.replace(/.*key\//, "");
    for (const keyId of [kms.keyArn, aliasArn, kms.alias, id]) {
      const provider = providerFor(kms, { keyId });
      const wrapped = await provider.wrapKey(secret, operation());
      expect(hex(await provider.unwrapKey(wrapped, operation()))).toBe(hex(secret));
      expect(kms.requests.slice(-2).map(({ operation, key }) => [operation, key])).toEqual([
        ["Encrypt", keyId],
        ["Decrypt", keyId],
      ]);
    }
  });

  test("carries the context entry by entry, and none where there is none", async () => {
    const client = new KMSClient({ region: "eu-central-1" });
    const mock = mockClient(client).onAnyCommand().rejects(new Error("enough"));
    const arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const provider = awsKms({ keyId: arn, client });
    await rejectionOf(provider.wrapKey(secret, operation()));
    await rejectionOf(provider.wrapKey(secret, operation({})));
    const sent = mock.commandCalls(EncryptCommand).map(({ args }) => args[0].input);
    expect(sent[0]).toMatchObject({ KeyId: arn, EncryptionContext: kmsContext });
    expect(Object.keys(sent[1] ?? {})).toEqual(["KeyId", "Plaintext"]);
  });

  test("carries the grant tokens", async () => {
    const kms = await startKms();
    kms.deny();
    const grantTokens = [kms.grant("Encrypt", kms.keyArn), kms.grant("Decrypt", kms.keyArn)];
    const provider = providerFor(kms, { grantTokens });
    const wrapped = await provider.wrapKey(secret, operation());
    expect(hex(await provider.unwrapKey(wrapped, operation()))).toBe(hex(secret));
    expect((await rejectionOf(providerFor(kms).wrapKey(secret, operation()))).code).toBe(
      "ERR_MASTER_KEY_DENIED",
    );
  });

  test.each([
    ["another scheme byte", Uint8Array.of(2, 1, 2, 3)],
    ["no blob", Uint8Array.of(1)],
    ["no bytes", new Uint8Array()],
    ["a blob of 6,145 bytes", new Uint8Array(6_146).fill(1)],
  ])("is not made for a wrap with %s", async (_, ciphertext) => {
    const kms = await startKms();
    const wrapped = { masterKey: `aws-kms://${kms.keyArn}`, ciphertext };
    const refusal = await rejectionOf(providerFor(kms).unwrapKey(wrapped, operation()));
    expect(refusal.code).toBe("ERR_MASTER_KEY_REJECTED");
    expect(kms.requests).toHaveLength(0);
  });

  test("is signed right the second time where the clock is wrong, and core makes that second one", async () => {
    const kms = await startKms();
    const provider = providerFor(kms, { client: clientFor(kms, { systemClockOffset: -3_600_000 }) });
    const refusal = await rejectionOf(provider.wrapKey(secret, operation()));
    expect(refusal).toMatchObject({ code: "ERR_MASTER_KEY_UNAVAILABLE", retryable: true });
    expect((await provider.wrapKey(secret, operation())).masterKey).toBe(`aws-kms://${kms.keyArn}`);
  });
});

describe("a reply", () => {
  const arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
  const $metadata = {};
  const encrypted: readonly (readonly [string, Partial<EncryptCommandOutput>])[] = [
    ["no KeyId", { CiphertextBlob: Uint8Array.of(1) }],
    ["an alias", { KeyId: "alias/billing", CiphertextBlob: Uint8Array.of(1) }],
    ["the alias's ARN", { KeyId: arn.replace(/key\/.*/, "alias/billing"), CiphertextBlob: Uint8Array.of(1) }],
    [
      "a key of another region",
      { KeyId: arn.replace("eu-central-1", "us-east-1"), CiphertextBlob: Uint8Array.of(1) },
    ],
    ["no ciphertext", { KeyId: arn }],
    ["6,145 bytes of ciphertext", { KeyId: arn, CiphertextBlob: new Uint8Array(6_145) }],
  ];
  test.each(encrypted)("to Encrypt with %s is refused", async (_, reply) => {
    for (const keyId of [arn, "alias/billing"]) {
      const client: AwsKmsClient = { send: async () => ({ ...reply, $metadata }) as never };
      const provider = awsKms({ keyId, region: "eu-central-1", client });
      const refusal = await rejectionOf(provider.wrapKey(secret, operation()));
      expect(refusal.code).toBe("ERR_MASTER_KEY_BAD_REPLY");
    }
  });

  test("with a replica in a region that was not called is refused, for both operations", async () => {
    const mrk = "arn:aws:kms:eu-central-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab";
    const elsewhere = mrk.replace("eu-central-1", "us-east-1");
    const reply = () => ({
      KeyId: elsewhere,
      CiphertextBlob: Uint8Array.of(1),
      Plaintext: new Uint8Array(32),
    });
    const client: AwsKmsClient = { send: async () => ({ ...reply(), $metadata }) as never };
    const wrapped = { masterKey: `aws-kms://${mrk}`, ciphertext: Uint8Array.of(1, 2) };
    for (const keyId of [mrk, "alias/billing"]) {
      const provider = awsKms({ keyId, region: "eu-central-1", client });
      for (const call of [provider.wrapKey(secret, operation()), provider.unwrapKey(wrapped, operation())]) {
        expect((await rejectionOf(call)).code).toBe("ERR_MASTER_KEY_BAD_REPLY");
      }
    }
  });

  const decrypted: readonly (readonly [string, Partial<DecryptCommandOutput>])[] = [
    ["no KeyId", { Plaintext: new Uint8Array(32) }],
    ["no plaintext", { KeyId: arn }],
    ["31 bytes", { KeyId: arn, Plaintext: new Uint8Array(31) }],
    ["33 bytes", { KeyId: arn, Plaintext: new Uint8Array(33) }],
    ["another key of the same alias", { KeyId: arn.replace("1234", "4321"), Plaintext: new Uint8Array(32) }],
  ];
  test.each(decrypted)("to Decrypt with %s is refused, and the plaintext wiped", async (_, reply) => {
    for (const keyId of [arn, "alias/billing"]) {
      const plaintext = reply.Plaintext?.slice().fill(9);
      const client: AwsKmsClient = {
        send: async () => ({ ...reply, Plaintext: plaintext, $metadata }) as never,
      };
      const wrapped = { masterKey: `aws-kms://${arn}`, ciphertext: Uint8Array.of(1, 2) };
      const refusal = await rejectionOf(awsKms({ keyId, client }).unwrapKey(wrapped, operation()));
      expect(refusal.code).toBe("ERR_MASTER_KEY_BAD_REPLY");
      expect(plaintext?.every((byte) => byte === 0) ?? true).toBe(true);
    }
  });

  test("to Decrypt is copied out of the shared pool, and the view there wiped", async () => {
    const kms = await startKms();
    const real = clientFor(kms);
    const views: Uint8Array[] = [];
    const client = watching(real, ({ Plaintext }) => views.push(Plaintext ?? new Uint8Array()));
    const provider = awsKms({ keyId: kms.keyArn, client });
    const key = await provider.unwrapKey(await provider.wrapKey(secret, operation()), operation());
    expect(hex(key)).toBe(hex(secret));
    expect(key.buffer.byteLength).toBe(32);
    expect(views).toHaveLength(1);
    expect(views[0]?.buffer.byteLength).toBeGreaterThan(32);
    expect(hex(views[0] ?? secret)).toBe("00".repeat(32));
  });

  test("that cannot be read is not quoted: it may hold the key", async () => {
    const quoted = Buffer.from(secret).toString("base64");
    const error = Object.assign(new SyntaxError(`Unexpected token 'x', "${quoted}" is not valid JSON`), {
      $metadata: { httpStatusCode: 200 },
    });
    const client = new KMSClient({ region: "eu-central-1" });
    mockClient(client).on(DecryptCommand).rejects(error);
    const wrapped = { masterKey: `aws-kms://${arn}`, ciphertext: Uint8Array.of(1, 2) };
    const refusal = await rejectionOf(awsKms({ keyId: arn, client }).unwrapKey(wrapped, operation()));
    expect(refusal.code).toBe("ERR_MASTER_KEY_BAD_REPLY");
    expect(refusal.cause).toBeInstanceOf(Error);
    expect(inspect(refusal, { showHidden: true, depth: 9 })).not.toContain(quoted.slice(0, 8));
  });

  const strange: readonly (readonly [string, number, string, KeyfoldErrorCode])[] = [
    ["the HTML of a proxy, 502", 502, "<html>Bad Gateway</html>", "ERR_MASTER_KEY_UNAVAILABLE"],
    ["the HTML of a proxy, 403", 403, "<html>Forbidden</html>", "ERR_MASTER_KEY_DENIED"],
    ["no body, 503", 503, "", "ERR_MASTER_KEY_UNAVAILABLE"],
    ["an empty object", 200, "{}", "ERR_MASTER_KEY_BAD_REPLY"],
    ["no body", 200, "", "ERR_MASTER_KEY_BAD_REPLY"],
    ["an error that nobody knows", 400, '{"__type":"NewException"}', "ERR_MASTER_KEY_BAD_REPLY"],
  ];
  test.each(strange)("that is %s", async (_, status, body, code) => {
    const endpoint = await serverThatSays(status, body);
    const credentials = { accessKeyId: "AKIAX", secretAccessKey: "x" };
    const client = new KMSClient({ region: "eu-central-1", endpoint, credentials, maxAttempts: 1 });
    onTestFinished(() => client.destroy());
    expect((await rejectionOf(awsKms({ keyId: arn, client }).wrapKey(secret, operation()))).code).toBe(code);
  });
});

test("a connection that is cut keeps the SDK's error as cause", async () => {
  const kms = await startKms();
  kms.inject({ kind: "cut" });
  expect(await rejectionOf(providerFor(kms).wrapKey(secret, operation()))).toMatchObject({
    code: "ERR_MASTER_KEY_UNAVAILABLE",
    cause: { code: "ECONNRESET" },
  });
});

describe("the client that is made on first use", () => {
  test("goes where AWS_ENDPOINT_URL_KMS says, with the credentials and the region of the environment", async () => {
    const kms = await startKms();
    stubEnvironment(kms);
    const provider = ownClient(kms.alias);
    const wrapped = await provider.wrapKey(secret, operation());
    expect(wrapped.masterKey).toBe(`aws-kms://${kms.keyArn}`);
    expect(hex(await ownClient(kms.keyArn).unwrapKey(wrapped, operation()))).toBe(hex(secret));
    expect(kms.requests).toHaveLength(2);
  });

  test("is of the ARN's region, and of the option's, whatever the environment says", async () => {
    const kms = await startKms();
    stubEnvironment(kms);
    const arn = kms.createKey({ region: "ap-south-1", multiRegion: true });
    const replica = kms.replicate(arn, "us-west-2");
    expect((await ownClient(arn).wrapKey(secret, operation())).masterKey).toBe(`aws-kms://${arn}`);
    const there = ownClient(arn, "us-west-2");
    expect((await there.wrapKey(secret, operation())).masterKey).toBe(`aws-kms://${replica}`);
  });

  test("tries once: retries are keyfold's", async () => {
    const kms = await startKms();
    stubEnvironment(kms);
    vi.stubEnv("AWS_MAX_ATTEMPTS", "5");
    kms.inject({ kind: "throttled", retryAfterMs: 3_000 }, { times: Number.POSITIVE_INFINITY });
    const refusal = await rejectionOf(ownClient(kms.keyArn).wrapKey(secret, operation()));
    expect(refusal).toMatchObject({ code: "ERR_MASTER_KEY_THROTTLED", retryAfter: 3_000 });
    expect(kms.requests).toHaveLength(1);
  });

  test("waits for no answer longer than its timeout, without any signal", async () => {
    const kms = await startKms();
    stubEnvironment(kms);
    kms.inject({ kind: "silent" });
    const began = performance.now();
    const refusal = await rejectionOf(ownClient(kms.keyArn).wrapKey(secret, operation()));
    expect(refusal).toMatchObject({ code: "ERR_MASTER_KEY_UNAVAILABLE", cause: { name: "TimeoutError" } });
    expect(performance.now() - began).toBeLessThan(30_000);
  });

  test("is closed with the provider, once, and an injected one is not", async () => {
    const kms = await startKms();
    stubEnvironment(kms);
    const destroy = vi.spyOn(KMSClient.prototype, "destroy");
    onTestFinished(() => destroy.mockRestore());
    const provider = ownClient(kms.keyArn);
    await provider.load?.();
    expect(kms.requests).toHaveLength(0);
    await provider.close?.();
    await provider.close?.();
    expect(destroy).toHaveBeenCalledTimes(1);
    const never = ownClient(kms.keyArn);
    await never.close?.();
    const injected = providerFor(kms);
    await injected.load?.();
    await injected.close?.();
    expect(destroy).toHaveBeenCalledTimes(1);
  });

  test("needs a region, and says so", async () => {
    const kms = await startKms();
    stubEnvironment(kms);
    vi.stubEnv("AWS_REGION", undefined);
    const refusal = await rejectionOf(ownClient("alias/billing").wrapKey(secret, operation()));
    expect(refusal.code).toBe("ERR_INVALID_ARGUMENT");
    expect(refusal.message).toContain("AWS_REGION");
  });

  test("is not made for a closed provider", async () => {
    const provider = ownClient("alias/billing", "eu-central-1");
    await provider.close?.();
    for (const call of [provider.wrapKey(secret, operation()), provider.load?.() ?? Promise.resolve()]) {
      expect((await rejectionOf(call)).code).toBe("ERR_CLOSED");
    }
    expect(provider.recognizes(`aws-kms://${arnOfRegion("eu-central-1")}`)).toBe(true);
  });
});

test("the key may be changed as soon as wrapKey has been called", async () => {
  const kms = await startKms();
  const provider = providerFor(kms);
  const key = secret.slice();
  const pending = provider.wrapKey(key, operation());
  key.fill(0);
  expect(hex(await provider.unwrapKey(await pending, operation()))).toBe(hex(secret));
});

test("the key that was handed to the SDK is wiped once the call has ended", async () => {
  const sent: Uint8Array[] = [];
  const client: AwsKmsClient = {
    send: async ({ input }: EncryptCommand | DecryptCommand) => {
      if ("Plaintext" in input && input.Plaintext !== undefined) sent.push(input.Plaintext);
      throw new Error("enough");
    },
  };
  await rejectionOf(awsKms({ keyId: "alias/billing", client }).wrapKey(secret, operation()));
  expect(sent.map(hex)).toEqual(["00".repeat(32)]);
});

function ownClient(keyId: string, region?: string) {
  const provider = awsKms({ keyId, ...(region === undefined ? {} : { region }) });
  onTestFinished(() => provider.close?.());
  return provider;
}

function stubEnvironment(kms: FakeAwsKms): void {
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  for (const [name, value] of withoutCredentials) vi.stubEnv(name, value);
  vi.stubEnv("AWS_ENDPOINT_URL_KMS", kms.endpoint);
  vi.stubEnv("AWS_REGION", kms.region);
  vi.stubEnv("AWS_ACCESS_KEY_ID", kms.credentials.accessKeyId);
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", kms.credentials.secretAccessKey);
}

/** A client that shows each reply to Decrypt before the provider has it. */
function watching(client: KMSClient, see: (reply: DecryptCommandOutput) => void): AwsKmsClient {
  return {
    async send(
      command: EncryptCommand | DecryptCommand,
      options: { abortSignal: AbortSignal },
    ): Promise<never> {
      if (!(command instanceof DecryptCommand)) return (await client.send(command, options)) as never;
      const reply = await client.send(command, options);
      see(reply);
      return reply as never;
    },
  };
}

async function serverThatSays(status: number, body: string): Promise<string> {
  const server = createServer((request, response) => {
    request.resume().on("end", () => response.writeHead(status).end(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function arnOfRegion(region: string): string {
  return `arn:aws:kms:${region}:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab`;
}
