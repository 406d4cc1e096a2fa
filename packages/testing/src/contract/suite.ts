/** The provider contract as a suite: the cases, and how they are handed to a test runner. */

import type { ProviderSubject } from "../subject.ts";
import { abort } from "./abort.ts";
import { authenticity } from "./authenticity.ts";
import { bytes } from "./bytes.ts";
import type { ContractCase } from "./case.ts";
import { closing } from "./closing.ts";
import { concurrency } from "./concurrency.ts";
import { context } from "./context.ts";
import { damage } from "./damage.ts";
import { failures } from "./failures.ts";
import { form } from "./form.ts";
import { importing } from "./importing.ts";
import { keys } from "./keys.ts";
import { printing } from "./printing.ts";
import { replies } from "./replies.ts";
import { roundTrip } from "./round-trip.ts";
import { throws } from "./throws.ts";

/** What the suite asks of a test runner: vitest, Jest and `node:test` have it. */
export interface TestRunner {
  /** Runs `body` at once or later; what it registers belongs to the group. */
  describe(name: string, body: () => void): unknown;
  /** Registers a test, which passes if the promise is fulfilled. Without `skip`, a skipped case is a test that does nothing. */
  readonly it: {
    (name: string, body: () => Promise<void>): unknown;
    readonly skip?: (name: string, body: () => Promise<void>) => unknown;
  };
}

/** Every case of the contract, in the order of its rules. */
export const contractCases: readonly ContractCase[] = [
  ...roundTrip,
  ...form,
  ...keys,
  ...replies,
  ...damage,
  ...context,
  ...authenticity,
  ...failures,
  ...abort,
  ...throws,
  ...bytes,
  ...concurrency,
  ...printing,
  ...importing,
  ...closing,
];

/**
 * Proves that a master-key provider keeps the contract. Each rule is one case or several, titled by the rule's id; each
 * case starts a service of its own and stops it. A case that the subject declares inapplicable is skipped, with the
 * reason in its title; a lever that a case needs and that is not there fails it. Some cases make hundreds of calls, so
 * give a test 60 seconds.
 *
 * ```ts
 * import { testMasterKeyProvider } from "@keyfold/testing";
 * import { describe, it } from "vitest";
 *
 * testMasterKeyProvider({ describe, it }, subject);
 * ```
 *
 * @param runner the functions of the test runner, which is yours to choose
 * @param subject the provider, the service behind it, and the levers that make the service misbehave
 */
export function testMasterKeyProvider({ describe, it }: TestRunner, subject: ProviderSubject): void {
  describe(`${subject.name} keeps the provider contract`, () => {
    for (const each of contractCases) register(it, each, subject);
  });
}

function register(it: TestRunner["it"], each: ContractCase, subject: ProviderSubject): void {
  const title = `${each.id}: ${each.title}`;
  const reason = each.skipped(subject);
  if (reason === undefined) {
    it(title, () => each.run(subject));
    return;
  }
  const skip = it.skip ?? it;
  skip(`${title} (skipped: ${reason})`, async () => {});
}
