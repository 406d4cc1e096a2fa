/**
 * A process of its own, with a master key that the environment names. `seal` writes 10,000 envelopes to a file, made by
 * 100 callers at once, and closes all; `open` opens them, closes nothing, and has to end by itself. Prints its calls.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { Agent } from "node:https";
import { createRequire } from "node:module";
import { createKeyfold, type MasterKeyProvider, masterKeysFromUri } from "@keyfold/core";

const CALLERS = 100;
const EACH = 100;

/** Connects to the fake whatever host is asked for; the host is still verified. */
class Loopback extends Agent {
  override createConnection(
    options: Parameters<Agent["createConnection"]>[0],
    callback?: Parameters<Agent["createConnection"]>[1],
  ): ReturnType<Agent["createConnection"]> {
    const port = Number(variable("KEYFOLD_TEST_PORT"));
    return super.createConnection({ ...options, host: "127.0.0.1", port }, callback);
  }
}

const [, , verb = "", file = ""] = process.argv;
const masterKey = await masterKeyNamed(variable("KEYFOLD_TEST_URI"));
const keyfold = createKeyfold({ project: "shop", masterKeys: masterKey, deadline: 60_000 });

const callers = Array.from({ length: CALLERS }, (_, caller) => caller);
if (verb === "seal") {
  const sealed = await Promise.all(callers.map(seal));
  writeFileSync(file, sealed.flat().join("\n"));
} else {
  const sealed = readFileSync(file, "utf8").split("\n");
  await Promise.all(callers.map((caller) => open(caller, sealed)));
}
const { wrapCalls, unwrapCalls } = keyfold.stats();
console.log(JSON.stringify([wrapCalls, unwrapCalls]));
if (verb === "seal") {
  await keyfold.close();
  await masterKey.close?.();
}

async function seal(caller: number): Promise<string[]> {
  const sealed: string[] = [];
  for (let i = 0; i < EACH; i++)
    sealed.push(await keyfold.sealText(`${caller} ${i}`, { caller: `${caller}` }));
  return sealed;
}

async function open(caller: number, sealed: readonly string[]): Promise<void> {
  for (let i = 0; i < EACH; i++) {
    const text = await keyfold.openText(sealed[caller * EACH + i] ?? "", { caller: `${caller}` });
    if (text !== `${caller} ${i}`)
      throw new Error(`Envelope ${i} of caller ${caller} opened as something else.`);
  }
}

/** With real clouds `masterKeysFromUri` is enough. Only the AWS SDK lets the environment say where a fake is. */
async function masterKeyNamed(uri: string): Promise<MasterKeyProvider> {
  const [masterKey] = await masterKeysFromUri(uri, {
    providers: {
      "gcp-kms": async () => ({ masterKeyFromUri: await googleCloud() }),
      "azure-keyvault": async () => ({ masterKeyFromUri: await azure() }),
    },
  });
  if (masterKey === undefined) throw new Error("No master key.");
  return masterKey;
}

async function googleCloud(): Promise<(uri: string) => MasterKeyProvider> {
  const { gcpKms } = await import("@keyfold/gcp-kms");
  const { KeyManagementServiceClient } = await import("@google-cloud/kms");
  // The SDK's own copies.
  const ofSdk = createRequire(createRequire(import.meta.url).resolve("@google-cloud/kms"));
  const { grpc, googleAuthLibrary } = ofSdk("google-gax");
  const client = new KeyManagementServiceClient({
    apiEndpoint: "127.0.0.1",
    port: Number(variable("KEYFOLD_TEST_PORT")),
    sslCreds: grpc.credentials.createInsecure(),
    authClient: new googleAuthLibrary.OAuth2Client(),
  });
  return (uri) => gcpKms({ keyName: uri.slice("gcp-kms://".length), client });
}

async function azure(): Promise<(uri: string) => MasterKeyProvider> {
  const { masterKeyFromUri } = await import("@keyfold/azure-keyvault");
  const token = { token: variable("KEYFOLD_TEST_TOKEN"), expiresOnTimestamp: Date.now() + 3_600_000 };
  const agent = new Loopback({ ca: variable("KEYFOLD_TEST_CERTIFICATE"), keepAlive: true });
  return (uri) =>
    masterKeyFromUri(uri, { credential: { getToken: async () => token }, clientOptions: { agent } });
}

function variable(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set.`);
  return value;
}
