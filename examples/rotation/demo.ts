/**
 * A key leaked. What is to be rotated? Five things are called "rotation", and they heal different leaks. A thief who had
 * everything once, a copy of the keyring and a permission at the KMS, tries after each of them.
 */

import {
  createKeyfold,
  createKeyring,
  type Keyfold,
  KeyfoldError,
  memoryKeyringStore,
  openKeyring,
  staticKeyring,
} from "@keyfold/core";
import { memoryMasterKey } from "@keyfold/testing";

const project = "shop";
const context = { name: "db_password" };

const masterKey = memoryMasterKey({ id: "shop" });
const store = memoryKeyringStore();
await createKeyring({ project, store, masterKeys: masterKey });
const keyring = await openKeyring({ project, store, masterKeys: masterKey });
const keyfold = createKeyfold({ project, keyring });

let document = await text();
let envelope = await keyfold.seal("hunter2", context);

// The thief takes a copy of all that is stored and, once, the KDKs. From then on he may not use the master key.
const loot = { document, envelope };
const thief = createKeyfold({
  project,
  keyring: await openKeyring({ project, store: staticKeyring(document), masterKeys: masterKey }),
});
console.log("The thief was here: he has a copy of the keyring and of the envelope, and the KDKs.");
await report("what he copied", loot.envelope);

console.log("\n1. The KMS rotates the master key");
masterKey.rotate();
await changes();
await report("what is sealed afterwards", await keyfold.seal("new", context));

console.log("\n2. keyring.rewrap(): the keyring key under the master key's new version");
await keyring.rewrap();
await changes();
await report("what is sealed afterwards", await keyfold.seal("new", context));

console.log("\n3. keyring.rotate(): another KDK from now on");
await keyring.rotate();
await changes();
await report("what is sealed afterwards", await keyfold.seal("new", context));
await report("what was sealed before", envelope);

console.log("\n4. keyfold.rewrap(envelope): the old envelope under the new KDK");
const rewrapped = await keyfold.rewrap(envelope);
await changes(rewrapped);
await report("the envelope as it is stored now", rewrapped);
await report("its message behind the header that he copied", spliced(loot.envelope, rewrapped));

console.log("\n5. Sealed anew, with another password, and the old KDK destroyed");
const [old] = (await keyring.show()).keys;
await keyring.destroy(old?.id ?? "", { confirm: old?.id ?? "" });
await changes(await keyfold.seal("correct horse", context));
await report("the envelope as it is stored now", envelope);
await report("its message behind the header that he copied", spliced(loot.envelope, envelope));
await report("what he copied", loot.envelope);
console.log(`  what he copied: the application ${await tried(keyfold, loot.envelope)}`);

await Promise.all([thief.close(), keyfold.close(), keyring.close()]);

async function text(): Promise<string> {
  return (await store.load())?.text ?? "";
}

/** What of the stored bytes has changed. */
async function changes(present: Uint8Array = envelope): Promise<void> {
  const now = await text();
  const members = Object.keys(JSON.parse(now)).filter(
    (name) => JSON.stringify(JSON.parse(now)[name]) !== JSON.stringify(JSON.parse(document)[name]),
  );
  console.log(`  keyring:  ${members.length === 0 ? "unchanged" : `changed: ${members.join(", ")}`}`);
  console.log(`  envelope: ${difference(envelope, present)}`);
  document = now;
  envelope = Buffer.from(present);
}

function difference(before: Uint8Array, after: Uint8Array): string {
  if (Buffer.compare(before, after) === 0) return "unchanged";
  const sameMessage = Buffer.compare(messageOf(before), messageOf(after)) === 0;
  return sameMessage ? "another header, the same message" : "another header, another message";
}

function messageOf(sealed: Uint8Array): Uint8Array {
  return sealed.subarray(keyfold.inspect(sealed).headerBytes);
}

function spliced(header: Uint8Array, message: Uint8Array): Uint8Array {
  return Buffer.concat([header.subarray(0, keyfold.inspect(header).headerBytes), messageOf(message)]);
}

async function report(what: string, sealed: Uint8Array): Promise<void> {
  console.log(`  ${what}: the thief ${await tried(thief, sealed)}`);
}

async function tried(who: Keyfold, sealed: Uint8Array): Promise<string> {
  try {
    return `reads "${await who.openText(sealed, context)}"`;
  } catch (error) {
    if (error instanceof KeyfoldError) return `reads nothing (${error.code})`;
    throw error;
  }
}
