/** How long a key that a KMS once gave may be used without hearing from the KMS again, and what its answer does. */

import { type Clock, elapsed, type Instant, idleTimer, instant } from "./clock.ts";
import type { KeyfoldError, KeyfoldErrorCode } from "./errors.ts";
import { jitter } from "./random.ts";

/** Permissions propagate slowly, so one denial may be an accident; a second one this much later is not. */
const DENIAL_APART_MS = 30_000;
const SHORTEST_BACKOFF_MS = 5_000;
const LONGEST_BACKOFF_MS = 60_000;
/** Keys that nobody uses are looked for this often, as a part of `expireAfter`: an hour of a day, and no less often. */
const SWEEPS_IN_A_LIFE = 24;
const LONGEST_BETWEEN_SWEEPS_MS = 3_600_000;

const DISABLED: ReadonlySet<KeyfoldErrorCode> = new Set(["ERR_MASTER_KEY_DISABLED"]);
const DENIED: ReadonlySet<KeyfoldErrorCode> = new Set([
  "ERR_MASTER_KEY_DENIED",
  "ERR_MASTER_KEY_NOT_FOUND",
  "ERR_MASTER_KEY_REJECTED",
]);

export interface FreshnessLimits {
  /** Milliseconds after which the key is still used, and confirmed in the background. */
  readonly refreshAfter: number;
  /** Milliseconds without confirmation after which it is gone. */
  readonly expireAfter: number;
}

/** Jittered, 5 to 60 s, for background work that failed `failures` times in a row. */
export function backgroundBackoff(failures: number): number {
  const ceiling = Math.min(LONGEST_BACKOFF_MS, SHORTEST_BACKOFF_MS * 2 ** failures);
  return SHORTEST_BACKOFF_MS + jitter() * (ceiling - SHORTEST_BACKOFF_MS);
}

/**
 * A key that nobody uses any more expires too: what is past its time does not stay in memory until the next use. The timer
 * holds its owner weakly, so that one which was dropped and not closed is garbage, and its keys with it.
 *
 * @returns the timer
 */
export function sweepLater<Owner extends object>(
  owner: Owner,
  { clock, expireAfter }: { readonly clock: Clock; readonly expireAfter: number },
  sweep: (owner: Owner) => void,
): unknown {
  const reference = new WeakRef(owner);
  const interval = Math.min(expireAfter / SWEEPS_IN_A_LIFE, LONGEST_BETWEEN_SWEEPS_MS);
  return idleTimer(clock, interval, () => {
    const present = reference.deref();
    if (present !== undefined) sweep(present);
  });
}

/** The life of one key in memory. */
export class Freshness {
  readonly #clock: Clock;
  readonly #limits: FreshnessLimits;
  #confirmedAt: Instant;
  #triedAt: Instant;
  #wait: number;
  #refreshing = false;
  #failures = 0;
  #deniedAt: Instant | undefined;
  #lastError: KeyfoldError | undefined;
  #dropped = false;

  constructor(clock: Clock, limits: FreshnessLimits) {
    this.#clock = clock;
    this.#limits = limits;
    this.#confirmedAt = instant(clock);
    this.#triedAt = this.#confirmedAt;
    this.#wait = limits.refreshAfter;
  }

  /** Why the key is gone, or why its last refresh failed. */
  get lastError(): KeyfoldError | undefined {
    return this.#lastError;
  }

  /** Milliseconds since the KMS last gave or confirmed the key. */
  age(now: Instant): number {
    return elapsed(this.#confirmedAt, now);
  }

  isUsable(now: Instant): boolean {
    return !this.#dropped && elapsed(this.#confirmedAt, now) < this.#limits.expireAfter;
  }

  /** Whether the caller is the one to refresh it now; it then ends with {@link confirm} or {@link fail}. */
  beginRefresh(now: Instant): boolean {
    if (this.#refreshing || elapsed(this.#triedAt, now) < this.#wait) return false;
    this.#refreshing = true;
    return true;
  }

  /** The KMS unwrapped it again. */
  confirm(): void {
    this.#confirmedAt = this.#tried(this.#limits.refreshAfter);
    this.#failures = 0;
    this.#deniedAt = undefined;
    this.#lastError = undefined;
  }

  /** The refresh failed. Disabled ends the key; a second denial ends it; an outage does not. */
  fail(error: KeyfoldError): void {
    this.#lastError = error;
    const codes = error.attempts?.map((attempt) => attempt.error.code) ?? [error.code];
    if (codes.some((code) => DISABLED.has(code))) {
      this.#dropped = true;
    } else if (codes.some((code) => DENIED.has(code))) {
      const now = this.#tried(DENIAL_APART_MS);
      this.#deniedAt ??= now;
      this.#dropped = elapsed(this.#deniedAt, now) >= DENIAL_APART_MS;
    } else {
      this.#tried(backgroundBackoff(++this.#failures));
    }
  }

  #tried(wait: number): Instant {
    this.#refreshing = false;
    this.#wait = wait;
    this.#triedAt = instant(this.#clock);
    return this.#triedAt;
  }
}
