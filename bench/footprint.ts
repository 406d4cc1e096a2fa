/** What a package costs before it does anything: milliseconds to import, bytes on the disk. */

import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { summarize } from "./statistics.ts";

const run = promisify(execFile);
const folder = dirname(fileURLToPath(import.meta.url));

export interface Footprint {
  readonly package: string;
  readonly version: string;
  /** Milliseconds of its import in a new process, over the rounds. */
  readonly importMillis: readonly number[];
  /** Bytes of it and of all that it depends on, optional peers left out, and how many packages that is. */
  readonly installedBytes: number;
  readonly packages: number;
}

interface Manifest {
  readonly name?: string;
  readonly version?: string;
  readonly files?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** Packages as a program installs them; "+" joins those that are needed together. */
export const footprintPackages: readonly string[] = [
  "@keyfold/core",
  "@keyfold/aws-kms+@aws-sdk/client-kms",
  "@aws-crypto/client-node",
  "jose",
  "@47ng/cloak",
  "fernet-nodejs",
  "age-encryption",
  "sodium-native",
];

export async function measureFootprint(names: string, rounds: number): Promise<Footprint> {
  const importMillis: number[] = [];
  for (let round = 0; round < rounds; round++) importMillis.push(await importTime(names.split("+")));
  const seen = new Map<string, number>();
  for (const name of names.split("+")) addTree(packageFolder(name, folder), seen);
  const installedBytes = [...seen.values()].reduce((sum, bytes) => sum + bytes, 0);
  const { version = "" } = manifestOf(packageFolder(names.split("+")[0] ?? "", folder));
  return { package: names, version, importMillis, installedBytes, packages: seen.size };
}

export function importMedian({ importMillis }: Footprint): number {
  return summarize(importMillis).median;
}

async function importTime(names: readonly string[]): Promise<number> {
  const imports = names.map((name) => `await import(${JSON.stringify(name)});`).join("");
  const script = `const start = performance.now();${imports}process.stdout.write(String(performance.now() - start));process.exit()`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script], { cwd: folder });
  return Number(stdout);
}

/** Adds a package and what it depends on, each once. */
function addTree(root: string, seen: Map<string, number>): void {
  if (seen.has(root)) return;
  const manifest = manifestOf(root);
  seen.set(root, publishedBytes(root, manifest));
  for (const name of Object.keys(manifest.dependencies ?? {})) addTree(packageFolder(name, root), seen);
}

function manifestOf(root: string): Manifest {
  return JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
}

/** Where Node finds a package from a folder: in its node_modules, or in those of the folders above. */
function packageFolder(name: string, from: string): string {
  for (let at = realpathSync(from); ; at = dirname(at)) {
    const candidate = join(at, "node_modules", name);
    if (existsSync(join(candidate, "package.json"))) return realpathSync(candidate);
    if (at === dirname(at)) throw new Error(`${name} is not installed for ${from}.`);
  }
}

/** A package of this workspace counts as it is published: what "files" names. */
function publishedBytes(root: string, { files }: Manifest): number {
  if (root.includes("node_modules") || files === undefined) return bytesIn(root);
  return files
    .filter((file) => !file.startsWith("!"))
    .reduce((sum, file) => sum + bytesIn(join(root, file)), 0);
}

function bytesIn(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return 0;
  if (!found.isDirectory()) return found.size;
  const names = readdirSync(path).filter((name) => name !== "node_modules");
  return names.reduce((sum, name) => sum + bytesIn(join(path, name)), 0);
}
