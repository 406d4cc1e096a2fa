/** When the store of a keyring is read, how long that may take, and how often for a key that nobody knows. */

import { type Clock, elapsed, type Instant, idleTimer, instant, promptly, type StartTimer } from "./clock.ts";
import { KeyfoldError } from "./errors.ts";
import { backgroundBackoff } from "./freshness.ts";
import type { KeyringStore, StoredKeyring } from "./keyring-store.ts";
import { jitter } from "./random.ts";

/** The first pause between searches for an unknown KDK; it doubles up to `reloadAfter` while they bring nothing. */
const FIRST_SEARCH_PAUSE_MS = 1_000;
const MOST_DOUBLINGS = 20;

/** Milliseconds. */
export interface ReadLimits {
  /** How long a read may take. */
  readonly patience: number;
  /** When it is due again. */
  readonly reloadAfter: number;
}

/** The reads of one store. */
export class StoreReads {
  readonly #store: KeyringStore;
  readonly #clock: Clock;
  readonly #limits: ReadLimits;
  #readAt: Instant;
  #wait: number;
  #failures = 0;

  constructor(store: KeyringStore, clock: Clock, limits: ReadLimits) {
    this.#store = store;
    this.#clock = clock;
    this.#limits = limits;
    this.#readAt = instant(clock);
    this.#wait = limits.reloadAfter;
  }

  /** @throws `ERR_KEYRING_NOT_FOUND`, `ERR_KEYRING_UNAVAILABLE`, or what the store fails with */
  async load(signal: AbortSignal): Promise<StoredKeyring> {
    const waiting = { clock: this.#clock, patience: this.#limits.patience, timer: idleTimer, signal };
    const stored = await storeCall(waiting, () => this.#store.load());
    if (stored === undefined) throw new KeyfoldError("ERR_KEYRING_NOT_FOUND");
    return stored;
  }

  isDue(now: Instant): boolean {
    return elapsed(this.#readAt, now) >= this.#wait;
  }

  /** What was read is right. */
  succeeded(): void {
    this.#failures = 0;
    this.#next(this.#limits.reloadAfter);
  }

  /** It could not be read, or is not right. */
  failed(): void {
    this.#next(Math.min(this.#limits.reloadAfter, backgroundBackoff(++this.#failures)));
  }

  #next(wait: number): void {
    this.#readAt = instant(this.#clock);
    this.#wait = wait;
  }
}

/** Reads that unknown KDKs cause: shared by all who want one, and the rarer the more of them brought nothing. */
export class Searches {
  readonly #clock: Clock;
  readonly #longestPause: number;
  #round: { readonly done: Promise<void>; again: boolean } | undefined;
  #fruitless = 0;
  #endedAt = Number.NEGATIVE_INFINITY;
  #failure: unknown;

  constructor(clock: Clock, longestPause: number) {
    this.#clock = clock;
    this.#longestPause = longestPause;
  }

  /**
   * Reads, or waits for the read that is under way. Within the back-off nothing is read, and what the last read failed with
   * is thrown again.
   *
   * @param read whether it brought anything new
   */
  async join(read: () => Promise<boolean>): Promise<void> {
    if (this.#round !== undefined) {
      this.#round.again = true;
      return this.#round.done;
    }
    if (!this.#isBackingOff) return this.#begin(read);
    if (this.#failure !== undefined) throw this.#failure;
  }

  get #isBackingOff(): boolean {
    if (this.#fruitless === 0) return false;
    const ceiling = FIRST_SEARCH_PAUSE_MS * 2 ** Math.min(this.#fruitless - 1, MOST_DOUBLINGS);
    const pause = Math.min(ceiling, this.#longestPause) * (0.5 + jitter() / 2);
    return this.#clock.monotonic() - this.#endedAt < pause;
  }

  #begin(read: () => Promise<boolean>): Promise<void> {
    const round = { done: Promise.resolve(), again: false };
    const isAskedAgain = () => round.again;
    round.done = this.#run(read, isAskedAgain).finally(() => {
      this.#round = undefined;
      this.#endedAt = this.#clock.monotonic();
    });
    this.#round = round;
    return round.done;
  }

  /** Twice where somebody joined, who may ask for what was saved since the first read began. */
  async #run(read: () => Promise<boolean>, isAskedAgain: () => boolean): Promise<void> {
    try {
      let fruitful = await read();
      if (isAskedAgain()) fruitful = (await read()) || fruitful;
      this.#fruitless = fruitful ? 0 : this.#fruitless + 1;
      this.#failure = undefined;
    } catch (error) {
      this.#fruitless++;
      this.#failure = error;
      throw error;
    }
  }
}

/** Who waits for a store. */
export interface Waiting {
  readonly clock: Clock;
  /** Milliseconds. */
  readonly patience: number;
  readonly timer: StartTimer;
  readonly signal: AbortSignal;
}

/**
 * Calls a store. What it fails with is keyfold's own error, or `ERR_KEYRING_UNAVAILABLE` with it as cause; the same where it
 * does not answer.
 */
export async function storeCall<T>(
  { clock, patience, timer, signal }: Waiting,
  call: () => Promise<T>,
): Promise<T> {
  const silence = new AbortController();
  const silent = () =>
    new KeyfoldError("ERR_KEYRING_UNAVAILABLE", `The store was silent for ${patience} ms.`);
  const pending = timer(clock, patience, () => silence.abort(silent()));
  try {
    return await promptly(translated(call), AbortSignal.any([signal, silence.signal]));
  } finally {
    clock.clearTimeout(pending);
  }
}

async function translated<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    if (cause instanceof KeyfoldError) throw cause;
    throw new KeyfoldError("ERR_KEYRING_UNAVAILABLE", undefined, { cause });
  }
}

/** Whether a store could not be reached, so that what it held last may serve. */
export function isStoreOutage(error: unknown): boolean {
  return error instanceof KeyfoldError && (error.retryable || error.code === "ERR_IO");
}
