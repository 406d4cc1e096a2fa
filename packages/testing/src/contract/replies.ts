/** reply-is-checked. */

import assert from "node:assert/strict";
import type { MasterKeyProvider, WrappedKey } from "@keyfold/core";
import type { BadReply } from "../subject.ts";
import { type ContractCase, lever, serviceCase } from "./case.ts";
import { drawKey, operation, refusal } from "./tools.ts";

const OPERATIONS: readonly BadReply["operation"][] = ["wrap", "unwrap"];

export const replies: readonly ContractCase[] = OPERATIONS.map((which) =>
  serviceCase("reply-is-checked", `bad replies to ${which}`, async (running) => {
    const bad = lever(running, "badReplies").filter((reply) => reply.operation === which);
    assert.ok(bad.length > 0, `The lever "badReplies" has none for ${which}.`);
    const provider = running.provider();
    const wrapped = await provider.wrapKey(drawKey(), operation());
    for (const { what, arm } of bad) {
      arm();
      await refusal(`a reply to ${which} that ${what}`, "ERR_MASTER_KEY_BAD_REPLY", () =>
        call(which, provider, wrapped),
      );
    }
  }),
);

function call(
  which: BadReply["operation"],
  provider: MasterKeyProvider,
  wrapped: WrappedKey,
): Promise<unknown> {
  return which === "wrap"
    ? provider.wrapKey(drawKey(), operation())
    : provider.unwrapKey(wrapped, operation());
}
