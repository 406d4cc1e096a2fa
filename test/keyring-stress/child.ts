/**
 * A process of the stress test, with a master key, a keyring file and a directory that it shares with all the others. `change`
 * changes the keyring as fast as it can, `use` seals, and opens what the others sealed. It says when it is
 * ready, begins when it is told until when, and says what it did.
 */

import { subscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { appendFileSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createKeyfold, KeyfoldError, type Keyring, type KeyringMessage, openKeyring } from "@keyfold/core";
import { fileKeyringStore } from "@keyfold/core/node";
import { localKeyFile } from "@keyfold/local";

const [, , role = "", name = "", directory = ""] = process.argv;
/** One change in so many is a rotation, so that 4,096 keys are enough. The writers begin at different ones. */
const ROTATION_EVERY = 24;
const first = Number(name.replace(/\D/g, ""));
/** The changes are what is to be many. */
const PAUSE_OF_USERS_MS = 250;
const OPENED_AT_ONCE = 10;

const project = "stress";
const context = { by: "the stress test" };
const masterKeys = [localKeyFile(join(directory, "first.key")), localKeyFile(join(directory, "second.key"))];
const store = fileKeyringStore(join(directory, "keyring.json"));
const deadline = 30_000;

const did = {
  conflicts: 0,
  rotations: 0,
  changes: 0,
  seals: 0,
  opens: 0,
  refusals: {} as Record<string, number>,
};
subscribe("keyfold:keyring", (message) => {
  if ((message as KeyringMessage).event === "conflict") did.conflicts++;
});

const keyring = await openKeyring({ project, store, masterKeys, deadline, reloadAfter: 1_000 });
const keyfold = createKeyfold({ project, keyring });
const work = role === "change" ? change : use;
process.send?.("ready");
const [until] = (await once(process, "message")) as [number];
for (let step = first; Date.now() < until; step++) {
  try {
    await work(step);
  } catch (error) {
    if (!(error instanceof KeyfoldError)) throw error;
    did.refusals[error.code] = (did.refusals[error.code] ?? 0) + 1;
    if (!isExplained(error)) throw error;
  }
  await delay(role === "use" ? PAUSE_OF_USERS_MS : 0);
}
await keyring.close();
process.send?.(did);
process.disconnect?.();

/** Another writer won more often than a change is tried, or did the very same before. */
function isExplained({ code }: KeyfoldError): boolean {
  return role === "change" && (code === "ERR_KEYRING_CONFLICT" || code === "ERR_INVALID_ARGUMENT");
}

async function change(step: number): Promise<void> {
  if (step % ROTATION_EVERY === 0) {
    const { keys } = await keyring.rotate();
    appendFileSync(join(directory, `${name}.kdks`), `${keys.at(-1)?.id}\n`);
    did.rotations++;
  } else await changeWraps(keyring, step);
  did.changes++;
}

async function changeWraps(ring: Keyring, step: number): Promise<void> {
  if (step % 3 === 0) await ring.rewrap();
  else if (step % 3 === 1) await removeSecond(ring);
  else {
    const [, second] = masterKeys;
    if (second !== undefined) await ring.addMasterKey(second);
  }
}

async function removeSecond(ring: Keyring): Promise<void> {
  const { masterKeys: uris } = await ring.show();
  await ring.removeMasterKey(uris[1] ?? "none");
}

async function use(step: number): Promise<void> {
  const envelope = await keyfold.sealText(`${name} ${step}`, context);
  appendFileSync(join(directory, `${name}.sealed`), `${envelope}\n`);
  did.seals++;
  for (const other of readdirSync(directory).filter((file) => file.endsWith(".sealed"))) {
    const whole = readFileSync(join(directory, other), "utf8").split("\n").slice(0, -1);
    for (const sealed of whole.slice(-OPENED_AT_ONCE)) {
      const text = await keyfold.openText(sealed, context);
      if (!text.startsWith(other.replace(".sealed", " ")))
        throw new Error(`${other} opened as something else.`);
      did.opens++;
    }
  }
}
