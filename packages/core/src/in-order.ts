/**
 * Many at once: a result for each item, in the items' order, while a bounded number of them are under way. No key, no
 * cryptography.
 */

import { KeyfoldError } from "./errors.ts";
import { Bell, Input, type Items } from "./input.ts";

/** Work that never waits gives way to timers, sockets and other callers after this many milliseconds. */
const LONGEST_STRETCH_MS = 5;

/** What became of one item of many. */
export type ManyResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: KeyfoldError };

/** How the items are worked on. */
export interface Batch<I, O> {
  /** How many items may be under way: read from the input, and their results not yet given out. */
  readonly concurrency: number;
  /** When it aborts, `check` throws. */
  readonly signal: AbortSignal | undefined;
  /** Throws what ends the whole batch. */
  readonly check: () => void;
  /** The item's result, at once where nothing has to be waited for. The signal aborts when nobody wants it any more. */
  readonly work: (item: I, signal: AbortSignal) => O | Promise<O>;
}

/**
 * The results of a batch. A `KeyfoldError` of `work` is its item's result. Any other error, and any error of the input,
 * ends the output when its turn comes. Whoever ends the output early closes the input.
 */
export function inOrder<I, O>(
  items: Items<I>,
  batch: () => Batch<I, O>,
): AsyncIterableIterator<ManyResult<O>> {
  const stop = new AbortController();
  const results = run(items, batch, stop.signal);
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: () => results.next(),
    return: () => {
      stop.abort();
      return results.return();
    },
  };
}

async function* run<I, O>(
  items: Items<I>,
  begin: () => Batch<I, O>,
  stopped: AbortSignal,
): AsyncGenerator<ManyResult<O>, void, undefined> {
  const batch = begin();
  batch.check();
  const bell = new Bell();
  const input = new Input(items, bell);
  const window = new Window(batch, bell);
  const pace = new Pace();
  const signals = [stopped, ...(batch.signal === undefined ? [] : [batch.signal])];
  for (const signal of signals) signal.addEventListener("abort", bell.ring);
  try {
    while (!stopped.aborted) {
      batch.check();
      const result = window.take();
      if (result !== undefined) {
        yield result;
        if (pace.isOverdue) await pace.giveWay();
      } else if (window.hasRoom && input.next()) window.begin(input.take());
      else if (window.isEmpty && input.hasEnded) return input.throwFailure();
      else await bell.rung();
    }
  } catch (error) {
    await Promise.allSettled([input.close()]);
    throw error;
  } finally {
    for (const signal of signals) signal.removeEventListener("abort", bell.ring);
    window.abandon();
    await input.close();
  }
}

/** The place of an item whose result has not been given out yet. */
interface Place<O> {
  result: ManyResult<O> | undefined;
  /** What is no `KeyfoldError`: a defect, here or in an item. */
  failure: { readonly error: unknown } | undefined;
}

/** The items that are under way, in their order. */
class Window<I, O> {
  readonly #batch: Batch<I, O>;
  readonly #bell: Bell;
  readonly #abandoning = new AbortController();
  readonly #places: Place<O>[] = [];

  constructor(batch: Batch<I, O>, bell: Bell) {
    this.#batch = batch;
    this.#bell = bell;
  }

  get isEmpty(): boolean {
    return this.#places.length === 0;
  }

  get hasRoom(): boolean {
    return this.#places.length < this.#batch.concurrency;
  }

  /** The result whose turn it is, if it is there. */
  take(): ManyResult<O> | undefined {
    const [first] = this.#places;
    if (first?.failure !== undefined) throw first.failure.error;
    if (first?.result !== undefined) this.#places.shift();
    return first?.result;
  }

  begin(item: I): void {
    const place: Place<O> = { result: undefined, failure: undefined };
    this.#places.push(place);
    try {
      const value = this.#batch.work(item, this.#abandoning.signal);
      if (value instanceof Promise) this.#await(value, place);
      else place.result = { ok: true, value };
    } catch (error) {
      refuse(place, error);
    }
  }

  /** Ends what is under way, for those who wait here. */
  abandon(): void {
    this.#abandoning.abort();
  }

  #await(promise: Promise<O>, place: Place<O>): void {
    promise
      .then(
        (value) => {
          place.result = { ok: true, value };
        },
        (error) => refuse(place, error),
      )
      .finally(this.#bell.ring);
  }
}

function refuse(place: Place<unknown>, error: unknown): void {
  if (error instanceof KeyfoldError) place.result = { ok: false, error };
  else place.failure = { error };
}

/** Keeps a run of results that were all there from holding up the rest of the process. */
class Pace {
  #since = performance.now();

  get isOverdue(): boolean {
    return performance.now() - this.#since > LONGEST_STRETCH_MS;
  }

  async giveWay(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#since = performance.now();
  }
}
