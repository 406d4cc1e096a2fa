/** The one retry layer: providers and their SDKs have none. */

import { type Clock, idleTimer, promptly, sleep } from "./clock.ts";
import { KeyfoldError } from "./errors.ts";
import { jitter } from "./random.ts";

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2_000;

/** How one master key's service has been of late, and so whether to leave it alone for a moment. */
export class Backoff {
  readonly #clock: Clock;
  #failures = 0;
  #until = Number.NEGATIVE_INFINITY;
  #lastError: KeyfoldError | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds until the next call may go out; 0 or less when it may now. */
  get pause(): number {
    return this.#until - this.#clock.monotonic();
  }

  /** Why it is left alone, while it is. */
  get lastError(): KeyfoldError | undefined {
    return this.#lastError;
  }

  answered(): void {
    this.#failures = 0;
    this.#until = Number.NEGATIVE_INFINITY;
    this.#lastError = undefined;
  }

  /** Full jitter over a ceiling that doubles, and no less than the service asked for. */
  failed(error: KeyfoldError): void {
    const ceiling = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures++);
    const pause = Math.max(error.retryAfter ?? 0, jitter() * ceiling);
    this.#until = Math.max(this.#until, this.#clock.monotonic() + pause);
    this.#lastError = error;
  }
}

/**
 * Calls until there is an answer. Throttled and unavailable are none: the call is repeated, after a pause that all calls
 * under the same backoff keep, until the signal aborts. Every other failure is an answer, and thrown.
 */
export async function retrying<T>(
  clock: Clock,
  backoff: Backoff,
  signal: AbortSignal,
  call: () => Promise<T>,
): Promise<T> {
  for (;;) {
    if (backoff.pause > 0) await sleep(clock, backoff.pause, signal, idleTimer);
    try {
      const result = await promptly(call(), signal);
      backoff.answered();
      return result;
    } catch (thrown) {
      if (signal.aborted) throw signal.reason;
      const error = asKeyfoldError(thrown);
      if (!isOutage(error)) {
        backoff.answered();
        throw error;
      }
      backoff.failed(error);
    }
  }
}

/** Whether the service was not heard, so that a pause can help. A refusal or a corrupt wrap never pauses a master key. */
function isOutage({ code }: KeyfoldError): boolean {
  return code === "ERR_MASTER_KEY_THROTTLED" || code === "ERR_MASTER_KEY_UNAVAILABLE";
}

/** A provider translates its own errors; what it let through unknown is a defect of the provider, and is said to be. */
export function asKeyfoldError(thrown: unknown): KeyfoldError {
  if (thrown instanceof KeyfoldError) return thrown;
  return new KeyfoldError(
    "ERR_MASTER_KEY_BAD_REPLY",
    "The provider failed with an error that it does not translate.",
    {
      cause: thrown,
    },
  );
}
