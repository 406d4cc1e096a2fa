/** Never loads an SDK. */

export async function load(): Promise<void> {
  throw new Error("No SDK here.");
}
