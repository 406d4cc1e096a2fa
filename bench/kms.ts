/** A child process: counts the calls to a KMS that seals and opens make, against a fake that takes 20 ms for each. */

import { getClient, KMS, KmsKeyringNode } from "@aws-crypto/client-node";
import { KMSClient } from "@aws-sdk/client-kms";
import { awsKms } from "@keyfold/aws-kms";
import { createKeyfold } from "@keyfold/core";
import { type FakeAwsKms, startFakeAwsKms } from "@keyfold/testing";
import type { Context } from "./contender.ts";
import { caching, client, UNSIGNED } from "./contenders/aws.ts";

export const KMS_LATENCY_MS = 20;
/** Of the AWS Encryption SDK's cache: room for every context, so that nothing is called for twice. */
const CACHE_CAPACITY = 200_000;

export interface KmsJob {
  readonly contender: "keyfold" | "aws-cache";
  /** Whether every secret has a context of its own, or all have one. */
  readonly contexts: "one" | "each";
  /** As many are sealed, and then as many opened. */
  readonly operations: number;
  /** Whether another instance opens, as another process would, or the one that sealed. */
  readonly opener: "same" | "other";
}

export interface KmsSample extends KmsJob {
  readonly calls: number;
  /** Milliseconds for all of it. */
  readonly millis: number;
}

interface Instance {
  seal(plaintext: Uint8Array, context: Context): Promise<Uint8Array>;
  open(sealed: Uint8Array, context: Context): Promise<Uint8Array>;
}

const plaintext = new Uint8Array(32).fill(7);

export async function measureKms(job: KmsJob): Promise<KmsSample> {
  await using kms = await startFakeAwsKms();
  kms.inject({ kind: "slow", ms: KMS_LATENCY_MS }, { times: Number.POSITIVE_INFINITY });
  const start = performance.now();
  const instance = instances[job.contender](kms);
  const sealed = await sealAll(instance, job);
  await openAll(job.opener === "same" ? instance : instances[job.contender](kms), job, sealed);
  return { ...job, calls: kms.requests.length, millis: performance.now() - start };
}

async function sealAll(instance: Instance, { contexts, operations }: KmsJob): Promise<Uint8Array[]> {
  const sealed: Uint8Array[] = [];
  for (let i = 0; i < operations; i++) sealed.push(await instance.seal(plaintext, contextOf(contexts, i)));
  return sealed;
}

async function openAll(
  instance: Instance,
  { contexts }: KmsJob,
  sealed: readonly Uint8Array[],
): Promise<void> {
  for (const [i, envelope] of sealed.entries()) await instance.open(envelope, contextOf(contexts, i));
}

function contextOf(contexts: KmsJob["contexts"], index: number): Context {
  return { name: contexts === "one" ? "one for all" : `secret/${index}` };
}

const instances: Record<KmsJob["contender"], (kms: FakeAwsKms) => Instance> = {
  keyfold: (kms) => {
    const connection = new KMSClient({ ...kms.clientConfig, maxAttempts: 1 });
    return createKeyfold({ project: "bench", masterKeys: awsKms({ keyId: kms.keyArn, client: connection }) });
  },
  "aws-cache": (kms) => {
    const { region: _, ...config } = kms.clientConfig;
    const clientProvider = getClient(KMS, config);
    const materials = caching(
      new KmsKeyringNode({ generatorKeyId: kms.keyArn, clientProvider }),
      CACHE_CAPACITY,
    );
    return {
      seal: async (bytes, encryptionContext) =>
        (await client.encrypt(materials, bytes, { suiteId: UNSIGNED, encryptionContext })).result,
      open: async (sealed) => (await client.decrypt(materials, sealed)).plaintext,
    };
  },
};
