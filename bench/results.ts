/** What a run found, as results.json has it, and the figures that are drawn from it. */

import type { Way } from "./bulk/contender.ts";
import type { BulkId } from "./bulk/index.ts";
import type { BulkRound } from "./bulk-rounds.ts";
import type { Mode } from "./contender.ts";
import type { ContenderId } from "./contenders/index.ts";
import type { Footprint } from "./footprint.ts";
import type { KmsSample } from "./kms.ts";
import type { ManySample } from "./many.ts";
import type { MemorySample } from "./memory.ts";
import type { SmallRound } from "./small-rounds.ts";
import { type Summary, summarize } from "./statistics.ts";

export type Operation = "seal" | "open";

export const OPERATIONS: readonly Operation[] = ["seal", "open"];

/** All samples are kept, one for each round. */
export interface Results {
  /** The commit, with "+" where packages/ or bench/ differ from it. */
  readonly commit: string;
  /** RFC 3339, UTC. */
  readonly date: string;
  readonly cpu: string;
  readonly cores: number;
  /** The core that children were held to. */
  readonly pinnedTo: number | null;
  readonly system: string;
  readonly node: string;
  /** By the version of Node; the project's own first. */
  readonly small: Readonly<Record<string, readonly SmallRound[]>>;
  readonly bulk: readonly BulkRound[];
  readonly kms: readonly KmsSample[];
  readonly memory: readonly MemorySample[];
  readonly many: readonly ManySample[];
  readonly footprint: readonly Footprint[];
}

/** Microseconds an operation; undefined where it was not measured. */
export function smallMicros(
  results: Results,
  node: string,
  contender: ContenderId,
  mode: Mode,
  size: number,
  operation: Operation,
): Summary | undefined {
  const values = (results.small[node] ?? [])
    .filter((sample) => sample.contender === contender && sample.mode === mode)
    .filter((sample) => sample.size === size && sample.operation === operation)
    .map(({ micros }) => micros);
  return values.length === 0 ? undefined : summarize(values);
}

/** Megabytes (10^6 bytes) a second: of processor time, and for files, where the disk is waited for, of time that passed. */
export function bulkRate(
  results: Results,
  contender: BulkId,
  way: Way,
  bytes: number,
  operation: Operation,
): Summary | undefined {
  const values = bulkSamples(results, contender, way, bytes, operation).map(
    ({ millis }) => bytes / millis / 1_000,
  );
  return values.length === 0 ? undefined : summarize(values);
}

/** Bytes by which the process grew. */
export function bulkPeak(
  results: Results,
  contender: BulkId,
  way: Way,
  bytes: number,
  operation: Operation,
): Summary | undefined {
  const values = bulkSamples(results, contender, way, bytes, operation).map(({ peak }) => peak);
  return values.length === 0 ? undefined : summarize(values);
}

function bulkSamples(results: Results, contender: BulkId, way: Way, bytes: number, operation: Operation) {
  return results.bulk.filter(
    (sample) =>
      sample.contender === contender &&
      sample.way === way &&
      sample.bytes === bytes &&
      sample.operation === operation,
  );
}
