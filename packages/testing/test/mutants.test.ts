/** The suite catches what it should: each mutant fails the case of its rule, and no other. */

import { describe, expect, test } from "vitest";
import { contractCases } from "../src/contract/suite.ts";
import { type Collected, collect, failedRules } from "./support/collect.ts";
import { mutantsOfCalls } from "./support/mutants/calls.ts";
import { mutantsOfKeys } from "./support/mutants/keys.ts";
import type { Mutant } from "./support/mutants/mutant.ts";
import { mutantsOfWraps } from "./support/mutants/wraps.ts";
import { referenceSubject } from "./support/reference.ts";

const mutants: readonly Mutant[] = [...mutantsOfWraps, ...mutantsOfKeys, ...mutantsOfCalls];

const collected = new Map<Mutant, Promise<Collected>>();

/** Run once, whoever asks. */
function collectedOf(mutant: Mutant): Promise<Collected> {
  const running = collected.get(mutant) ?? collect(referenceSubject(mutant.options));
  collected.set(mutant, running);
  return running;
}

test("every rule has a mutant", () => {
  const rules = new Set(contractCases.map(({ id }) => id));
  expect(new Set(mutants.map(({ rule }) => rule))).toEqual(rules);
  expect(rules.size).toBe(19);
});

describe("of the rules, exactly one fails for a provider that", () => {
  test.each(mutants)("$what: $rule", async (mutant) => {
    const { failed, skipped, passed } = await collectedOf(mutant);
    expect(failedRules({ failed })).toEqual([mutant.rule]);
    expect([...failed.values()].map(({ message }) => message).join("\n")).toMatch(mutant.because);
    expect(skipped).toEqual([]);
    expect(passed.length + failed.size).toBe(contractCases.length);
  });
});

test("every case fails for some mutant", async () => {
  const all: Collected[] = [];
  for (const mutant of mutants) all.push(await collectedOf(mutant));
  const caught = new Set(all.flatMap(({ failed }) => [...failed.keys()]));
  expect(
    contractCases.map(({ id, title }) => `${id}: ${title}`).filter((title) => !caught.has(title)),
  ).toEqual([]);
});
