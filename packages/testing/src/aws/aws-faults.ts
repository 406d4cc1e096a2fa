/** What the faults of `faults.ts` are in the protocol of AWS KMS. */

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Fault } from "../faults.ts";
import { accessDenied } from "./key-store.ts";
import { ServiceError } from "./service-error.ts";
import { refusal, success, type WireReply } from "./wire.ts";

/** How a reply leaves: whole, in half, or not at all. */
export interface Outcome {
  readonly reply?: WireReply;
  readonly cut?: boolean;
}

/** A request in work: what answers it as the service would, and its members before they are written. */
export interface Work {
  readonly operation: string;
  readonly key: string;
  /** Throws a `ServiceError`. */
  run(): Readonly<Record<string, unknown>>;
}

export function requirePossible(fault: Fault): void {
  if (fault.kind === "bad-checksum") {
    throw new Error('The protocol of AWS KMS has no checksums, so "bad-checksum" has no meaning for it.');
  }
}

/** Answers a request under a fault, or as the service does. */
export async function answer(work: Work, fault: Fault | undefined, signal: AbortSignal): Promise<Outcome> {
  switch (fault?.kind) {
    case "slow":
      await sleep(fault.ms, undefined, { signal, ref: false });
      return { reply: run(work) };
    case "silent":
      return {};
    case "cut":
      return { reply: run(work), cut: true };
    case "malformed":
      return { reply: { status: 200, body: "<html>no JSON</html>" } };
    case "another-key":
      return { reply: run(work, anotherKey) };
    case "bad-length":
      return { reply: run(work, shortened) };
    case "throttled":
      return { reply: refusal(new ServiceError("ThrottlingException", "Rate exceeded"), retryAfter(fault)) };
    case "denied":
      return { reply: refusal(accessDenied(`kms:${work.operation}`, work.key)) };
    case "expired-credentials":
      return { reply: refusal(expired()) };
    case "down":
      return { reply: refusal(new ServiceError("ServiceUnavailableException", "Service Unavailable", 503)) };
    default:
      return { reply: run(work) };
  }
}

type Alter = (members: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>;

function run(work: Work, alter: Alter = (members) => members): WireReply {
  try {
    return success(alter(work.run()));
  } catch (error) {
    if (error instanceof ServiceError) return refusal(error);
    throw error;
  }
}

/** A key of the same account and region, which there is none of. */
function anotherKey(members: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return { ...members, KeyId: String(members["KeyId"]).replace(/key\/.*$/, `key/${randomUUID()}`) };
}

function shortened(members: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { Plaintext: plaintext } = members;
  if (Buffer.isBuffer(plaintext)) return { ...members, Plaintext: plaintext.subarray(1) };
  return { ...members, CiphertextBlob: Buffer.alloc(0) };
}

/** The header counts whole seconds. */
function retryAfter({ retryAfterMs }: { readonly retryAfterMs?: number }): Readonly<Record<string, string>> {
  return retryAfterMs === undefined ? {} : { "retry-after": String(Math.ceil(retryAfterMs / 1_000)) };
}

function expired(): ServiceError {
  return new ServiceError("ExpiredTokenException", "The security token included in the request is expired");
}
