/** Loads its "SDK" with the first call, as a provider package should. */

export async function load(): Promise<void> {
  await import("fast-check");
}
