/** Changes to a stored keyring, as a keyring makes them: read, sequence + 1, new mac, compare-and-swap, again after a conflict. */

import { KeyfoldError } from "../../src/errors.ts";
import { formatKeyring, type KeyringDocument, parseKeyring } from "../../src/keyring-document.ts";
import { macOf, requireMac } from "../../src/keyring-key.ts";
import type { KeyringStore } from "../../src/keyring-store.ts";
import { vectorKey } from "./keyring-vector.ts";

const key = vectorKey();

/** The document that is stored, proven by its mac. */
export async function readDocument(
  store: KeyringStore,
): Promise<{ document: KeyringDocument; version: string }> {
  const stored = await store.load();
  if (stored === undefined) throw new Error("There is no keyring.");
  const document = parseKeyring(stored.text);
  requireMac(key, document);
  return { document, version: stored.version };
}

/** The next document, as text. */
export function next(document: KeyringDocument): string {
  const { mac: _, ...fields } = { ...document, sequence: document.sequence + 1 };
  return formatKeyring({ ...fields, mac: macOf(key, fields) });
}

/** Makes one change. @returns how many conflicts there were before it */
export async function changeOnce(store: KeyringStore): Promise<number> {
  for (let conflicts = 0; ; conflicts++) {
    const { document, version } = await readDocument(store);
    try {
      await store.save(next(document), version);
      return conflicts;
    } catch (error) {
      if (!(error instanceof KeyfoldError) || error.code !== "ERR_KEYRING_CONFLICT") throw error;
    }
  }
}
