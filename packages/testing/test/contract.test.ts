/** The suite itself: who passes it, what it skips, and what it says of a lever that is not there. */

import { execFile } from "node:child_process";
import * as nodeTest from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { MasterKeyProvider } from "@keyfold/core";
import { describe, expect, expectTypeOf, it, test } from "vitest";
import type { ContractCase } from "../src/contract/case.ts";
import { contractCases, type TestRunner, testMasterKeyProvider } from "../src/contract/suite.ts";
import type { FailureKind, ProviderSubject, RuleId, RunningSubject } from "../src/subject.ts";
import { MemoryCloud } from "./support/cloud.ts";
import { collect, failedRules, ruleOf } from "./support/collect.ts";
import { altering } from "./support/mutants/mutant.ts";
import { type Make, referenceSubject, runningCloud } from "./support/reference.ts";

testMasterKeyProvider({ describe, it }, referenceSubject());
testMasterKeyProvider({ describe, it }, memorySubject());

test("the reference passes every case, and skips none", async () => {
  const { groups, passed, skipped, failed } = await collect(referenceSubject());
  expect([...failed]).toEqual([]);
  expect(skipped).toEqual([]);
  expect(passed).toEqual(contractCases.map(titleOf));
  expect(groups).toEqual(["reference keeps the provider contract"]);
});

test("titles are unique, and begin with the rule", () => {
  const titles = contractCases.map(titleOf);
  expect(new Set(titles).size).toBe(titles.length);
  expect(titles.map(ruleOf)).toEqual(contractCases.map(({ id }) => id));
});

test("the runners that people use fit", () => {
  expectTypeOf({ describe, it }).toExtend<TestRunner>();
  expectTypeOf({ describe: nodeTest.describe, it: nodeTest.it }).toExtend<TestRunner>();
});

