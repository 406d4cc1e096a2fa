/**
 * A process with a keyring, on the system's clock: a store that watches, a refresh that never ends, a reload that never ends,
 * and nothing closed. It must end by itself.
 */

import { createKeyfold } from "../../src/keyfold.ts";
import { createKeyring, openKeyring } from "../../src/keyring.ts";
import { silence } from "./behaviour.ts";
import { SpyStore } from "./keyring-lab.ts";
import { MemoryKms } from "./memory-kms.ts";

const kms = new MemoryKms();
const store = new SpyStore();
await createKeyring({ project: "test", store, masterKeys: kms });
const times = { deadline: 60_000, refreshAfter: 1, reloadAfter: 1 };
const refreshing = await openKeyring({ project: "test", store, masterKeys: kms, ...times });
const reloading = await openKeyring({
  project: "test",
  store,
  masterKeys: kms,
  ...times,
  refreshAfter: 60_000,
});
const keyfolds = [refreshing, reloading].map((keyring) => createKeyfold({ project: "test", keyring }));
const { unwraps } = kms;
kms.before = silence;
while (kms.unwraps === unwraps) await use();
store.hang();
const { loads } = store;
while (store.loads < loads + 1) await use();
process.stdout.write(
  `${kms.unwraps - unwraps} unwrap and ${store.loads > loads ? "a load" : "nothing"} under way`,
);

async function use(): Promise<void> {
  for (const keyfold of keyfolds) keyfold.sealSync("secret", {});
  await new Promise((resolve) => setImmediate(resolve));
}
