/** calls-are-independent. */

import { type ContractCase, serviceCase } from "./case.ts";
import { drawKey, kmsContext, operation, sameBytes } from "./tools.ts";

const CALLS = 100;

export const concurrency: readonly ContractCase[] = [
  serviceCase("calls-are-independent", "a hundred at once, on a cold provider", async (running) => {
    const keys = Array.from({ length: CALLS }, drawKey);
    const wrapping = running.provider();
    const wraps = await Promise.all(keys.map((key, n) => wrapping.wrapKey(key, operation(contextOf(n)))));
    const unwrapping = running.provider();
    const opened = await Promise.all(
      wraps.map((wrap, n) => unwrapping.unwrapKey(wrap, operation(contextOf(n)))),
    );
    for (const [n, key] of keys.entries()) sameBytes(opened[n], key, `call ${n} of ${CALLS}`);
  }),
];

function contextOf(n: number): Readonly<Record<string, string>> {
  return Object.freeze({ ...kmsContext, call: `${n}` });
}
