/** `masterKeysFromUri` where it has to find a provider: installed by npm, installed by pnpm, and in a bundle. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mustRun, pack, packages, pnpm, root, run, tarballOf } from "./support/tarballs.ts";

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "keyfold-from-uri-"));
  pack(directory);
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Seals and opens under the URI that it is given, and prints the outcome or the code of what went wrong. */
const program = (options: string) => `
  import { createKeyfold, masterKeysFromUri } from "@keyfold/core";
  const uri = process.argv[2];
  try {
    const masterKeys = await masterKeysFromUri(uri${options});
    const keyfold = createKeyfold({ project: "shop", masterKeys });
    console.log(await keyfold.openText(await keyfold.sealText("a secret", {}), {}));
    await keyfold.close();
  } catch (error) {
    console.log(error.code, error.message);
  }
`;

describe.each([
  ["npm", "npm", ["install", "--offline", "--no-audit", "--no-fund", "--legacy-peer-deps"]],
  [
    "pnpm",
    "npx",
    ["--yes", pnpm, "install", "--offline", "--ignore-workspace", "--config.auto-install-peers=false"],
  ],
] as const)("with core and one provider, installed by %s", (manager, command, args) => {
  let project: string;

  beforeAll(() => {
    project = join(directory, manager);
    mkdirSync(project);
    const dependencies = Object.fromEntries(
      packages
        .filter(({ name }) => name === "@keyfold/core" || name === "@keyfold/local")
        .map((manifest) => [manifest.name, `file:../${tarballOf(manifest)}`]),
    );
    writeFileSync(
      join(project, "package.json"),
      JSON.stringify({ name: "shop", type: "module", dependencies }),
    );
    mustRun(command, args, project);
    writeFileSync(join(project, "main.js"), program(""));
    mustRun(process.execPath, ["-e", makeKeyFile], project);
  });

  const makeKeyFile = `import("@keyfold/local").then((local) => local.createLocalKeyFile("master.key"))`;
  const outcomeOf = (uri: string) => run(process.execPath, ["main.js", uri], project);

  test("a URI of the provider that is there seals and opens", () => {
    expect(outcomeOf("file:master.key")).toEqual({ status: 0, output: "a secret\n" });
  });

  test.each([
    ["aws-kms://alias/shop?region=eu-central-1", "@keyfold/aws-kms"],
    ["gcp-kms://projects/p/locations/l/keyRings/r/cryptoKeys/k", "@keyfold/gcp-kms"],
    ["azure-keyvault://shop.vault.azure.net/keys/shop", "@keyfold/azure-keyvault"],
  ])("%s says which package to install", (uri, name) => {
    const { status, output } = outcomeOf(uri);
    expect(status).toBe(0);
    expect(output).toMatch(/^ERR_PROVIDER_NOT_INSTALLED /);
    expect(output).toContain(`npm install ${name}`);
  });
});

describe("in a bundle of esbuild", () => {
  const bundle = (options: string) =>
    build({
      stdin: { contents: program(options), resolveDir: join(root, "test"), loader: "js" },
      bundle: true,
      platform: "node",
      format: "esm",
      outfile: join(directory, "bundle", "main.mjs"),
      logLevel: "silent",
      metafile: true,
    });
  const outcomeOf = (uri: string) => run(process.execPath, ["main.mjs", uri], join(directory, "bundle"));

  test("a provider that is passed in is bundled, and works with no package installed", async () => {
    const { warnings } = await bundle(`, { providers: { env: () => import("@keyfold/local") } }`);
    expect(warnings).toEqual([]);
    process.env["KEYFOLD_TEST_BUNDLE_KEY"] = Buffer.alloc(32, 3).toString("base64");
    expect(outcomeOf("env:KEYFOLD_TEST_BUNDLE_KEY")).toEqual({ status: 0, output: "a secret\n" });
  });

  test("a cloud's provider that is passed in is bundled, without its SDK where that is external", async () => {
    const { metafile } = await bundle(`, { providers: { env: () => import("@keyfold/local") } }`);
    const inputs = Object.keys(metafile.inputs);
    expect(inputs.filter((input) => /node_modules|aws-kms|gcp-kms|azure-keyvault/.test(input))).toEqual([]);
  });

  test("one that is not passed in is said to be missing, and how to pass it", async () => {
    await bundle("");
    const { status, output } = outcomeOf("env:KEYFOLD_TEST_BUNDLE_KEY");
    expect(status).toBe(0);
    expect(output).toMatch(/^ERR_PROVIDER_NOT_INSTALLED .*pass it in providers/);
  });
});
