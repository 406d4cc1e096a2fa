/** A token bucket: so many at once, so many a second after that. */

import { type Clock, keepingTimer, sleep } from "./clock.ts";
import { KeyfoldError } from "./errors.ts";

export interface BudgetLimits {
  /** Tokens that a rested bucket holds. */
  readonly burst: number;
  readonly perSecond: number;
}

export class Budget {
  readonly #clock: Clock;
  readonly #limits: BudgetLimits;
  #tokens: number;
  #filledAt: number;

  constructor(clock: Clock, limits: BudgetLimits) {
    this.#clock = clock;
    this.#limits = limits;
    this.#tokens = limits.burst;
    this.#filledAt = clock.monotonic();
  }

  /** Takes one, or throws `ERR_BUDGET`. */
  take(): void {
    if (!this.#tryTake()) throw new KeyfoldError("ERR_BUDGET");
  }

  /** Takes one as soon as there is one. */
  async wait(signal: AbortSignal): Promise<void> {
    while (!this.#tryTake()) {
      const missing = 1 - this.#tokens;
      await sleep(this.#clock, (missing * 1_000) / this.#limits.perSecond, signal, keepingTimer);
    }
  }

  #tryTake(): boolean {
    const now = this.#clock.monotonic();
    const earned = ((now - this.#filledAt) * this.#limits.perSecond) / 1_000;
    this.#tokens = Math.min(this.#limits.burst, this.#tokens + earned);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
