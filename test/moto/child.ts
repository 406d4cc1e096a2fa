/**
 * A process of its own with its master key from the environment: `seal` prints an envelope of the text that it is given,
 * `open` the text of the envelope. Prints JSON: the result or the error, and the calls that went out.
 */

import { createKeyfold, KeyfoldError, masterKeysFromUri } from "@keyfold/core";

const [, , verb = "", input = "", name = "token", project = "shop"] = process.argv;
const masterKeys = await masterKeysFromUri(process.env["KEYFOLD_MASTER_KEY"]);
const keyfold = createKeyfold({ project, masterKeys });

async function outcome(): Promise<Record<string, unknown>> {
  try {
    const context = { name };
    const result =
      verb === "seal" ? await keyfold.sealText(input, context) : await keyfold.openText(input, context);
    return { result };
  } catch (error) {
    if (!(error instanceof KeyfoldError)) throw error;
    return { code: error.code, cause: error.cause instanceof Error ? error.cause.name : undefined };
  }
}

const report = await outcome();
const { wrapCalls, unwrapCalls } = keyfold.stats();
console.log(JSON.stringify({ ...report, calls: [wrapCalls, unwrapCalls] }));
await keyfold.close();
await Promise.all(masterKeys.map((each) => each.close?.()));
