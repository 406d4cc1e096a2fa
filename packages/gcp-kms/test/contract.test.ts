/** The provider contract, over the real SDK and the fake service. */

import { KeyManagementServiceClient } from "@google-cloud/kms";
import { encodeContext, type MasterKeyProvider, type WrappedKey } from "@keyfold/core";
import {
  type FakeGcpKms,
  type ProviderSubject,
  type RunningSubject,
  startFakeGcpKms,
  testMasterKeyProvider,
} from "@keyfold/testing";
import { googleAuthLibrary } from "google-gax";
import { describe, expect, it, test, vi } from "vitest";
import { type GcpKmsClient, gcpKms } from "../src/index.ts";
import { impatient } from "./support/service.ts";

type Levers = Omit<RunningSubject, "provider" | "stop">;

const TOKEN = "ya29.an-access-token-that-nobody-may-see";
const ALWAYS = { times: Number.POSITIVE_INFINITY };

const subject: ProviderSubject = {
  name: "gcp-kms",
  inapplicable: { "alias-chooses-only": "Cloud KMS has no aliases" },
  forgeable: false,
  module: {
    url: new URL("../dist/index.js", import.meta.url).href,
    sdks: ["@google-cloud/kms", "google-gax"],
    dependencies: ["crc-32"],
    firstCall: 'await provider.gcpKms({ keyName: "projects/p/locations/l/keyRings/r/cryptoKeys/k" }).load();',
  },
  async start() {
    const kms = await startFakeGcpKms();
    const clients: KeyManagementServiceClient[] = [];
    const provider = (as = (client: GcpKmsClient) => client) => {
      const authClient = new googleAuthLibrary.OAuth2Client();
      authClient.setCredentials({ access_token: TOKEN });
      const client = new KeyManagementServiceClient({ ...kms.clientOptions, authClient });
      clients.push(client);
      return gcpKms({ keyName: kms.keyName, client: as(client) });
    };
    return {
      ...leversOf(kms),
      provider: () => provider(),
      failures: failuresOf(kms, provider),
      injected: () => injectedInto(kms, clients),
      async stop() {
        vi.unstubAllEnvs();
        await Promise.all(clients.map((client) => client.close()));
        await kms.close();
      },
    };
  },
};

function leversOf(kms: FakeGcpKms): Levers {
  const wrapUnder = (keyName: string, key: Uint8Array, aad: Uint8Array, named = keyName): WrappedKey => ({
    masterKey: `gcp-kms://${named}`,
    ciphertext: Uint8Array.of(1, ...kms.encryptBlob(keyName, key, aad)),
  });
  return {
    masterKey: () => `gcp-kms://${kms.keyName}`,
    requests: () => kms.requests.length,
    unwrapAsSpecified: async ({ ciphertext }, context) =>
      kms.decryptBlob(kms.keyName, ciphertext.subarray(1), encodeContext(context)),
    wrapAsSpecified: async (key, context) => wrapUnder(kms.keyName, key, encodeContext(context)),
    scheme: { byte: 1, shortest: 33, longest: 8_193 },
    otherKeys: async () =>
      Object.entries(others(kms)).map(([what, keyName]) => ({
        what,
        wrapped: wrapUnder(keyName, new Uint8Array(32), encodeContext({})),
      })),
    badReplies: [
      badReply(kms, "names another key", "wrap", "another-key"),
      badReply(kms, "has another checksum", "wrap", "bad-checksum"),
      badReply(kms, "is empty", "wrap", "bad-length"),
      badReply(kms, "has another checksum", "unwrap", "bad-checksum"),
      badReply(kms, "is a byte short", "unwrap", "bad-length"),
    ],
    // An attacker's own key, under the name of ours.
    forge: async (key, context) => wrapUnder(kms.createKey(), key, encodeContext(context), kms.keyName),
    rotate: async () => void kms.rotate(kms.keyName),
    delay: (ms) => kms.inject({ kind: "slow", ms }, ALWAYS),
    secrets: [TOKEN],
  };
}

