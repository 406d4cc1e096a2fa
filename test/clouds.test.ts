/** Several clouds at once, and from one cloud to another: the real SDKs against the fake services. */

import { KMSClient } from "@aws-sdk/client-kms";
import { KeyManagementServiceClient } from "@google-cloud/kms";
import { awsKms } from "@keyfold/aws-kms";
import { azureKeyVault } from "@keyfold/azure-keyvault";
import { createKeyfold, KeyfoldError, type MasterKeyProvider } from "@keyfold/core";
import { gcpKms } from "@keyfold/gcp-kms";
import { envKey } from "@keyfold/local";
import {
  type FakeAwsKms,
  type FakeAzureKeyVault,
  type FakeGcpKms,
  startFakeAwsKms,
  startFakeAzureKeyVault,
  startFakeGcpKms,
} from "@keyfold/testing";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";

const context = { name: "db_password" };

let aws: FakeAwsKms;
let gcp: FakeGcpKms;
let azure: FakeAzureKeyVault;

beforeEach(async () => {
  vi.stubEnv("KEYFOLD_TEST_CLOUDS_KEY", Buffer.alloc(32, 9).toString("base64"));
  aws = await startFakeAwsKms();
  gcp = await startFakeGcpKms();
  azure = await startFakeAzureKeyVault({ kty: "oct-HSM" });
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all([aws.close(), gcp.close(), azure.close()]);
});

/** A cold provider for each, as a process of its own has it. */
const make = {
  aws: () => awsKms({ keyId: aws.keyArn, client: new KMSClient({ ...aws.clientConfig, maxAttempts: 1 }) }),
  gcp: () => {
    const client = new KeyManagementServiceClient(gcp.clientOptions);
    onTestFinished(() => client.close());
    return gcpKms({ keyName: gcp.keyName, client });
  },
  azure: () => {
    const { vaultUrl, keyName, credential, clientOptions } = azure;
    return azureKeyVault({ vaultUrl, keyName, credential, clientOptions, algorithm: "A256GCM" });
  },
  local: () => envKey("KEYFOLD_TEST_CLOUDS_KEY"),
} satisfies Record<string, () => MasterKeyProvider>;

type Cloud = keyof typeof make;
const clouds = Object.keys(make) as Cloud[];

function uriOf(cloud: Cloud): RegExp {
  const keys: Record<Cloud, string> = {
    aws: `aws-kms://${aws.keyArn}`,
    gcp: `gcp-kms://${gcp.keyName}`,
    azure: azure.keyId.replace("https:", "azure-keyvault:"),
    local: "local:[0-9a-f]{32}",
  };
  return new RegExp(`^${keys[cloud]}$`);
}

function sealWith(masterKeys: readonly MasterKeyProvider[]): Promise<string> {
  return createKeyfold({ project: "shop", masterKeys }).sealText("hunter2", context);
}

async function refusal(promise: Promise<unknown>): Promise<KeyfoldError> {
  const outcome = await promise.catch((error: unknown) => error);
  if (outcome instanceof KeyfoldError) return outcome;
  throw new Error(`Expected a KeyfoldError, and not ${String(outcome)}.`);
}

describe("an envelope under AWS, Google Cloud, Azure and a local key", () => {
  test("names all four", async () => {
    const sealed = await sealWith(clouds.map((cloud) => make[cloud]()));
    const { masterKeys } = createKeyfold({ project: "shop", openWith: make.local() }).inspect(sealed);
    expect(masterKeys).toEqual(clouds.map((cloud) => expect.stringMatching(uriOf(cloud))));
  });

  test.each(clouds)("opens with %s alone", async (cloud) => {
    const sealed = await sealWith(clouds.map((each) => make[each]()));
    const opener = createKeyfold({ project: "shop", openWith: make[cloud]() });
    expect(await opener.openText(sealed, context)).toBe("hunter2");
    expect(opener.stats().unwrapCalls).toBe(1);
  });

  test("opens while three of the four fail, whatever their order", async () => {
    const sealed = await sealWith(clouds.map((each) => make[each]()));
    aws.disable(aws.keyArn);
    gcp.deny(gcp.keyName);
    azure.delete(azure.keyName);
    const opener = createKeyfold({ project: "shop", openWith: clouds.map((cloud) => make[cloud]()) });
    expect(await opener.openText(sealed, context)).toBe("hunter2");
  });

  test("with none of the four gives one error that names each and its reason", async () => {
    const sealed = await sealWith(clouds.map((each) => make[each]()));
    const openWith = clouds.map((cloud) => make[cloud]());
    aws.disable(aws.keyArn);
    gcp.deny(gcp.keyName);
    azure.delete(azure.keyName);
    vi.stubEnv("KEYFOLD_TEST_CLOUDS_KEY", "no key");
    const error = await refusal(createKeyfold({ project: "shop", openWith }).open(sealed, context));
    expect(error.code).toBe("ERR_UNWRAP_FAILED");
    expect(error.retryable).toBe(false);
    const reasons = new Map(error.attempts?.map(({ provider, error: { code } }) => [provider, code]));
    expect(reasons).toEqual(
      new Map([
        [`aws-kms://${aws.keyArn}`, "ERR_MASTER_KEY_DISABLED"],
        [`gcp-kms://${gcp.keyName}`, "ERR_MASTER_KEY_DENIED"],
        [`azure-keyvault://emulator.vault.azure.net/keys/${azure.keyName}`, "ERR_MASTER_KEY_NOT_FOUND"],
        ["env:KEYFOLD_TEST_CLOUDS_KEY", "ERR_KEY_FILE"],
      ]),
    );
    for (const [provider, code] of reasons) {
      expect(error.message).toContain(provider);
      expect(error.message).toContain(code);
    }
  });

  test("is not sealed at all where one of the four cannot wrap", async () => {
    gcp.disable(gcp.primary(gcp.keyName));
    const error = await refusal(sealWith(clouds.map((each) => make[each]())));
    expect(error.code).toBe("ERR_MASTER_KEY_DISABLED");
  });
});

describe("from one cloud to another", () => {
  const moves = clouds.flatMap((from) => clouds.filter((to) => to !== from).map((to) => [from, to] as const));

  test.each(moves)("from %s to %s: rewrap, and the old key can be switched off", async (from, to) => {
    const sealed = await sealWith([make[from]()]);
    const mover = createKeyfold({ project: "shop", masterKeys: make[to](), openWith: make[from]() });
    await mover.ready();
    expect(mover.needsRewrap(sealed)).toBe(true);
    const moved = await mover.rewrap(sealed);
    expect(mover.needsRewrap(moved)).toBe(false);
    expect(mover.inspect(moved).masterKeys).toEqual([expect.stringMatching(uriOf(to))]);
    await switchOff(from);
    const opener = createKeyfold({ project: "shop", openWith: make[to]() });
    expect(await opener.openText(moved, context)).toBe("hunter2");
    const error = await refusal(opener.open(sealed, context));
    expect(error.code).toBe("ERR_NO_USABLE_WRAP");
  });

  async function switchOff(cloud: Cloud): Promise<void> {
    if (cloud === "local") vi.stubEnv("KEYFOLD_TEST_CLOUDS_KEY", undefined);
    else await { aws, gcp, azure }[cloud].close();
  }
});
