/** The keys that many items need, asked for once each. */

import { createHash } from "node:crypto";
import { toLatin1 } from "./bytes.ts";
import { asker, settle } from "./callers.ts";
import { type EnvelopeHeader, WRAPS_AT } from "./envelope.ts";
import { KeyfoldError } from "./errors.ts";
import type { KeyCache, Scope } from "./key-cache.ts";
import type { Operations } from "./operations.ts";
import { Sieve, type Sieved } from "./sieve.ts";

/** How many keys that a master key refused are remembered. */
const MOST_REFUSALS = 1_000;

/**
 * The keys that a batch has to ask for: each once, however many items need it. A key that was refused for good is not asked
 * for again, and a million envelopes under it cost one call.
 */
export class BatchKeys {
  readonly #operations: Operations;
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #refusals = new Sieve<Sieved & { readonly error: KeyfoldError }>(MOST_REFUSALS);

  constructor(operations: Operations) {
    this.#operations = operations;
  }

  /** Brings the KDK that seals into memory. */
  obtainSealer(signal: AbortSignal): Promise<void> {
    return this.#once("sealer", signal, async (keys, scope) => {
      await keys.obtainSealingKey(scope, asker({ signal }));
    });
  }

  /** Brings the KDK of an envelope into memory, when the unwrap budget allows it. */
  obtainOpener(header: EnvelopeHeader, signal: AbortSignal): Promise<void> {
    const asking = { ...asker({ signal }), waitsForBudget: true };
    return this.#once(nameOf(header), signal, (keys) => keys.admit(header, asking));
  }

  async #once(
    name: string,
    signal: AbortSignal,
    obtain: (keys: KeyCache, scope: Scope) => Promise<void>,
  ): Promise<void> {
    const refusal = this.#refusals.get(name);
    if (refusal !== undefined) throw refusal.error;
    const { keys, scope } = this.#operations;
    const underWay =
      this.#underWay.get(name) ?? this.#remember(name, settle(obtain(keys, scope), { signal }));
    return underWay;
  }

  #remember(name: string, obtaining: Promise<void>): Promise<void> {
    const underWay = obtaining
      .catch((error) => {
        if (error instanceof KeyfoldError && !error.retryable)
          this.#refusals.set(name, { error, visited: false });
        throw error;
      })
      .finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, underWay);
    return underWay;
  }
}

/** Stands for a KDK and the wraps of it that a header carries. */
function nameOf({ kdkId, aad }: EnvelopeHeader): string {
  const wraps = createHash("sha256").update(aad.subarray(WRAPS_AT)).digest();
  return toLatin1(kdkId) + toLatin1(wraps);
}
