/** What each scripted fault is in this protocol. */

import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Fault } from "../faults.ts";
import type { CryptoOutput } from "./key-material.ts";
import { forbidden, ServiceError } from "./service-error.ts";

/** Replies carry no checksum in this protocol. */
export function requirePossible(fault: Fault): void {
  if (fault.kind === "bad-checksum") {
    throw new Error('Azure Key Vault has no checksums, so it cannot have the fault "bad-checksum".');
  }
}

/** What befalls a request before the service works: a refusal, or a delay. */
export async function befall(fault: Fault | undefined, closing: AbortSignal): Promise<void> {
  switch (fault?.kind) {
    case "slow":
      await sleep(fault.ms, undefined, { signal: closing });
      return;
    case "throttled":
      throw new ServiceError(
        429,
        "Throttled",
        "Request was not processed because too many requests were received.",
        {
          headers: pause(fault.retryAfterMs),
        },
      );
    case "denied":
      throw forbidden("ForbiddenByRbac", "Caller is not authorized to perform action on resource.");
    case "down":
      throw new ServiceError(503, "ServiceUnavailable", "The service is not available.");
  }
}

/** Whole seconds as the service says them, and otherwise the header in milliseconds that the SDK also knows. */
function pause(ms: number | undefined): Readonly<Record<string, string>> {
  if (ms === undefined) return {};
  return ms % 1_000 === 0 ? { "Retry-After": String(ms / 1_000) } : { "retry-after-ms": String(ms) };
}

/** The output that a faulty service gives for the right one. */
export function spoiled(output: CryptoOutput, fault: Fault | undefined, opens: boolean): CryptoOutput {
  if (fault?.kind !== "bad-length") return output;
  return { ...output, value: opens ? output.value.subarray(1) : new Uint8Array() };
}

/** The kid that a faulty service gives: of a version that there is not. */
export function kidFor(kid: string, fault: Fault | undefined): string {
  return fault?.kind === "another-key" ? kid.replace(/[^/]*$/, randomBytes(16).toString("hex")) : kid;
}
