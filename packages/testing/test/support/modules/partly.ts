/** Loads its "SDK" with the first call, and another of its packages when it is imported. */

import "selfsigned";

export async function load(): Promise<void> {
  await import("fast-check");
}
