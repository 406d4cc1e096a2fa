/** What a user gets: the packed tarballs, and a project that has nothing but them. */

import { spawnSync } from "node:child_process";
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly exports: Record<string, string | Record<string, string>>;
  readonly dependencies?: Record<string, string> | undefined;
  readonly peerDependencies?: Record<string, string> | undefined;
  readonly optionalDependencies?: Record<string, string> | undefined;
}

const root = fileURLToPath(new URL("..", import.meta.url));
const packages = globSync("packages/*/package.json", { cwd: root })
  .map((path) => readManifest(join(root, path)))
  .filter((manifest) => manifest.private !== true);

let consumer: string;

beforeAll(() => {
  consumer = mkdtempSync(join(tmpdir(), "keyfold-consumer-"));
  pack(consumer);
  for (const manifest of packages) unpack(manifest);
});

afterAll(() => rmSync(consumer, { recursive: true, force: true }));

test("the packages are found", () => {
  expect(packages.map(({ name }) => name)).toEqual(
    expect.arrayContaining(["@keyfold/core", "@keyfold/local"]),
  );
});

describe.each(packages)("the tarball of $name", ({ name }) => {
  test("holds its sources, what the compiler makes of them, and nothing else", () => {
    const sources = filesOf(name).filter((file) => file.startsWith("src/"));
    const built = sources.flatMap((source) => {
      const stem = source.replace(/^src(.*)\.ts$/, "dist$1");
      return [".js", ".js.map", ".d.ts", ".d.ts.map"].map((ending) => stem + ending);
    });
    const expected = ["LICENSE", "README.md", "package.json", ...built, ...sources];
    expect(filesOf(name), "is dist out of date? Delete it, and build").toEqual(expected.sort());
  });

  test("has source maps that lead to its sources, and to no other place", () => {
    const astray = filesOf(name)
      .filter((file) => file.endsWith(".map"))
      .flatMap((map) => sourcesOf(name, map).filter((source) => !filesOf(name).includes(source)));
    expect(astray).toEqual([]);
  });

  test("names in exports only what is in it", () => {
    const targets = Object.values(readManifest(installed(name, "package.json")).exports).flatMap((target) =>
      typeof target === "string" ? [target] : Object.values(target),
    );
    expect(targets).toContain("./dist/index.d.ts");
    expect(targets.filter((target) => !existsSync(installed(name, target)))).toEqual([]);
  });

  test("has versions in place of the workspace's protocols", () => {
    expect(readFileSync(installed(name, "package.json"), "utf8")).not.toMatch(/workspace:|catalog:/);
  });
});

describe("dependencies", () => {
  test("core has none", () => {
    expect(dependenciesOf("@keyfold/core")).toEqual({});
  });

  test("local has core, as a peer", () => {
    const { version } = readManifest(installed("@keyfold/core", "package.json"));
    expect(dependenciesOf("@keyfold/local")).toEqual({
      peerDependencies: { "@keyfold/core": `^${version}` },
    });
  });
});

