/** Who takes part with small secrets. A child process imports the one that it measures and nothing else. */

import type { Contender } from "../contender.ts";

const load = {
  keyfold: async () => (await import("./keyfold.ts")).keyfold,
  "keyfold-text": async () => (await import("./keyfold.ts")).keyfoldText,
  bare: async () => (await import("./floors.ts")).bare,
  "bare-pooled": async () => (await import("./floors.ts")).barePooled,
  aead: async () => (await import("./floors.ts")).aead,
  "aead-pooled": async () => (await import("./floors.ts")).aeadPooled,
  aws: async () => (await import("./aws.ts")).awsRaw,
  "aws-cache": async () => (await import("./aws.ts")).awsCaching,
  "aws-cache-one-context": async () => (await import("./aws.ts")).awsCachingOneContext,
  "aws-default": async () => (await import("./aws.ts")).awsDefault,
  "aws-default-cache": async () => (await import("./aws.ts")).awsDefaultCaching,
  jose: async () => (await import("./jose.ts")).jose,
  cloak: async () => (await import("./cloak.ts")).cloak,
  fernet: async () => (await import("./fernet.ts")).fernet,
  age: async () => (await import("./age.ts")).age,
} as const satisfies Record<string, () => Promise<Contender>>;

export type ContenderId = keyof typeof load;

export const contenderIds: readonly ContenderId[] = Object.keys(load) as ContenderId[];

export function loadContender(id: ContenderId): Promise<Contender> {
  return load[id]();
}
