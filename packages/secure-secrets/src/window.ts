/** Results in the order of the items, while a bounded number of them are worked on. */

import type { Items } from "@keyfold/core";

/** What the input says when it is asked for the next item. */
type Arrival<I> = { readonly item: I } | { readonly failure: unknown } | "end";

/**
 * An error of the input ends the output after the results of what came before it.
 *
 * @param most how many items may be under way: read from the input, and their results not yet given out
 * @param work what it rejects with ends the output when its turn comes
 */
export async function* inOrder<I, O>(
  items: Items<I>,
  most: number,
  work: (item: I) => Promise<O>,
): AsyncGenerator<O, void, undefined> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  const underWay: Promise<O>[] = [];
  let next: Promise<Arrival<I>> | undefined = arrivalOf(iterator);
  let failure: { readonly failure: unknown } | undefined;
  try {
    while (next !== undefined || underWay.length > 0) {
      const arrival: Arrival<I> | undefined = await firstOf(
        underWay.length < most ? next : undefined,
        underWay[0],
      );
      if (arrival === undefined) {
        const oldest = underWay.shift();
        if (oldest !== undefined) yield await oldest;
      } else if (arrival !== "end" && "item" in arrival) {
        underWay.push(observed(work(arrival.item)));
        next = arrivalOf(iterator);
      } else {
        next = undefined;
        if (arrival !== "end") failure = arrival;
      }
    }
    if (failure !== undefined) throw failure.failure;
  } finally {
    if (next !== undefined) void Promise.allSettled([iterator.return?.()]);
  }
}

/** What arrives next, or undefined where the oldest result is there before. */
function firstOf<I>(
  next: Promise<Arrival<I>> | undefined,
  oldest: Promise<unknown> | undefined,
): Promise<Arrival<I> | undefined> | undefined {
  const isThere = oldest?.then(
    () => undefined,
    () => undefined,
  );
  if (next === undefined || isThere === undefined) return next ?? isThere;
  return Promise.race([next, isThere]);
}

/** Never rejects. */
async function arrivalOf<I>(iterator: Iterator<I> | AsyncIterator<I>): Promise<Arrival<I>> {
  try {
    const { done, value } = await iterator.next();
    return done === true ? "end" : { item: value };
  } catch (failure) {
    return { failure };
  }
}

/** Its rejection is heard of when its turn comes, which may be never: where the output ended before. */
function observed<T>(promise: Promise<T>): Promise<T> {
  void promise.catch(() => undefined);
  return promise;
}
