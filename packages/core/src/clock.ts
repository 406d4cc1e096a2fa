/** Time, from a clock that can be replaced. */

import { KeyfoldError } from "./errors.ts";

/** Where keyfold reads the time and sets timers: the system's, or a test's own. All numbers are milliseconds. */
export interface Clock {
  /** Wall time since the Unix epoch, as `Date.now`. */
  now(): number;
  /** Time that only moves forward and may stand still while the machine sleeps, as `performance.now`. */
  monotonic(): number;
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
};

/** A moment on both of a clock's scales. */
export interface Instant {
  readonly wall: number;
  readonly monotonic: number;
}

export function instant(clock: Clock): Instant {
  return { wall: clock.now(), monotonic: clock.monotonic() };
}

/** Milliseconds between two moments: by the scale that moved further, as one stops when a laptop sleeps and the other can be set back. */
export function elapsed(since: Instant, now: Instant): number {
  return Math.max(now.monotonic - since.monotonic, now.wall - since.wall);
}

/**
 * Resolves after `ms`, or rejects with the signal's reason.
 *
 * @param timer `idleTimer` where a deadline keeps the process alive for whoever waits
 */
export function sleep(clock: Clock, ms: number, signal: AbortSignal, timer: StartTimer): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const pending = timer(clock, ms, () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
    const onAbort = () => {
      clock.clearTimeout(pending);
      reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** What `promise` gives, or the signal's reason as soon as it aborts; the promise then settles unobserved. */
export function promptly<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** Whoever waits for an operation, and how long that may take. */
export interface Limits {
  /** Each of them ends the operation. */
  readonly signals: readonly AbortSignal[];
  /** Milliseconds. */
  readonly deadline: number;
  /** Background work: its timer does not keep the process alive. */
  readonly background: boolean;
}

/**
 * Runs `work` with a signal that aborts with `ERR_MASTER_KEY_UNAVAILABLE` when the deadline passes, and with the reason of
 * whichever given signal aborts. `work` ends when its signal does.
 */
export async function withDeadline<T>(
  clock: Clock,
  { signals, deadline, background }: Limits,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const onAbort = () => controller.abort(signals.find((signal) => signal.aborted)?.reason);
  for (const signal of signals) {
    if (signal.aborted) throw signal.reason;
    signal.addEventListener("abort", onAbort, { once: true });
  }
  const pass = () => controller.abort(deadlinePassed(deadline));
  const timer = (background ? idleTimer : keepingTimer)(clock, deadline, pass);
  try {
    return await work(controller.signal);
  } finally {
    clock.clearTimeout(timer);
    for (const signal of signals) signal.removeEventListener("abort", onAbort);
  }
}

function deadlinePassed(deadline: number): KeyfoldError {
  return new KeyfoldError("ERR_MASTER_KEY_UNAVAILABLE", `No answer within the deadline of ${deadline} ms.`);
}

/** Starts a timer of a clock: {@link keepingTimer} or {@link idleTimer}. */
export type StartTimer = (clock: Clock, ms: number, callback: () => void) => unknown;

/** A timer that keeps the process alive while it waits. */
export function keepingTimer(clock: Clock, ms: number, callback: () => void): unknown {
  return clock.setTimeout(callback, ms);
}

/** A timer that does not keep the process alive, where the clock's timers can be told so. */
export function idleTimer(clock: Clock, ms: number, callback: () => void): unknown {
  const timer = clock.setTimeout(callback, ms);
  if (typeof timer === "object" && timer !== null && "unref" in timer && typeof timer.unref === "function")
    timer.unref();
  return timer;
}
