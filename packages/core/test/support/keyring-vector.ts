/** The keyring of the vectors. */

import { readFileSync } from "node:fs";
import { encodeName } from "../../src/key-hierarchy.ts";
import { importKeyringKey, type KeyringKey } from "../../src/keyring-key.ts";
import { unhex } from "./hex.ts";

/** As it stands in JSON. */
export interface DocumentJson {
  keyfold: string;
  project: string;
  id: string;
  sequence: number;
  kmsContext: Record<string, string>;
  wraps: { masterKey: string; wrapped: string }[];
  keys: { id: string; created: string; state: string; sealed: string }[];
  mac: string;
}

export interface KeyringVector {
  /** Hex. */
  readonly keyringKey: string;
  /** Hex: the key that the `local:` wrap is under. */
  readonly localKey: string;
  /** Hex: those of the keys that are not destroyed, in their order. */
  readonly kdks: readonly string[];
  readonly document: DocumentJson;
}

const vectors = new URL("../vectors/wraps-and-keyring-v1.json", import.meta.url);

export const { keyring: keyringVector }: { keyring: KeyringVector } = JSON.parse(
  readFileSync(vectors, "utf8"),
);

/** As keyfold writes it. */
export const vectorText = `${JSON.stringify(keyringVector.document, null, 2)}\n`;

/** The key of the vector's keyring, for its project or for another. */
export function vectorKey(project: string = keyringVector.document.project): KeyringKey {
  return importKeyringKey(unhex(keyringVector.keyringKey), encodeName("project", project));
}

/** The vector's document with a change to it, as text. */
export function changed(change: (document: DocumentJson) => void): string {
  const document = structuredClone(keyringVector.document);
  change(document);
  return JSON.stringify(document);
}
