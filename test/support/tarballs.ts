/** The packages as a registry would have them, and programs that are run with them. */

import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root: string = fileURLToPath(new URL("../..", import.meta.url));

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly exports: Record<string, string | Record<string, string>>;
  readonly dependencies?: Record<string, string> | undefined;
  readonly peerDependencies?: Record<string, string> | undefined;
  readonly peerDependenciesMeta?: Record<string, { readonly optional?: boolean }> | undefined;
  readonly optionalDependencies?: Record<string, string> | undefined;
}

export function readManifest(path: string): Manifest {
  return JSON.parse(readFileSync(path, "utf8"));
}

/** Those that are published. */
export const packages: readonly Manifest[] = globSync("packages/*/package.json", { cwd: root })
  .map((path) => readManifest(join(root, path)))
  .filter((manifest) => manifest.private !== true);

/** The pnpm that the scripts of the workspace name. */
export const pnpm: string =
  /pnpm@[\d.]+/.exec(readFileSync(join(root, "package.json"), "utf8"))?.[0] ?? "pnpm";

/** Packs every package into the folder `destination`. */
export function pack(destination: string): void {
  const packing = ["--recursive", "--filter", "./packages/*", "pack", "--pack-destination", destination];
  mustRun("npx", ["--yes", pnpm, ...packing], root);
}

/** The name of the file that {@link pack} makes. */
export function tarballOf({ name, version }: Manifest): string {
  return `${name.replace("@", "").replace("/", "-")}-${version}.tgz`;
}

export interface Outcome {
  readonly status: number | null;
  readonly output: string;
}

export function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Outcome {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    encoding: "utf8",
    timeout: 120_000,
  });
  return { status, output: `${stdout}${stderr}${error?.message ?? ""}` };
}

export function mustRun(command: string, args: readonly string[], cwd: string): void {
  const { status, output } = run(command, args, cwd);
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with status ${status}:\n${output}`);
}
