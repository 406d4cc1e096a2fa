/** Runs the program in three environments. The clouds are fakes that this starts; the program does not know. */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createLocalKeyFile } from "@keyfold/local";
import { startFakeAwsKms, startFakeGcpKms } from "@keyfold/testing";

const environments = ["development", "staging", "production"];

if (!existsSync("development.key")) await createLocalKeyFile("development.key");

const aws = await startFakeAwsKms({ region: "eu-central-1" });
aws.moveAlias("alias/shop", aws.keyArn);
const gcp = await startFakeGcpKms({
  project: "shop-staging",
  location: "europe-west3",
  keyRing: "shop",
  cryptoKey: "secrets",
});

/** What on real servers the platform provides: credentials, and here also where the clouds are. */
const platform = {
  AWS_ENDPOINT_URL_KMS: aws.endpoint,
  AWS_ACCESS_KEY_ID: aws.credentials.accessKeyId,
  AWS_SECRET_ACCESS_KEY: aws.credentials.secretAccessKey,
  FAKE_GCP_KMS_PORT: String(gcp.port),
};

try {
  for (const environment of environments) {
    console.log(`node --env-file=.env.${environment} main.ts`);
    await run(environment);
    console.log();
  }
  console.log(
    `Seen by the fake AWS KMS:          ${aws.requests.map(({ operation }) => operation).join(", ")}`,
  );
  console.log(
    `Seen by the fake Google Cloud KMS: ${gcp.requests.map(({ operation }) => operation).join(", ")}`,
  );
} finally {
  await Promise.all([aws.close(), gcp.close()]);
}

function run(environment: string): Promise<void> {
  const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));
  const args = [`--env-file=${file(`.env.${environment}`)}`, file("main.ts")];
  const child = spawn(process.execPath, args, { env: { ...process.env, ...platform }, stdio: "inherit" });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) =>
      code === 0 ? resolve() : reject(new Error(`${environment} ended with status ${code}.`)),
    );
  });
}
