/** Several ways to one result: in what order they start, who wins, and what becomes of the others. */

import { describe, expect, test } from "vitest";
import { firstOf, type Way } from "../src/hedge.ts";
import { watch } from "./support/behaviour.ts";
import { FakeClock, settled } from "./support/fake-clock.ts";

const PATIENCE = 1_000;
const { signal: never } = new AbortController();

/** A way that ends when a test says so, or with its signal. */
class Hand {
  readonly #result = Promise.withResolvers<string | undefined>();
  signal: AbortSignal | undefined;

  readonly way: Way<string> = (signal) => {
    this.signal = signal;
    signal.addEventListener("abort", () => this.#result.resolve(undefined));
    return this.#result.promise;
  };

  end(result: string | undefined): void {
    this.#result.resolve(result);
  }

  fail(error: Error): void {
    this.#result.reject(error);
  }

  get state(): "not started" | "running" | "aborted" {
    if (this.signal === undefined) return "not started";
    return this.signal.aborted ? "aborted" : "running";
  }
}

function race(count: number, signal = never) {
  const clock = new FakeClock();
  const hands = Array.from({ length: count }, () => new Hand());
  const ways = hands.map(({ way }) => way);
  const result = firstOf(clock, ways, PATIENCE, signal);
  return { clock, hands, result, watched: watch(result), states: () => hands.map(({ state }) => state) };
}

describe("firstOf", () => {
  test("starts the first way alone, and no other if it succeeds in time", async () => {
    const { clock, hands, result, states } = race(3);
    await clock.advance(PATIENCE - 1);
    expect(states()).toEqual(["running", "not started", "not started"]);
    hands[0]?.end("first");
    expect(await result).toBe("first");
    await clock.advance(10 * PATIENCE);
    expect(states()).toEqual(["aborted", "not started", "not started"]);
  });

  test("starts the next whenever the latest was silent for so long", async () => {
    const { clock, states } = race(3);
    await clock.advance(PATIENCE);
    expect(states()).toEqual(["running", "running", "not started"]);
    await clock.advance(PATIENCE - 1);
    expect(states()).toEqual(["running", "running", "not started"]);
    await clock.advance(1);
    expect(states()).toEqual(["running", "running", "running"]);
    await clock.advance(10 * PATIENCE);
    expect(clock.pending).toBe(0);
  });

  test("starts the next as soon as one fails, and its patience then begins anew", async () => {
    const { clock, hands, states } = race(3);
    await clock.advance(PATIENCE / 2);
    hands[0]?.end(undefined);
    await settled();
    expect(states()).toEqual(["running", "running", "not started"]);
    await clock.advance(PATIENCE - 1);
    expect(states()[2]).toBe("not started");
    await clock.advance(1);
    expect(states()[2]).toBe("running");
  });

  test.each([0, 1, 2])(
    "gives the first result, of way %i, aborts the others and leaves no timer",
    async (winner) => {
      const { clock, hands, result } = race(4);
      await clock.advance(2 * PATIENCE);
      hands[winner]?.end("winner");
      expect(await result).toBe("winner");
      for (const [i, { state }] of hands.entries()) expect(state).toBe(i < 3 ? "aborted" : "not started");
      expect(clock.pending).toBe(0);
    },
  );

  test("waits for those that run when there is none left to start", async () => {
    const { clock, hands, result, watched } = race(2);
    await clock.advance(PATIENCE);
    hands[1]?.end(undefined);
    await clock.advance(10 * PATIENCE);
    expect(watched.settled).toBe(false);
    hands[0]?.end("at last");
    expect(await result).toBe("at last");
  });

  test("is undefined once all have failed, and at once where there is no way", async () => {
    const { hands, result } = race(2);
    hands[0]?.end(undefined);
    hands[1]?.end(undefined);
    expect(await result).toBeUndefined();
    expect(await race(0).result).toBeUndefined();
  });

  test("starts no other way after its signal aborted, and is undefined when those that ran have ended", async () => {
    const controller = new AbortController();
    const { clock, result, states } = race(3, controller.signal);
    await clock.advance(PATIENCE);
    controller.abort("enough");
    expect(await result).toBeUndefined();
    expect(states()).toEqual(["aborted", "aborted", "not started"]);
    expect(clock.pending).toBe(0);
  });

  test("hands on the reason of its signal", () => {
    const controller = new AbortController();
    const { hands } = race(1, controller.signal);
    controller.abort("enough");
    expect(hands[0]?.signal?.reason).toBe("enough");
  });

  test("rejects where a way does, which none should, and aborts the others", async () => {
    const { clock, hands, result, states } = race(2);
    const boom = new Error("boom");
    await clock.advance(PATIENCE);
    hands[1]?.fail(boom);
    await expect(result).rejects.toBe(boom);
    expect(states()).toEqual(["aborted", "aborted"]);
  });
});
