/** How many calls processes make that have nothing in common but their master key: counted at each cloud's server. */

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createLocalKeyFile } from "@keyfold/local";
import { type FakeRequest, startFakeAwsKms, startFakeAzureKeyVault, startFakeGcpKms } from "@keyfold/testing";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";

const directory = mkdtempSync(join(tmpdir(), "keyfold-processes-"));

afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe("10,000 seals of 100 callers in one process, opened in another that closes nothing and ends", () => {
  test("AWS: one Encrypt and one Decrypt", async () => {
    const kms = await startFakeAwsKms();
    onTestFinished(() => kms.close());
    const processes = startingWith({
      KEYFOLD_TEST_URI: `aws-kms://${kms.keyArn}`,
      AWS_ENDPOINT_URL_KMS: kms.endpoint,
      AWS_ACCESS_KEY_ID: kms.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: kms.credentials.secretAccessKey,
    });
    expect(await processes.seal()).toEqual([1, 0]);
    expect(operations(kms)).toEqual(["Encrypt"]);
    expect(await processes.open()).toEqual([0, 1]);
    expect(operations(kms)).toEqual(["Encrypt", "Decrypt"]);
  });

  test("Google Cloud: one Encrypt and one Decrypt", async () => {
    const kms = await startFakeGcpKms();
    onTestFinished(() => kms.close());
    const processes = startingWith({
      KEYFOLD_TEST_URI: `gcp-kms://${kms.keyName}`,
      KEYFOLD_TEST_PORT: `${kms.port}`,
    });
    expect(await processes.seal()).toEqual([1, 0]);
    expect(operations(kms)).toEqual(["Encrypt"]);
    expect(await processes.open()).toEqual([0, 1]);
    expect(operations(kms)).toEqual(["Encrypt", "Decrypt"]);
  });

  test("Azure: one look-up, one wrap and one unwrap, and a challenge for each client of the SDK", async () => {
    const vault = await startFakeAzureKeyVault({ kty: "oct-HSM" });
    onTestFinished(() => vault.close());
    const { token } = await vault.credential.getToken("https://vault.azure.net/.default");
    const processes = startingWith({
      KEYFOLD_TEST_URI: `${vault.vaultUrl.replace("https", "azure-keyvault")}/keys/${vault.keyName}?algorithm=A256KW`,
      KEYFOLD_TEST_PORT: `${vault.port}`,
      KEYFOLD_TEST_CERTIFICATE: vault.certificate,
      KEYFOLD_TEST_TOKEN: token,
    });
    expect(await processes.seal()).toEqual([1, 0]);
    expect([operations(vault), vault.challenges]).toEqual([["get", "wrapKey"], 2]);
    expect(await processes.open()).toEqual([0, 1]);
    expect([operations(vault), vault.challenges]).toEqual([["get", "wrapKey", "unwrapKey"], 3]);
  });

  test("a key file: one wrap and one unwrap", async () => {
    await createLocalKeyFile(join(directory, "master.key"));
    const processes = startingWith({ KEYFOLD_TEST_URI: `file:${directory}/master.key` });
    expect(await processes.seal()).toEqual([1, 0]);
    expect(await processes.open()).toEqual([0, 1]);
  });
});

/** Each process prints its calls that wrapped, and those that unwrapped. */
function startingWith(env: Readonly<Record<string, string>>) {
  const child = fileURLToPath(new URL("child.ts", import.meta.url));
  const options = { env: { ...process.env, ...env }, timeout: 50_000 };
  const file = join(mkdtempSync(join(directory, "sealed-")), "envelopes");
  const run = async (verb: "seal" | "open"): Promise<unknown> => {
    const { stdout } = await promisify(execFile)(process.execPath, [child, verb, file], options);
    return JSON.parse(stdout);
  };
  return { seal: () => run("seal"), open: () => run("open") };
}

function operations({ requests }: { readonly requests: readonly FakeRequest[] }): readonly string[] {
  return requests.map(({ operation }) => operation);
}
