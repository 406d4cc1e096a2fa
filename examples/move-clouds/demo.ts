/**
 * 1,000,000 envelopes move from AWS to Google Cloud, and none of them is touched: only the keyring's key is wrapped anew. The
 * clouds are fakes that this starts. `node demo.ts 10000` moves fewer.
 */

import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KMSClient } from "@aws-sdk/client-kms";
import { KeyManagementServiceClient } from "@google-cloud/kms";
import { awsKms } from "@keyfold/aws-kms";
import {
  createKeyfold,
  createKeyring,
  KeyfoldError,
  type MasterKeyProvider,
  openKeyring,
} from "@keyfold/core";
import { fileKeyringStore } from "@keyfold/core/node";
import { gcpKms } from "@keyfold/gcp-kms";
import { startFakeAwsKms, startFakeGcpKms } from "@keyfold/testing";

const count = Number(process.argv[2] ?? "1000000");
const project = "shop";
const PLAINTEXT_BYTES = 16;
const ENVELOPE_BYTES = 168 + PLAINTEXT_BYTES;

const aws = await startFakeAwsKms();
const gcp = await startFakeGcpKms();
const awsClient = new KMSClient({ ...aws.clientConfig, maxAttempts: 1 });
const gcpClient = new KeyManagementServiceClient(gcp.clientOptions);
const onAws = awsKms({ keyId: aws.keyArn, client: awsClient });
const onGcp = gcpKms({ keyName: gcp.keyName, client: gcpClient });
const directory = mkdtempSync(join(tmpdir(), "keyfold-move-clouds-"));
const store = fileKeyringStore(join(directory, "keyring.json"));
/** All of them, one after the other: what in an application is a column of a database. */
const envelopes = new Uint8Array(count * ENVELOPE_BYTES);
/** How many requests of each cloud were shown. */
const counted = new Map<typeof aws | typeof gcp, number>();

try {
  await createKeyring({ project, store, masterKeys: onAws });
  await sealAll();
  const before = hash();
  console.log(`${number(count)} envelopes sealed under AWS KMS: ${number(envelopes.length)} bytes`);
  console.log(`  ${requests()}`);

  console.log("\nBefore, with AWS KMS down");
  aws.inject({ kind: "down" }, { times: Number.POSITIVE_INFINITY });
  console.log(`  a process that starts: ${await openAll(onAws)}`);
  aws.clear();

  console.log("\nThe move: one addMasterKey, one removeMasterKey");
  await using keyring = await openKeyring({ project, store, masterKeys: onAws });
  requests();
  const added = await keyring.addMasterKey(onGcp);
  console.log(`  after addMasterKey     ${added.masterKeys.map(cloudOf).join(", ")}`);
  const removed = await keyring.removeMasterKey(`aws-kms://${aws.keyArn}`);
  console.log(`  after removeMasterKey  ${removed.masterKeys.map(cloudOf).join(", ")}`);
  console.log(`  ${requests()}`);

  console.log("\nAfter, with AWS KMS stopped");
  await aws.close();
  console.log(`  a process that starts: ${await openAll(onGcp)}`);
  console.log(`  ${requests()}`);
  console.log(`  the envelopes are ${hash() === before ? "the same, byte for byte" : "OTHERS"}`);
  console.log(`  one that still names AWS alone: ${await openAll(onAws)}`);
} finally {
  awsClient.destroy();
  await Promise.all([gcpClient.close(), aws.close(), gcp.close()]);
  rmSync(directory, { recursive: true, force: true });
}

async function sealAll(): Promise<void> {
  await using keyring = await openKeyring({ project, store, masterKeys: onAws });
  await using keyfold = createKeyfold({ project, keyring });
  await keyfold.ready();
  for (let i = 0; i < count; i++) {
    envelopes.set(keyfold.sealSync(plaintextOf(i), { row: `${i}` }), i * ENVELOPE_BYTES);
  }
}

/** As a process does that has just started and has one master key. */
async function openAll(masterKeys: MasterKeyProvider): Promise<string> {
  try {
    await using keyring = await openKeyring({ project, store, masterKeys, deadline: 1_000 });
    await using keyfold = createKeyfold({ project, keyring });
    await keyfold.ready();
    for (let i = 0; i < count; i++) {
      const envelope = envelopes.subarray(i * ENVELOPE_BYTES, (i + 1) * ENVELOPE_BYTES);
      const text = keyfold.openTextSync(envelope, { row: `${i}` });
      if (text !== plaintextOf(i)) throw new Error(`Envelope ${i} opened as something else.`);
    }
    return `✓ ${number(count)} envelopes opened`;
  } catch (error) {
    if (error instanceof KeyfoldError) return `✗ ${error.code}`;
    throw error;
  }
}

function plaintextOf(i: number): string {
  return `secret ${i}`.padEnd(PLAINTEXT_BYTES);
}

function hash(): string {
  return createHash("sha256").update(envelopes).digest("hex");
}

function cloudOf(masterKey: string): string {
  return masterKey.startsWith("aws-kms:") ? "AWS KMS" : "Google Cloud KMS";
}

/** What the clouds were asked since this was last called. */
function requests(): string {
  const asked = [aws, gcp].map((cloud) => {
    const seen = counted.get(cloud) ?? 0;
    counted.set(cloud, cloud.requests.length);
    return (
      cloud.requests
        .slice(seen)
        .map(({ operation }) => operation)
        .join(", ") || "nothing"
    );
  });
  return `asked of AWS: ${asked[0]}; of Google Cloud: ${asked[1]}`;
}

function number(n: number): string {
  return n.toLocaleString("en-US");
}
