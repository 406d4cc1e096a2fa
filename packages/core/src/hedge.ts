/** Several ways to one result, the later ones only when the earlier are slow or fail. */

import { type Clock, idleTimer } from "./clock.ts";

/** A way to the result; `undefined` says that it failed, and it has noted why. Ends when its signal aborts. */
export type Way<T> = (signal: AbortSignal) => Promise<T | undefined>;

/**
 * Starts the ways in order: the next as soon as one fails, or when the latest has been silent for `patience` milliseconds.
 * The first result wins and the others are aborted. `undefined` once all that were started have failed.
 */
export async function firstOf<T>(
  clock: Clock,
  ways: readonly Way<T>[],
  patience: number,
  signal: AbortSignal,
): Promise<T | undefined> {
  const losers = new AbortController();
  const either = AbortSignal.any([signal, losers.signal]);
  let timer: unknown;
  try {
    return await new Promise<T | undefined>((resolve, reject) => {
      let started = 0;
      let running = 0;
      const next = () => {
        clock.clearTimeout(timer);
        const way = either.aborted ? undefined : ways[started];
        if (way === undefined) {
          if (running === 0) resolve(undefined);
          return;
        }
        started++;
        running++;
        timer = idleTimer(clock, patience, next);
        way(either).then((result) => {
          running--;
          if (result === undefined) next();
          else resolve(result);
        }, reject);
      };
      next();
    });
  } finally {
    clock.clearTimeout(timer);
    losers.abort();
  }
}
