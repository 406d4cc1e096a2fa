/** AWS KMS as the contract suite looks at it: the provider through the real SDK, over the fake server. */

import { KMSClient, type KMSClientConfig } from "@aws-sdk/client-kms";
import type { EncryptionContext, KeyfoldErrorCode, MasterKeyProvider, WrappedKey } from "@keyfold/core";
import {
  type FailureLever,
  type FakeAwsKms,
  type Fault,
  type OtherKey,
  type ProviderSubject,
  type RunningSubject,
  startFakeAwsKms,
} from "@keyfold/testing";
import { type AwsKmsOptions, awsKms } from "../../src/index.ts";

export const subject: ProviderSubject = {
  name: "aws-kms",
  forgeable: false,
  module: {
    url: new URL("../../dist/index.js", import.meta.url).href,
    sdks: ["@aws-sdk/client-kms"],
    firstCall: `await provider.awsKms({ keyId: "alias/billing", region: "eu-central-1" }).load();`,
  },
  start: async () => running(await startFakeAwsKms()),
};

const always = { times: Number.POSITIVE_INFINITY };

function running(kms: FakeAwsKms): RunningSubject {
  const clients: KMSClient[] = [];
  const clientFor = (config: KMSClientConfig = {}): KMSClient => {
    const client = new KMSClient({ ...kms.clientConfig, maxAttempts: 1, ...config });
    clients.push(client);
    return client;
  };
  const provider = (options: Partial<AwsKmsOptions> = {}): MasterKeyProvider =>
    awsKms({ keyId: kms.keyArn, client: clientFor(), ...options });
  return {
    provider: () => provider(),
    masterKey: () => `aws-kms://${kms.keyArn}`,
    requests: () => kms.requests.length,
    async stop() {
      for (const client of clients) client.destroy();
      await kms.close();
    },
    unwrapAsSpecified: async (wrapped, context) => unwrap(kms, wrapped, context),
    wrapAsSpecified: async (key, context) => wrap(kms, kms.keyArn, key, context),
    scheme: { byte: 1, shortest: 2, longest: 6_145 },
    otherKeys: async () => otherKeys(kms),
    badReplies: (["wrap", "unwrap"] as const).flatMap((operation) => [
      { what: "names another key", operation, arm: () => kms.inject({ kind: "another-key" }) },
      { what: "has another length", operation, arm: () => kms.inject({ kind: "bad-length" }) },
    ]),
    forge: async (key, context) => {
      const own = kms.createKey({ account: "999988887777" });
      return { ...wrap(kms, own, key, context), masterKey: `aws-kms://${kms.keyArn}` };
    },
    alias: aliasOf(kms, provider),
    rotate: async () => kms.rotate(kms.keyArn),
    delay: (ms) => kms.inject({ kind: "slow", ms }, always),
    injected: () => {
      let closed = 0;
      const client = clientFor();
      client.destroy = () => {
        closed++;
      };
      return { provider: provider({ client }), closed: () => closed };
    },
    secrets: [kms.credentials.secretAccessKey, kms.credentials.accessKeyId],
    failures: failuresOf(kms, provider, clientFor),
  };
}

function aliasOf(
  kms: FakeAwsKms,
  provider: (options: Partial<AwsKmsOptions>) => MasterKeyProvider,
): NonNullable<RunningSubject["alias"]> {
  const former = kms.keyArn;
  let present = former;
  return {
    provider: () => provider({ keyId: kms.alias }),
    async move() {
      present = kms.createKey();
      kms.moveAlias(kms.alias, present);
    },
    masterKey: () => `aws-kms://${present}`,
    formerKey: () => provider({ keyId: former }),
  };
}

function failuresOf(
  kms: FakeAwsKms,
  provider: (options?: Partial<AwsKmsOptions>) => MasterKeyProvider,
  clientFor: (config: KMSClientConfig) => KMSClient,
): NonNullable<RunningSubject["failures"]> {
  const lever = (
    code: KeyfoldErrorCode,
    act: () => void,
    make: () => MasterKeyProvider = provider,
  ): FailureLever => ({
    code,
    async arm() {
      act();
      return make();
    },
  });
  const injected = (code: KeyfoldErrorCode, fault: Fault) => lever(code, () => kms.inject(fault, always));
  const impatient = { requestTimeout: 200, throwOnRequestTimeout: true };
  const { credentials: _, ...withoutCredentials } = kms.clientConfig;
  return {
    denied: lever("ERR_MASTER_KEY_DENIED", () => kms.deny()),
    "not found": lever("ERR_MASTER_KEY_NOT_FOUND", () => kms.destroy(kms.keyArn)),
    disabled: lever("ERR_MASTER_KEY_DISABLED", () => kms.disable(kms.keyArn)),
    "pending deletion": lever("ERR_MASTER_KEY_DISABLED", () => kms.scheduleDeletion(kms.keyArn)),
    throttled: injected("ERR_MASTER_KEY_THROTTLED", { kind: "throttled" }),
    unavailable: injected("ERR_MASTER_KEY_UNAVAILABLE", { kind: "down" }),
    "timed out": lever(
      "ERR_MASTER_KEY_UNAVAILABLE",
      () => kms.inject({ kind: "silent" }, always),
      () => provider({ client: clientFor({ requestHandler: impatient }) }),
    ),
    "malformed reply": injected("ERR_MASTER_KEY_BAD_REPLY", { kind: "malformed" }),
    // The SDK's own chain, which finds nothing: the test sees to that.
    "no credentials": lever(
      "ERR_CREDENTIALS",
      () => undefined,
      () => {
        const client = new KMSClient({ ...withoutCredentials, maxAttempts: 1 });
        return provider({ client });
      },
    ),
    "expired credentials": injected("ERR_CREDENTIALS", { kind: "expired-credentials" }),
  };
}

function otherKeys(kms: FakeAwsKms): readonly OtherKey[] {
  const key = new Uint8Array(32).fill(7);
  const others: readonly (readonly [string, string])[] = [
    ["another key", kms.createKey()],
    ["another region", kms.createKey({ region: "us-east-1" })],
    ["another account", kms.createKey({ account: "999988887777" })],
    ["another partition", kms.createKey({ region: "cn-north-1" })],
    ["a multi-Region key", kms.createKey({ multiRegion: true })],
  ];
  return others.map(([what, arn]) => ({ what, wrapped: wrap(kms, arn, key, {}) }));
}

function wrap(kms: FakeAwsKms, arn: string, key: Uint8Array, context: EncryptionContext): WrappedKey {
  const ciphertext = Uint8Array.of(1, ...kms.encryptBlob(arn, key, context));
  return { masterKey: `aws-kms://${arn}`, ciphertext };
}

function unwrap(
  kms: FakeAwsKms,
  { ciphertext }: WrappedKey,
  context: EncryptionContext,
): Uint8Array | undefined {
  try {
    return kms.decryptBlob(ciphertext.subarray(1), context);
  } catch (error) {
    if (error instanceof Error && "type" in error && error.type === "InvalidCiphertextException")
      return undefined;
    throw error;
  }
}
