/** Whether a secret shows in what is printed, in whatever spelling. */

import { inspect } from "node:util";

/** Bytes of a secret that are looked for: enough that no accident has them. */
const SHOWN_BYTES = 6;

/** Everything that printers make of a value; hidden members too, if wanted. */
export function printed(value: unknown, showHidden: boolean): string {
  const all = { depth: Number.POSITIVE_INFINITY, maxArrayLength: null, maxStringLength: null };
  const texts = [
    inspect(value),
    inspect(value, { ...all, showHidden, showProxy: showHidden, getters: false }),
    json(value),
    String(value),
  ];
  if (value instanceof Error) texts.push(value.message, value.stack ?? "");
  const text = texts.join("\n");
  // Numbers are printed in rows, which are padded and broken.
  return `${text}\n${text.replaceAll(/\s+/g, " ")}`;
}

/** Those of the secrets that show in the text, as they were found. */
export function shownIn(text: string, secrets: readonly (string | Uint8Array)[]): string[] {
  return secrets.flatMap(spellings).filter((spelling) => text.includes(spelling));
}

function json(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "";
  } catch (error) {
    // A cycle or a BigInt: JSON shows nothing of it.
    if (error instanceof TypeError) return "";
    throw error;
  }
}

function spellings(secret: string | Uint8Array): string[] {
  if (typeof secret === "string") return [secret];
  const start = Buffer.from(secret.subarray(0, SHOWN_BYTES));
  const bytes = [...start];
  return [
    start.toString("latin1"),
    start.toString("hex"),
    start.toString("hex").toUpperCase(),
    start.toString("base64"),
    start.toString("base64url"),
    bytes.join(", "),
    bytes.join(","),
    bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" "),
  ];
}
