/** failures-have-codes: a case for each way to fail. */

import assert from "node:assert/strict";
import { errorTable, type KeyfoldError } from "@keyfold/core";
import type { FailureKind, FailureLever, ProviderSubject, RunningSubject } from "../subject.ts";
import { type ContractCase, lever, missing, serviceCase } from "./case.ts";
import { printed, shownIn } from "./spellings.ts";
import { drawKey, operation, refusal } from "./tools.ts";

const RULE = "failures-have-codes";

const KINDS: Readonly<Record<FailureKind, true>> = {
  denied: true,
  "not found": true,
  disabled: true,
  "pending deletion": true,
  throttled: true,
  unavailable: true,
  "timed out": true,
  "malformed reply": true,
  "no credentials": true,
  "expired credentials": true,
};

export const failures: readonly ContractCase[] = (Object.keys(KINDS) as FailureKind[]).map((kind) => ({
  ...serviceCase(RULE, kind, (running) => fails(running, kind)),
  skipped: ({ inapplicable, withoutFailures }: ProviderSubject) =>
    inapplicable?.[RULE] ?? withoutFailures?.[kind],
}));

async function fails(running: RunningSubject, kind: FailureKind): Promise<void> {
  const failure = leverOf(running, kind);
  const [earlier, key] = [drawKey(), drawKey()];
  const wrapped = await running.provider().wrapKey(earlier, operation());
  const provider = await failure.arm();
  const errors = await Promise.all([
    refusal(`wrap, ${kind}`, failure.code, () => provider.wrapKey(key, operation())),
    refusal(`unwrap, ${kind}`, failure.code, () => provider.unwrapKey(wrapped, operation())),
  ]);
  for (const error of errors) check(error, failure, [earlier, key, ...(running.secrets ?? [])]);
}

function leverOf(running: RunningSubject, kind: FailureKind): FailureLever {
  const failure = lever(running, "failures")[kind];
  if (failure === undefined) throw missing(`failures["${kind}"]`);
  return failure;
}

function check(
  error: KeyfoldError,
  { code, hasCause = true }: FailureLever,
  secrets: readonly (string | Uint8Array)[],
): void {
  assert.equal(error.retryable, errorTable[code].retryable, `retryable of ${code}`);
  if (hasCause) assert.ok(error.cause instanceof Error, `${code} has no error as its cause`);
  assert.deepEqual(shownIn(printed(error, false), secrets), [], `${code} shows a secret`);
}
