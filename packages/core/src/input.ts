/** Items from an iterable or an async iterable, taken one by one by somebody who also waits for other things. */

import { isUint8Array } from "node:util/types";
import { requireArgument } from "./errors.ts";

/** Items that are there, or that come one after the other: an array, a generator, a stream of objects, a cursor. */
export type Items<I> = Iterable<I> | AsyncIterable<I>;

/** Says that something has changed, to the one who waits for it. */
export class Bell {
  #waiting: PromiseWithResolvers<void> = Promise.withResolvers();

  readonly ring = (): void => this.#waiting.resolve();

  /** Resolves once it has rung since the last time; it may have rung for something that was already seen. */
  async rung(): Promise<void> {
    await this.#waiting.promise;
    this.#waiting = Promise.withResolvers();
  }
}

/** The items, each waited for where it has to be. */
export class Input<I> {
  readonly #iterator: Iterator<I> | AsyncIterator<I>;
  readonly #isAsync: boolean;
  readonly #bell: Bell;
  #arrived: { readonly item: I } | undefined;
  #isPending = false;
  #failure: { readonly error: unknown } | undefined;
  hasEnded = false;

  constructor(items: Items<I>, bell: Bell) {
    requireItems(items);
    this.#isAsync = Symbol.asyncIterator in items;
    this.#iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
    this.#bell = bell;
  }

  /** Whether there is an item to take now. Where there is none yet, the bell rings when that has changed. */
  next(): boolean {
    if (this.#arrived !== undefined) return true;
    if (this.hasEnded || this.#isPending) return false;
    try {
      const next = this.#iterator.next();
      if (this.#isAsync) this.#await(Promise.resolve(next));
      else this.#accept(next as IteratorResult<I>);
    } catch (error) {
      this.#fail(error);
    }
    return this.#arrived !== undefined;
  }

  /** The item that {@link next} has announced. */
  take(): I {
    const arrived = this.#arrived;
    if (arrived === undefined) throw new Error("No item has arrived.");
    this.#arrived = undefined;
    return arrived.item;
  }

  /** After the end: the error that was it, if it was one. */
  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Tells the input that no more is wanted. One that is itself waiting for an item hears of it when the item comes. */
  async close(): Promise<void> {
    if (this.hasEnded) return;
    this.hasEnded = true;
    const closing = this.#iterator.return?.();
    if (this.#isPending) void Promise.allSettled([closing]);
    else await closing;
  }

  #await(next: Promise<IteratorResult<I>>): void {
    this.#isPending = true;
    const settle = () => {
      this.#isPending = false;
      this.#bell.ring();
    };
    next
      .then((result) => this.#accept(result))
      .then(settle, (error) => {
        this.#fail(error);
        settle();
      });
  }

  #accept({ done, value }: IteratorResult<I>): void {
    if (done === true) this.hasEnded = true;
    else this.#arrived = { item: value };
  }

  #fail(error: unknown): void {
    this.#failure = { error };
    this.hasEnded = true;
  }
}

function requireItems(items: unknown): void {
  requireArgument(
    typeof items === "object" &&
      items !== null &&
      (Symbol.asyncIterator in items || Symbol.iterator in items) &&
      !isUint8Array(items),
    "The items must be an iterable or an async iterable: one alone goes in an array.",
  );
}
