/** What a case of the suite is, and what it does when the subject lacks something. Cases are data: an id, a title, a function. */

import type { ProviderSubject, RuleId, RunningSubject } from "../subject.ts";

export interface ContractCase {
  /** The rule that it proves. */
  readonly id: RuleId;
  /** What of the rule it proves. With the id it is unique. */
  readonly title: string;
  /** Why this subject is not held to it; undefined where it is. */
  skipped(subject: ProviderSubject): string | undefined;
  /** Throws where the rule is broken. */
  run(subject: ProviderSubject): Promise<void>;
}

/** What a case does with a service that was started for it alone. */
export type ServiceCase = (running: RunningSubject, subject: ProviderSubject) => Promise<void>;

/** A case with a service of its own, which ends with it. */
export function serviceCase(id: RuleId, title: string, body: ServiceCase): ContractCase {
  return {
    id,
    title,
    skipped: ({ inapplicable }) => inapplicable?.[id],
    async run(subject) {
      const running = await subject.start();
      try {
        await body(running, subject);
      } finally {
        await running.stop();
      }
    },
  };
}

/** The lever, or a failure that names it: a rule that cannot be tried is not kept. */
export function lever<Name extends keyof RunningSubject>(
  running: RunningSubject,
  name: Name,
): NonNullable<RunningSubject[Name]> {
  const found = running[name];
  if (found === undefined || found === null) throw missing(name);
  return found;
}

export function missing(name: string): Error {
  return new Error(
    `The subject has no lever "${name}", which this rule needs. Give it, or give the reason in "inapplicable".`,
  );
}
