/** Who takes part with much data, and up to how many bytes. A child process imports the one that it measures. */

import type { BulkContender } from "./contender.ts";

const KIB = 1_024;
const MIB = 1_024 * KIB;

const load = {
  keyfold: async () => (await import("./keyfold.ts")).keyfold,
  "raw-whole": async () => (await import("./raw.ts")).rawWhole,
  "raw-warm": async () => (await import("./raw.ts")).rawWarm,
  aws: async () => (await import("./aws.ts")).aws("default (4-KiB)"),
  "aws-16k": async () => (await import("./aws.ts")).aws("16-KiB", 16 * KIB),
  "aws-64k": async () => (await import("./aws.ts")).aws("64-KiB", 64 * KIB),
  "aws-256k": async () => (await import("./aws.ts")).aws("256-KiB", 256 * KIB),
  "aws-1m": async () => (await import("./aws.ts")).aws("1-MiB", MIB),
  secretstream: async () => (await import("./sodium.ts")).secretstream,
  age: async () => (await import("./age.ts")).age,
} as const satisfies Record<string, () => Promise<BulkContender>>;

export type BulkId = keyof typeof load;

export const bulkIds: readonly BulkId[] = Object.keys(load) as BulkId[];

/** The frame sizes of the AWS Encryption SDK that were tried: the best of them is what keyfold is compared to. */
export const awsFrames: readonly BulkId[] = ["aws", "aws-16k", "aws-64k", "aws-256k", "aws-1m"];

export function loadBulk(id: BulkId): Promise<BulkContender> {
  return load[id]();
}