describe("a project with the two packages alone", () => {
  const roundTrip = `
    await createLocalKeyFile("FILE");
    const keyfold = createKeyfold({ project: "shop", masterKeys: localKeyFile("FILE") });
    const sealed = await keyfold.sealText("a secret", { name: "token" });
    console.log(await keyfold.openText(sealed, { name: "token" }));
    await keyfold.close();
  `;

  test("imports them", () => {
    const program = `
      import { createKeyfold } from "@keyfold/core";
      import { createLocalKeyFile, localKeyFile } from "@keyfold/local";
      ${roundTrip.replaceAll("FILE", "import.key")}
    `;
    expect(runProgram("import.mjs", program)).toEqual({ status: 0, output: "a secret\n" });
  });

  test("requires them", () => {
    const program = `
      const { createKeyfold } = require("@keyfold/core");
      const { createLocalKeyFile, localKeyFile } = require("@keyfold/local");
      (async () => { ${roundTrip.replaceAll("FILE", "require.key")} })();
    `;
    expect(runProgram("require.cjs", program)).toEqual({ status: 0, output: "a secret\n" });
  });

  // An expected error that does not come is an error too: so the types are there, and are not any.
  const useOfCore = `
    import { createKeyfold, KeyfoldError, type KeyfoldErrorCode, type MasterKeyProvider } from "@keyfold/core";

    export async function use(masterKeys: MasterKeyProvider): Promise<KeyfoldErrorCode | undefined> {
      const keyfold = createKeyfold({ project: "shop", masterKeys });
      const sealed: Uint8Array<ArrayBuffer> = await keyfold.seal("a secret", { name: "token" });
      // @ts-expect-error The context is required.
      await keyfold.seal("a secret");
      // @ts-expect-error Bytes in, bytes out.
      const text: string = await keyfold.rewrap(sealed);
      const outcome: unknown = await keyfold.openText(text, {}).catch((error: unknown) => error);
      return outcome instanceof KeyfoldError ? outcome.code : undefined;
    }
  `;
  const useOfBoth = `
    import type { MasterKeyProvider } from "@keyfold/core";
    import { createLocalKeyFile, localKeyFile } from "@keyfold/local";
    import { use } from "./use-of-core.js";

    const uri: string = await createLocalKeyFile("master.key");
    const provider: MasterKeyProvider = localKeyFile("master.key");
    // @ts-expect-error It takes a path.
    localKeyFile();
    console.log(uri, await use(provider));
  `;

  test("type-checks core without Node's types", () => {
    const lib = ["es2023", "esnext.disposable", "dom"];
    expect(typeCheck({ "use-of-core.ts": useOfCore }, { lib, types: [] })).toEqual({ status: 0, output: "" });
  });

  test("type-checks both with Node's types, and no other library than the language's", () => {
    const scope = join(consumer, "node_modules/@types");
    mkdirSync(scope, { recursive: true });
    symlinkSync(realpathSync(join(root, "node_modules/@types/node")), join(scope, "node"), "junction");
    const files = { "use-of-core.ts": useOfCore, "use-of-both.ts": useOfBoth };
    expect(typeCheck(files, { lib: ["es2022"], types: ["node"] })).toEqual({ status: 0, output: "" });
  });

  function runProgram(file: string, program: string): Outcome {
    writeFileSync(join(consumer, file), program);
    return run(process.execPath, [file], consumer);
  }

  function typeCheck(sources: Record<string, string>, options: { lib: string[]; types: string[] }): Outcome {
    const compilerOptions = {
      ...options,
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      target: "es2022",
      module: "nodenext",
      moduleResolution: "nodenext",
      skipLibCheck: false,
    };
    const files = Object.keys(sources);
    writeFileSync(join(consumer, "package.json"), JSON.stringify({ type: "module" }));
    writeFileSync(join(consumer, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
    for (const [file, source] of Object.entries(sources)) writeFileSync(join(consumer, file), source);
    return run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "."], consumer);
  }
});

interface Outcome {
  readonly status: number | null;
  readonly output: string;
}

function run(command: string, args: readonly string[], cwd: string): Outcome {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    timeout: 30_000,
  });
  return { status, output: `${stdout}${stderr}${error?.message ?? ""}` };
}

function mustRun(command: string, args: readonly string[], cwd: string): void {
  const { status, output } = run(command, args, cwd);
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with status ${status}:\n${output}`);
}

/** The pnpm that the scripts of the workspace name. */
function pack(destination: string): void {
  const pnpm = /pnpm@[\d.]+/.exec(readFileSync(join(root, "package.json"), "utf8"))?.[0];
  const packing = ["--recursive", "--filter", "./packages/*", "pack", "--pack-destination", destination];
  mustRun("npx", ["--yes", pnpm ?? "pnpm", ...packing], root);
}

/** To where an installation would put it. */
function unpack({ name, version }: Manifest): void {
  const tarball = join(consumer, `${name.replace("@", "").replace("/", "-")}-${version}.tgz`);
  const folder = installed(name);
  mkdirSync(folder, { recursive: true });
  mustRun("tar", ["-xzf", tarball, "-C", folder, "--strip-components=1"], consumer);
}

function installed(name: string, path = ""): string {
  return join(consumer, "node_modules", name, path);
}

function readManifest(path: string): Manifest {
  return JSON.parse(readFileSync(path, "utf8"));
}

function dependenciesOf(name: string): Partial<Manifest> {
  const { dependencies, peerDependencies, optionalDependencies } = readManifest(
    installed(name, "package.json"),
  );
  return { dependencies, peerDependencies, optionalDependencies };
}

function filesOf(name: string): string[] {
  return readdirSync(installed(name), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(installed(name), join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
    .sort();
}

/** The files that a source map names, as paths in the package. */
function sourcesOf(name: string, map: string): string[] {
  const { sources }: { sources: string[] } = JSON.parse(readFileSync(installed(name, map), "utf8"));
  return sources.map((source) => join(dirname(map), source).replaceAll("\\", "/"));
}
