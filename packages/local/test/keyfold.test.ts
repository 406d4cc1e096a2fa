/** How often a keyfold asks a local key, and how often that reads its source: there is no server to count at. */

import { createKeyfold, type Keyfold, type MasterKeyProvider } from "@keyfold/core";
import { expect, onTestFinished, test } from "vitest";
import { localProvider } from "../src/local-provider.ts";
import { passphraseKey } from "../src/passphrase.ts";
import { localKey } from "../src/wrap.ts";
import { masterBytes } from "./support/material.ts";

test("10,000 seals from 100 callers read the key once and wrap once; opening them elsewhere reads and unwraps once", async () => {
  const reads = { sealing: 0, opening: 0 };
  const counted = (where: keyof typeof reads) =>
    localProvider("counted", () => {
      reads[where]++;
      return [localKey(Uint8Array.from(masterBytes))];
    });
  await sealAndOpenAll(counted("sealing"), counted("opening"));
  expect(reads).toEqual({ sealing: 1, opening: 1 });
});

test("under a passphrase as well one scrypt seals them all, and one opens them", async () => {
  const made = () => passphraseKey("correct horse battery staple", { log2N: 15 });
  await sealAndOpenAll(made(), made());
});

/** Asserts one wrap, and one unwrap. */
async function sealAndOpenAll(sealing: MasterKeyProvider, opening: MasterKeyProvider): Promise<void> {
  const sealer = keyfoldOf(sealing);
  const sealed = await Promise.all(
    Array.from({ length: 100 }, async (_, caller) => {
      const own: Uint8Array[] = [];
      for (let i = 0; i < 100; i++) own.push(await sealer.seal(`${caller}/${i}`, { caller: `${caller}` }));
      return own;
    }),
  );
  expect(sealer.stats()).toMatchObject({ wrapCalls: 1, unwrapCalls: 0 });
  const opener = keyfoldOf(opening);
  const opened = await Promise.all(
    sealed.map((own, caller) =>
      Promise.all(own.map((each) => opener.openText(each, { caller: `${caller}` }))),
    ),
  );
  expect(opened.flat()).toEqual(
    Array.from({ length: 10_000 }, (_, i) => `${Math.floor(i / 100)}/${i % 100}`),
  );
  expect(opener.stats()).toMatchObject({ wrapCalls: 0, unwrapCalls: 1 });
}

function keyfoldOf(masterKeys: MasterKeyProvider): Keyfold {
  const keyfold = createKeyfold({ project: "billing/prod", masterKeys, deadline: 60_000 });
  onTestFinished(() => keyfold.close());
  return keyfold;
}
