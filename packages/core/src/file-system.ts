/** What is done to files in more than one place. Node only. */

import type { Stats } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/** The mode of what others may not read. */
export const OWNER_ONLY = 0o600;
const PERMISSIONS = 0o7777;

/** The code of an error of the system, "ENOENT" for instance; undefined for any other error. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("syscall" in error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** Opens a file to read, and closes it whatever `work` does. */
export async function withFile<T>(path: string, work: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

/** Gives a new file the owner and the mode of another. The owner first: changing it takes bits of the mode away. */
export async function resemble(file: FileHandle, { uid, gid, mode }: Stats): Promise<void> {
  const own = await file.stat();
  if (own.uid !== uid || own.gid !== gid) await file.chown(uid, gid);
  await file.chmod(mode & PERMISSIONS);
}

/** Makes a rename last. Windows has nothing of the kind. */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform !== "win32") await withFile(path, (directory) => directory.sync());
}
