/** Runs the suite with a runner that collects: what passed, what failed and why, what was skipped. */

import { testMasterKeyProvider } from "../../src/contract/suite.ts";
import type { ProviderSubject, RuleId } from "../../src/subject.ts";

export interface Collected {
  readonly groups: readonly string[];
  readonly passed: readonly string[];
  readonly skipped: readonly string[];
  /** Title → what it failed with. */
  readonly failed: ReadonlyMap<string, Error>;
}

type Body = () => Promise<void>;

export async function collect(subject: ProviderSubject): Promise<Collected> {
  const [groups, skipped]: string[][] = [[], []];
  const tests: [title: string, body: Body][] = [];
  const it = (title: string, body: Body) => void tests.push([title, body]);
  const skip = (title: string) => void skipped?.push(title);
  const describe = (name: string, body: () => void) => {
    groups?.push(name);
    body();
  };
  testMasterKeyProvider({ describe, it: Object.assign(it, { skip }) }, subject);
  const failed = new Map<string, Error>();
  await Promise.all(tests.map(([title, body]) => body().catch((error: Error) => failed.set(title, error))));
  const passed = tests.map(([title]) => title).filter((title) => !failed.has(title));
  return { groups: groups ?? [], passed, skipped: skipped ?? [], failed };
}

/** The rules of the cases that failed, each once. */
export function failedRules({ failed }: Pick<Collected, "failed">): string[] {
  return [...new Set([...failed.keys()].map(ruleOf))];
}

export function ruleOf(title: string): RuleId {
  return title.slice(0, title.indexOf(":")) as RuleId;
}
