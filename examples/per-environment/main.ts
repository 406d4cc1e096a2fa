/** The program. It is the same everywhere: KEYFOLD_MASTER_KEY says which master key, and nothing else here does. */

import { createKeyfold, masterKeysFromUri } from "@keyfold/core";
import { providers } from "./clouds.ts";

const masterKeys = await masterKeysFromUri(process.env["KEYFOLD_MASTER_KEY"], { providers });
const keyfold = createKeyfold({ project: "shop", masterKeys });

const names = ["SMTP_PASSWORD", "PAYMENT_API_KEY", "SESSION_SECRET"];
const sealed = new Map<string, string>();
for (const name of names) sealed.set(name, await keyfold.sealText(`the value of ${name}`, { name }));
for (const [name, envelope] of sealed) {
  const opened = await keyfold.openText(envelope, { name });
  if (opened !== `the value of ${name}`) throw new Error(`${name} opened as something else.`);
}

const [first = ""] = sealed.values();
const { wrapCalls, unwrapCalls } = keyfold.stats();
console.log(`  configured  ${masterKeys.map(({ name }) => name).join(" ")}`);
console.log(`  in envelope ${keyfold.inspect(first).masterKeys.join(" ")}`);
console.log(
  `  ✓ ${sealed.size} secrets sealed and opened; calls to the master key: ${wrapCalls + unwrapCalls}`,
);

await keyfold.close();
await Promise.all(masterKeys.map((masterKey) => masterKey.close?.()));