test("it runs under node:test", async () => {
  const file = fileURLToPath(new URL("./support/under-node-test.ts", import.meta.url));
  const { NODE_OPTIONS: _, NODE_TEST_CONTEXT: __, ...env } = process.env;
  const { stdout } = await promisify(execFile)(process.execPath, ["--test", "--test-reporter=tap", file], {
    env,
  });
  const cases = contractCases.length;
  expect(stdout).toMatch(new RegExp(`^# tests ${cases}$`, "m"));
  expect(stdout).toMatch(new RegExp(`^# pass ${cases - 1}$`, "m"));
  expect(stdout).toMatch(/# skipped 1$/m);
  expect(stdout).toContain(
    "wrap-is-randomized: one key, wrapped twice, gives two ciphertexts that open (skipped: its wraps are all alike) # SKIP",
  );
});

describe("a lever that is missing", () => {
  const levers: readonly [lever: keyof RunningSubject, rules: readonly RuleId[]][] = [
    ["scheme", ["wrap-is-as-specified"]],
    ["unwrapAsSpecified", ["wrap-is-as-specified"]],
    ["wrapAsSpecified", ["wrap-is-as-specified"]],
    ["otherKeys", ["other-keys-are-not-mine"]],
    ["badReplies", ["reply-is-checked"]],
    ["forge", ["authenticity-is-declared"]],
    ["alias", ["alias-chooses-only"]],
    ["rotate", ["names-the-key-that-answered", "rotation-keeps-old-keys"]],
    ["failures", ["failures-have-codes"]],
    ["delay", ["abort-is-prompt"]],
    ["secrets", ["nothing-prints"]],
    ["injected", ["close-is-idempotent"]],
  ];

  test.each(levers)("%s fails its rule, and is named", async (lever, rules) => {
    const collected = await collect(referenceSubject({ running: { [lever]: undefined } }));
    expect(failedRules(collected)).toEqual(rules);
    for (const { message } of collected.failed.values()) {
      expect(message).toContain(`The subject has no lever "${lever}"`);
    }
  });

  test("every lever is among them", () => {
    const optional: Record<OptionalLever, true> = {
      unwrapAsSpecified: true,
      wrapAsSpecified: true,
      scheme: true,
      otherKeys: true,
      badReplies: true,
      forge: true,
      alias: true,
      rotate: true,
      failures: true,
      delay: true,
      injected: true,
      secrets: true,
    };
    expect(levers.map(([lever]) => lever).sort()).toEqual(Object.keys(optional).sort());
  });

  test("a kind of failure fails its case, and is named", async () => {
    const { failed } = await collect(referenceSubject({ running: { failures: {} } }));
    const kinds = contractCases.filter(({ id }) => id === "failures-have-codes").map(({ title }) => title);
    expect(kinds.length).toBe(10);
    expect([...failed.keys()]).toEqual(kinds.map((kind) => `failures-have-codes: ${kind}`));
    for (const [title, { message }] of failed) {
      expect(message).toContain(`no lever "failures["${title.slice("failures-have-codes: ".length)}"]"`);
    }
  });

  test.each<[Partial<RunningSubject>, RegExp, RuleId]>([
    [{ otherKeys: async () => [] }, /"otherKeys" gives no wrap/, "other-keys-are-not-mine"],
    [{ badReplies: [] }, /"badReplies" has none for wrap/, "reply-is-checked"],
    [{ secrets: [] }, /"secrets" names none/, "nothing-prints"],
    [{ requests: () => 0 }, /requests after one wrap/, "round-trip"],
  ])("one that does nothing fails too: %o", async (running, message, rule) => {
    const collected = await collect(referenceSubject({ running }));
    expect(failedRules(collected)).toEqual([rule]);
    expect([...collected.failed.values()][0]?.message).toMatch(message);
  });
});

describe("what a subject is not held to", () => {
  const rules = [...new Set(contractCases.map(({ id }) => id))];

  test.each(rules)("%s is skipped with its reason in the title, and does not run", async (rule) => {
    const inapplicable = { [rule]: "it has no such thing" };
    const { passed, skipped } = await collect(subjectThatCannotStart({ inapplicable }));
    const expected = contractCases.filter(({ id }) => id === rule).map(titleOf);
    expect(skipped).toEqual(expected.map((title) => `${title} (skipped: it has no such thing)`));
    expect(passed.map(ruleOf)).not.toContain(rule);
  });

  test("nor a kind of failure", async () => {
    const withoutFailures: Partial<Record<FailureKind, string>> = { throttled: "it is never in a hurry" };
    const { skipped } = await collect(subjectThatCannotStart({ withoutFailures }));
    expect(skipped).toEqual(["failures-have-codes: throttled (skipped: it is never in a hurry)"]);
  });

  test("with a runner that cannot skip, it is a test that does nothing", async () => {
    const ran: [title: string, body: () => Promise<void>][] = [];
    const subject = subjectThatCannotStart({ inapplicable: { "round-trip": "a reason" } });
    const runner: TestRunner = {
      describe: (_, body) => body(),
      it: (title, body) => ran.push([title, body]),
    };
    testMasterKeyProvider(runner, subject);
    expect(ran.length).toBe(contractCases.length);
    const inapplicable = ran.filter(([title]) => title.startsWith("round-trip: "));
    expect(inapplicable.length).toBe(3);
    for (const [title, body] of inapplicable) {
      expect(title).toMatch(/ \(skipped: a reason\)$/);
      expect(await body()).toBeUndefined();
    }
  });
});

test("without requests and without a delay, a call that an abort does not end fails", async () => {
  const subject = memorySubject();
  const stuck: ProviderSubject = {
    ...subject,
    async start() {
      const { delay: _, ...running } = await subject.start();
      let wraps = 0;
      const provider = () => {
        const made = running.provider();
        const wrapKey: MasterKeyProvider["wrapKey"] = (key, operation) =>
          wraps++ === 0 ? made.wrapKey(key, operation) : new Promise(() => {});
        return altering(made, { wrapKey });
      };
      return { ...running, provider };
    },
  };
  const inFlight = contractCases.find(({ title }) => title === "an abort in flight rejects at once");
  await expect(inFlight?.run(stuck)).rejects.toThrow("wrapKey: it had not rejected 2500 ms after the abort");
});

test("each case has a service of its own, and stops it, whether it passes or fails", async () => {
  const reference = referenceSubject({ key: (provider) => ({ ...provider, authenticatesWraps: false }) });
  const running = new Set<object>();
  let started = 0;
  const counting: ProviderSubject = {
    ...reference,
    async start() {
      const service = await reference.start();
      const counted: RunningSubject = { ...service, stop: async () => void running.delete(counted) };
      running.add(counted);
      started++;
      return counted;
    },
  };
  const { failed } = await collect(counting);
  expect(failed.size).toBeGreaterThan(0);
  expect(started).toBe(contractCases.filter(({ id }) => id !== "import-is-light").length);
  expect(running.size).toBe(0);
});

type OptionalLever = {
  [Name in keyof RunningSubject]-?: undefined extends RunningSubject[Name] ? Name : never;
}[keyof RunningSubject];

function titleOf({ id, title }: ContractCase): string {
  return `${id}: ${title}`;
}

function subjectThatCannotStart(members: Partial<ProviderSubject>): ProviderSubject {
  const start = () => Promise.reject(new Error("It was started."));
  return referenceSubject({ subject: { ...members, start } });
}

/** `memoryMasterKey` itself, with no client between it and the suite. */
function memorySubject(): ProviderSubject {
  return {
    name: "memoryMasterKey",
    forgeable: false,
    withoutRequests: "the service is in this process",
    inapplicable: {
      "alias-chooses-only": "it has no aliases",
      "reply-is-checked": "there is no wire on which a reply could be altered",
    },
    module: {
      url: new URL("../dist/index.js", import.meta.url).href,
      sdks: [],
      firstCall: "provider.memoryMasterKey().recognizes('memory:');",
    },
    async start() {
      const cloud = new MemoryCloud();
      const { alias: _, badReplies: __, injected: ___, ...levers } = runningCloud(cloud, reopened(cloud));
      return { ...levers, requests: () => 0 };
    },
  };
}

function reopened(cloud: MemoryCloud): Make {
  return ({ keyId }) => cloud.key(keyId).reopen();
}
