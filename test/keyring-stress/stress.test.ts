import { expect, test } from "vitest";
import { stress } from "./stress.ts";

test("20 processes change one keyring file for 3 s while others seal and open: nothing is lost", async () => {
  const report = await stress(3);
  expect(report.conflicts).toBeGreaterThan(0);
  expect(report.changes).toBeGreaterThan(0);
  expect(report.seals).toBeGreaterThan(0);
  expect(report.opens).toBeGreaterThan(report.seals);
}, 120_000);
