/**
 * The vectors on whatever runtime runs this file: Node, Bun, Deno. No test runner, so that each needs nothing but itself.
 * Ends with a line of counts, and with status 1 if anything failed.
 */

import { deepStrictEqual, strictEqual } from "node:assert";
import { openMessage } from "../../packages/core/src/cobblestone.ts";
import { decodeText, encodeText } from "../../packages/core/src/envelope.ts";
import { KeyfoldError } from "../../packages/core/src/errors.ts";
import { createKeyfold } from "../../packages/core/src/keyfold.ts";
import { unhex } from "../../packages/core/test/support/hex.ts";
import { MemoryKms } from "../../packages/core/test/support/memory-kms.ts";
import {
  digestOf,
  envelopeVectors,
  invalidVectors,
  openInHand,
  plaintextOf,
  readWycheproof,
  refusalOfCase,
  sealVector,
  sha512,
} from "../../packages/core/test/support/vectors.ts";

const { bun, deno, node } = process.versions;
console.log(bun ? `Bun ${bun}` : deno ? `Deno ${deno}` : `Node ${node}`);

const counts = { passed: 0, failed: 0, skipped: 0 };

async function check(name: string, test: () => unknown): Promise<void> {
  try {
    await test();
    counts.passed++;
  } catch (error) {
    counts.failed++;
    console.log(`FAILED: ${name}:`, error);
  }
}

/** The code that an action is refused with; an error of another class goes on. */
async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (error) {
    if (error instanceof KeyfoldError) return error.code;
    throw error;
  }
  return "no refusal";
}

for (const vector of envelopeVectors) {
  await check(vector.name, async () => {
    const envelope = sealVector(vector);
    deepStrictEqual(digestOf(envelope, vector.envelope), vector.envelope);
    if (vector.text !== null) strictEqual(encodeText(envelope), vector.text);
    strictEqual(Buffer.compare(await openInHand(vector, envelope), plaintextOf(vector)), 0);
  });
}

for (const vector of invalidVectors) {
  await check(vector.name, async () => {
    const open = () =>
      openInHand(vector, vector.envelope === undefined ? decodeText(vector.text) : unhex(vector.envelope));
    strictEqual(await codeOf(open), vector.code);
  });
}

const wycheproof = readWycheproof();
if ("absent" in wycheproof) {
  console.log(`Wycheproof is left out: ${wycheproof.absent}.`);
  if (wycheproof.required) counts.failed++;
  else counts.skipped++;
} else {
  for (const vector of wycheproof.cases) {
    await check(`Wycheproof ${vector.tcId}, ${vector.comment}`, async () => {
      const open = () => openMessage(vector.key, vector.context, vector.message);
      if (vector.result === "invalid") strictEqual(await codeOf(open), refusalOfCase(vector));
      else strictEqual(sha512(open()), vector.sha512);
    });
  }
}

await check("a secret through the public interface", async () => {
  const masterKeys = new MemoryKms();
  const context = { name: "db_password" };
  const sealed = await createKeyfold({ project: "billing", masterKeys }).sealText("pässwörd", context);
  const opener = createKeyfold({ project: "billing", masterKeys });
  strictEqual(await opener.openText(sealed, context), "pässwörd");
  strictEqual(await codeOf(() => opener.open(sealed, {})), "ERR_CONTEXT_MISMATCH");
});

console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed === 0 ? 0 : 1;
