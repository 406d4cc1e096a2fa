/** What keyfold has set itself, as ratios of medians of one run, and what a run reached. */

import { awsFrames, type BulkId } from "./bulk/index.ts";
import type { Mode } from "./contender.ts";
import type { ContenderId } from "./contenders/index.ts";
import { bulkRate, type Operation, type Results, smallMicros } from "./results.ts";

const BULK_BYTES = 64 * 2 ** 20;

export interface Target {
  readonly what: string;
  /** The ratio that has to be reached; for a count, the number that may not be passed. */
  readonly bound: number;
  readonly kind: "at least" | "at most";
  /** Undefined where the run did not measure it. */
  reached(results: Results, node: string): number | undefined;
  /** Whether it is measured for other versions of Node as well. */
  readonly onEveryNode: boolean;
}

export interface Outcome {
  readonly what: string;
  readonly bound: string;
  readonly reached: number;
  readonly met: boolean;
}

export function outcomes(results: Results, node: string): Outcome[] {
  const measured = targets.filter(({ onEveryNode }) => onEveryNode || node === results.node);
  return measured.flatMap((target) => {
    const reached = target.reached(results, node);
    const bound = boundOn(target, node);
    if (reached === undefined) return [];
    const met = target.kind === "at least" ? reached >= bound : reached <= bound;
    return [{ what: target.what, bound: `${target.kind} ${bound}`, reached, met }];
  });
}

interface Small {
  readonly contender: ContenderId;
  readonly mode: Mode;
}

/** How many times as fast keyfold is. */
function small(what: string, bound: number, size: number, ours: Small, theirs: Small): Target[] {
  return (["seal", "open"] as const).map((operation) => ({
    what: `${operation} ${size >= 1_024 ? `${size / 1_024} KiB` : `${size} B`}, ${what}`,
    bound,
    kind: "at least",
    onEveryNode: true,
    reached: (results, node) => {
      const mine = smallMicros(results, node, ours.contender, ours.mode, size, operation);
      const other = smallMicros(results, node, theirs.contender, theirs.mode, size, operation);
      return mine === undefined || other === undefined ? undefined : other.median / mine.median;
    },
  }));
}

function bulk(what: string, bound: number, way: "whole" | "stream", peers: readonly BulkId[]): Target[] {
  return (["seal", "open"] as const).map((operation) => ({
    what: `${operation} 64 MiB, ${what}`,
    bound,
    kind: "at least",
    onEveryNode: false,
    reached: (results) => {
      const mine = bulkRate(results, "keyfold", way, BULK_BYTES, operation)?.median;
      const best = bestRate(results, way, peers, operation);
      return mine === undefined || best === undefined ? undefined : mine / best;
    },
  }));
}

function bestRate(
  results: Results,
  way: "whole" | "stream",
  peers: readonly BulkId[],
  operation: Operation,
): number | undefined {
  const rates = peers.flatMap((peer) => bulkRate(results, peer, way, BULK_BYTES, operation)?.median ?? []);
  return rates.length === 0 ? undefined : Math.max(...rates);
}

const sync: Small = { contender: "keyfold", mode: "sync" };
const async: Small = { contender: "keyfold", mode: "async" };
const text: Small = { contender: "keyfold-text", mode: "sync" };
const cloak: Small = { contender: "cloak", mode: "sync" };

const CLOAK = "to cloak, sync, text";

/** cloak gives Node raw key bytes, which Node 24.18 to 24.21 is slow with: the bounds were set with that. */
function boundOn({ what, bound }: Target, node: string): number {
  return what.endsWith(CLOAK) && /^24\.(1[89]|2[01])\./.test(node) ? 0.8 : bound;
}

const [cloakSeal, cloakOpen] = [small(CLOAK, 0.4, 32, text, cloak), small(CLOAK, 0.25, 32, text, cloak)];

export const targets: readonly Target[] = [
  ...small("sync, to the bare construction", 0.85, 32, sync, { contender: "bare", mode: "sync" }),
  ...small("sync, to the bare construction", 0.9, 16_384, sync, { contender: "bare", mode: "sync" }),
  ...small("async, to sync", 0.85, 32, async, sync),
  ...small("to the AWS Encryption SDK with its cache, a context each", 14, 32, async, {
    contender: "aws-cache",
    mode: "async",
  }),
  ...small("to jose, A256KW", 6, 32, async, { contender: "jose", mode: "async" }),
  ...cloakSeal.slice(0, 1),
  ...cloakOpen.slice(1),
  ...bulk("in one piece, to AES-256-GCM over 16-KiB chunks, same allocation", 0.85, "whole", ["raw-whole"]),
  ...bulk("as a stream, to AES-256-GCM over 16-KiB chunks, warm", 0.5, "stream", ["raw-warm"]),
  ...bulk("as a stream, to the AWS Encryption SDK at its best frame size", 1.5, "stream", awsFrames),
  ...bulk("as a stream, to the AWS Encryption SDK at its default frame size", 8, "stream", ["aws"]),
  ...bulk("as a stream, to age-encryption", 6, "stream", ["age"]),
  {
    what: "calls to the KMS for 100,000 seals and opens with a context each",
    bound: 1,
    kind: "at most",
    onEveryNode: false,
    reached: ({ kms }) =>
      kms.find(
        ({ contender, contexts, opener, operations }) =>
          contender === "keyfold" && contexts === "each" && opener === "same" && operations >= 100_000,
      )?.calls,
  },
];
