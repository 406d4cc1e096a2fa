/** Loads its "SDK" when it is imported. */

import "fast-check";

export async function load(): Promise<void> {}
