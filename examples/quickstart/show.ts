/** How the example prints. `styleText` leaves plain text where stdout is no terminal or NO_COLOR is set. */

import { styleText } from "node:util";
import type { Keyfold } from "@keyfold/core";

export function heading(text: string): void {
  console.log(`\n${styleText("bold", text)}`);
}

export function line(text: string): void {
  console.log(`  ${text}`);
}

export function field(name: string, value: string): void {
  line(`${name.padEnd(24)}${styleText("dim", value)}`);
}

export function success(text: string): void {
  line(`${styleText("green", "✓")} ${text}`);
}

export function failure(text: string): void {
  line(`${styleText("red", "✗")} ${text}`);
}

/** What this process has asked of the master key so far. */
export function masterKeyCalls(keyfold: Keyfold): void {
  const { wrapCalls, unwrapCalls } = keyfold.stats();
  line(`calls to the master key: ${count(wrapCalls, "wrap")}, ${count(unwrapCalls, "unwrap")}`);
}

export function count(n: number, noun: string): string {
  return `${n.toLocaleString("en-US")} ${noun}${n === 1 ? "" : "s"}`;
}

/** "kf1.S0YB…gQ7xM2kw": all envelopes of a process begin alike, and end each in its own way. */
export function abridged(envelope: string): string {
  return `${envelope.slice(0, 8)}…${envelope.slice(-8)}`;
}