function others(kms: FakeGcpKms): Record<string, string> {
  const cryptoKey = kms.keyName.split("/").at(-1) ?? "";
  return {
    "another key": kms.createKey(),
    "another key ring": kms.createKey({ cryptoKey, keyRing: "another" }),
    "another location": kms.createKey({ cryptoKey, location: "europe-west3" }),
    "another project": kms.createKey({ cryptoKey, project: "another" }),
  };
}

function badReply(
  kms: FakeGcpKms,
  what: string,
  operation: "wrap" | "unwrap",
  kind: "another-key" | "bad-checksum" | "bad-length",
): NonNullable<RunningSubject["badReplies"]>[number] {
  const service = operation === "wrap" ? "Encrypt" : "Decrypt";
  return { what, operation, arm: () => kms.inject({ kind }, { operation: service }) };
}

function failuresOf(
  kms: FakeGcpKms,
  provider: (as?: (client: GcpKmsClient) => GcpKmsClient) => MasterKeyProvider,
): NonNullable<RunningSubject["failures"]> {
  const after = (arrange: () => void) => async () => {
    arrange();
    return provider();
  };
  const version = kms.primary(kms.keyName);
  const { apiEndpoint, port } = kms.clientOptions;
  return {
    denied: { code: "ERR_MASTER_KEY_DENIED", arm: after(() => kms.deny(kms.keyName)) },
    "not found": { code: "ERR_MASTER_KEY_NOT_FOUND", arm: after(() => kms.deleteKey(kms.keyName)) },
    disabled: { code: "ERR_MASTER_KEY_DISABLED", arm: after(() => kms.disable(version)) },
    "pending deletion": {
      code: "ERR_MASTER_KEY_DISABLED",
      arm: after(() => kms.scheduleDestruction(version)),
    },
    throttled: {
      code: "ERR_MASTER_KEY_THROTTLED",
      arm: after(() => kms.inject({ kind: "throttled", retryAfterMs: 1_000 }, ALWAYS)),
    },
    unavailable: {
      code: "ERR_MASTER_KEY_UNAVAILABLE",
      arm: after(() => kms.inject({ kind: "down" }, ALWAYS)),
    },
    "timed out": {
      code: "ERR_MASTER_KEY_UNAVAILABLE",
      async arm() {
        kms.inject({ kind: "silent" }, ALWAYS);
        return provider(impatient);
      },
    },
    "malformed reply": {
      code: "ERR_MASTER_KEY_BAD_REPLY",
      arm: after(() => kms.inject({ kind: "malformed" }, ALWAYS)),
    },
    "no credentials": {
      code: "ERR_CREDENTIALS",
      arm: async () => {
        vi.stubEnv("GOOGLE_APPLICATION_CREDENTIALS", "no-such-file.json");
        const client = new KeyManagementServiceClient({ apiEndpoint, port });
        return gcpKms({ keyName: kms.keyName, client });
      },
    },
    "expired credentials": {
      code: "ERR_CREDENTIALS",
      arm: after(() => kms.inject({ kind: "expired-credentials" }, ALWAYS)),
    },
  };
}

/** The real client, with its closings counted. */
function injectedInto(
  kms: FakeGcpKms,
  clients: KeyManagementServiceClient[],
): ReturnType<NonNullable<RunningSubject["injected"]>> {
  const client = new KeyManagementServiceClient(kms.clientOptions);
  const close = client.close.bind(client);
  let closings = 0;
  client.close = () => {
    closings++;
    return close();
  };
  clients.push(client);
  return { provider: gcpKms({ keyName: kms.keyName, client }), closed: () => closings };
}

testMasterKeyProvider({ describe, it }, subject);

test("it skips what the contract foresees, and no more", () => {
  expect(Object.keys(subject.inapplicable ?? {})).toEqual(["alias-chooses-only"]);
  expect([subject.withoutFailures, subject.withoutRequests]).toEqual([undefined, undefined]);
});
