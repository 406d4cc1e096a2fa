import { expect, it } from "vitest";
import { shuffled, summarize } from "../statistics.ts";

it("gives the median and the quartiles, between ranks in proportion", () => {
  expect(summarize([3, 1, 2])).toEqual({ median: 2, low: 1.5, high: 2.5, rounds: 3 });
  expect(summarize([4, 1, 3, 2])).toEqual({ median: 2.5, low: 1.75, high: 3.25, rounds: 4 });
  expect(summarize([7])).toEqual({ median: 7, low: 7, high: 7, rounds: 1 });
});

it("shuffles without losing or doubling anything", () => {
  const items = Array.from({ length: 100 }, (_, i) => i);
  const order = shuffled(items);
  expect(order).not.toEqual(items);
  expect(order.toSorted((a, b) => a - b)).toEqual(items);
});
