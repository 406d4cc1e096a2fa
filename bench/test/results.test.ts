/** The committed results: whole, of one commit, and what the table and the chart show. */

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { chart } from "../chart.ts";
import { report } from "../report.ts";
import type { Results } from "../results.ts";
import { outcomes, targets } from "../targets.ts";

const read = (name: string) => readFileSync(new URL(`../${name}`, import.meta.url), "utf8");
const results: Results = JSON.parse(read("results.json"));

it("are of a commit, and not of a changed tree", () => {
  expect(results.commit).toMatch(/^[0-9a-f]{40}$/);
});

it("have a measurement for every target", () => {
  const measured = outcomes(results, results.node).map(({ what }) => what);
  expect(measured).toEqual(targets.map(({ what }) => what));
});

it("are those of the table and the chart", async () => {
  expect(read("RESULTS.md")).toBe(await report(results));
  expect(read("results.svg")).toBe(chart(results));
});
