import { expect, test } from "vitest";
import { hostile } from "../../../test/hostile/hostile.ts";

/** The program of test/hostile, with fewer inputs, and always the same: CI runs a million others. */
test("20,000 hostile inputs give the codes of the list, no plaintext, no call and no memory that they do not need", async () => {
  const { failures, codes, measured } = await hostile({ count: 20_000, seed: 1 });
  expect(failures).toEqual([]);
  expect([...codes.values()].reduce((sum, times) => sum + times, 0)).toBe(20_000);
  expect(measured).toBeGreaterThan(1_000);
});
