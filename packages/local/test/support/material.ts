/** Keys, contexts and directories for the tests. */

import { createSecretKey, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EncryptionContext, KeyOperation } from "@keyfold/core";
import { onTestFinished } from "vitest";
import { formatKeyFile, type KeyFileEntry } from "../../src/key-file.ts";
import { localKey } from "../../src/wrap.ts";

/** 32 bytes, which base64 and base64url spell differently. */
export const masterBytes: readonly number[] = Array.from({ length: 32 }, (_, i) => (i * 7 + 0xfb) % 256);
export const secret: Uint8Array<ArrayBuffer> = Uint8Array.from({ length: 32 }, (_, i) => 0xc0 - i);
export const kmsContext: EncryptionContext = {
  "keyfold:project": "billing/prod",
  "keyfold:purpose": "kdk",
};

export function operation(
  context: EncryptionContext = kmsContext,
  signal: AbortSignal = new AbortController().signal,
): KeyOperation {
  return { context, signal };
}

/** A new directory, gone after the test. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "keyfold-local-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function secretKey(bytes: Uint8Array | readonly number[] = masterBytes): KeyObject {
  return createSecretKey(Uint8Array.from(bytes));
}

/** An entry whose key is 32 times that byte. */
export function entryOf(byte: number): KeyFileEntry {
  return { ...localKey(new Uint8Array(32).fill(byte)), created: "2026-01-31T12:00:00Z" };
}

export function keyFileOf(...bytes: readonly number[]): Uint8Array {
  return formatKeyFile(bytes.map(entryOf));
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function unhex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(text, "hex"));
}

/** An environment variable for one test. */
export function setVariable(name: string, value: string | undefined): void {
  const before = process.env[name];
  onTestFinished(() => write(name, before));
  write(name, value);
}

function write(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}
