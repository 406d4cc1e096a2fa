/** What a user gets: the packed tarballs, and a project that has nothing but them. */

import {
  existsSync,
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
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Manifest,
  mustRun,
  type Outcome,
  pack,
  packages,
  readManifest,
  root,
  run,
  tarballOf,
} from "./support/tarballs.ts";

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
  test("core has none, and knows the providers as optional peers", () => {
    const { dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta } = readManifest(
      installed("@keyfold/core", "package.json"),
    );
    expect([dependencies, optionalDependencies]).toEqual([undefined, undefined]);
    const providers = packages.filter(({ name }) => !/core|testing|secure-secrets/.test(name));
    expect(peerDependencies).toEqual(
      Object.fromEntries(providers.map(({ name, version }) => [name, `^${version}`])),
    );
    expect(peerDependenciesMeta).toEqual(
      Object.fromEntries(providers.map(({ name }) => [name, { optional: true }])),
    );
  });

  test.each([
    ["@keyfold/aws-kms", ["@aws-sdk/client-kms"], []],
    ["@keyfold/gcp-kms", ["@google-cloud/kms"], ["crc-32"]],
    ["@keyfold/azure-keyvault", ["@azure/identity", "@azure/keyvault-keys"], []],
    ["@keyfold/testing", ["@google-cloud/kms"], ["selfsigned"]],
  ])("%s has core and %j as peers, and depends on %j", (name, peers, dependencies) => {
    const found = dependenciesOf(name);
    expect(Object.keys(found.peerDependencies ?? {}).sort()).toEqual([...peers, "@keyfold/core"].sort());
    expect(Object.keys(found.dependencies ?? {})).toEqual(dependencies);
  });

  test.each(["@keyfold/local", "@keyfold/secure-secrets"])("%s has core, as a peer", (name) => {
    const { version } = readManifest(installed("@keyfold/core", "package.json"));
    expect(dependenciesOf(name)).toEqual({
      peerDependencies: { "@keyfold/core": `^${version}` },
    });
  });
});

describe("a project with the providers and no SDK", () => {
  test.each([
    ["aws-kms://alias/shop?region=eu-central-1", "@aws-sdk/client-kms"],
    ["gcp-kms://projects/p/locations/l/keyRings/r/cryptoKeys/k", "@google-cloud/kms"],
    ["azure-keyvault://shop.vault.azure.net/keys/shop?algorithm=A256KW", "@azure/keyvault-keys"],
  ])("is told by %s to install %s", (uri, sdk) => {
    const crc = join(consumer, "node_modules/crc-32");
    if (!existsSync(crc)) {
      symlinkSync(realpathSync(join(root, "packages/gcp-kms/node_modules/crc-32")), crc, "junction");
    }
    const program = `
      import { createKeyfold, masterKeysFromUri } from "@keyfold/core";
      const keyfold = createKeyfold({ project: "shop", masterKeys: await masterKeysFromUri("${uri}") });
      await keyfold.seal("a secret", {}).catch((error) => console.log(error.code, error.message));
    `;
    writeFileSync(join(consumer, "no-sdk.mjs"), program);
    const { status, output } = run(process.execPath, ["no-sdk.mjs"], consumer);
    expect(status).toBe(0);
    expect(output).toContain(`ERR_PROVIDER_NOT_INSTALLED The package ${sdk} is not installed.`);
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

  test("type-checks both without Node's types", () => {
    const lib = ["es2023", "esnext.disposable", "dom"];
    const files = { "use-of-core.ts": useOfCore, "use-of-both.ts": useOfBoth };
    expect(typeCheck(files, { lib, types: [] })).toEqual({ status: 0, output: "" });
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

/** To where an installation would put it. */
function unpack(manifest: Manifest): void {
  const tarball = join(consumer, tarballOf(manifest));
  const folder = installed(manifest.name);
  mkdirSync(folder, { recursive: true });
  mustRun("tar", ["-xzf", tarball, "-C", folder, "--strip-components=1"], consumer);
}

function installed(name: string, path = ""): string {
  return join(consumer, "node_modules", name, path);
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
