/** How much memory a process has, and had at most. */

import { readFileSync, writeFileSync } from "node:fs";

/** Resident bytes now, after what is garbage was collected. */
export function settledMemory(): number {
  for (let i = 0; i < 3; i++) globalThis.gc?.();
  return process.memoryUsage.rss();
}

/**
 * From now on {@link peakMemory} counts anew.
 *
 * @returns whether the system can do that: Linux can
 */
export function resetPeak(): boolean {
  if (process.platform !== "linux") return false;
  writeFileSync("/proc/self/clear_refs", "5");
  return true;
}

/** The most resident bytes since the process began, or since {@link resetPeak}. */
export function peakMemory(): number {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS * 1_024;
  const kibibytes = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return Number(kibibytes) * 1_024;
}
