/** authenticity-is-declared. */

import assert from "node:assert/strict";
import { type ContractCase, lever, serviceCase } from "./case.ts";
import { drawKey, kmsContext, opens, operation, refusal } from "./tools.ts";

export const authenticity: readonly ContractCase[] = [
  serviceCase("authenticity-is-declared", "authenticatesWraps says what is so", async (running, subject) => {
    const { authenticatesWraps } = running.provider();
    assert.equal(
      authenticatesWraps,
      !subject.forgeable,
      "authenticatesWraps, and whether a wrap can be forged",
    );
  }),

  serviceCase(
    "authenticity-is-declared",
    "a forged wrap opens only if they can be",
    async (running, subject) => {
      const key = drawKey();
      const forged = await lever(running, "forge")(key, kmsContext);
      const provider = running.provider();
      if (subject.forgeable) await opens(provider, forged, key, "a forged wrap");
      else {
        await refusal("a forged wrap", "ERR_MASTER_KEY_REJECTED", () =>
          provider.unwrapKey(forged, operation()),
        );
      }
    },
  ),
];
