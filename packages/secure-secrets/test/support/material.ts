/** Keys, secrets and directories for the tests. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createKeyfold, type Keyfold } from "@keyfold/core";
import { type MemoryMasterKey, memoryMasterKey } from "@keyfold/testing";
import { onTestFinished } from "vitest";
import { createKeyManagement, type KeyManagement } from "../../src/key-management.ts";
import type { SecretRecord } from "../../src/migration.ts";

export const PROJECT = "shop";
export const MASTER_SECRET = "correct horse battery staple";
/** 32 bytes, which base64 and base64url spell differently. */
export const keyBytes: readonly number[] = Array.from({ length: 32 }, (_, i) => (i * 7 + 0xfb) % 256);
export const keyText: string = Buffer.from(keyBytes).toString("base64url").concat("=");

/** A new directory, gone after the test. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "keyfold-secure-secrets-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function keyManagement(): KeyManagement {
  return createKeyManagement({ project: PROJECT, masterSecret: MASTER_SECRET });
}

/** A keyfold and its master key. */
export function newKeyfold(): { readonly keyfold: Keyfold; readonly masterKey: MemoryMasterKey } {
  const masterKey = memoryMasterKey();
  const keyfold = createKeyfold({ project: PROJECT, masterKeys: masterKey });
  onTestFinished(() => keyfold.close());
  return { keyfold, masterKey };
}

/** Records of the secrets, all of them under one DEK and one salt. */
export async function recordsOf(
  secrets: readonly (string | Uint8Array)[],
  keys: KeyManagement = keyManagement(),
): Promise<(SecretRecord & { readonly id: number })[]> {
  const { encryptedDek, salt } = await keys.initialize();
  const { kek } = await keys.generateKek(salt);
  const dek = keys.decryptDek(encryptedDek, kek);
  return secrets.map((secret, id) => ({
    id,
    encryptedDek,
    salt,
    encryptedSecret: keys.encryptData(secret, dek),
    context: { id: String(id) },
  }));
}

/** The record as a line of the command's input. */
export function lineOf({ id, encryptedDek, salt, encryptedSecret }: SecretRecord & { id: number }): string {
  const base64 = typeof salt === "string" ? salt : Buffer.from(salt).toString("base64");
  return `${JSON.stringify({ id, encrypted_dek: encryptedDek, salt: base64, encrypted_secret: encryptedSecret })}\n`;
}

/** The one record of a secret. */
export async function recordOf(secret: string | Uint8Array): Promise<SecretRecord & { readonly id: number }> {
  const [record] = await recordsOf([secret]);
  if (record === undefined) throw new Error("There is no record.");
  return record;
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
