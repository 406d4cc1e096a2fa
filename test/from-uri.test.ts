/** `masterKeysFromUri` where it has to find a provider: installed by npm, installed by pnpm, and in a bundle. */

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startFakeAwsKms } from "@keyfold/testing";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mustRun, type Outcome, pack, packages, pnpm, root, run, tarballOf } from "./support/tarballs.ts";

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
  const env = { KEYFOLD_TEST_BUNDLE_KEY: Buffer.alloc(32, 3).toString("base64") };
  const local = `, { providers: { env: () => import("@keyfold/local") } }`;
  const aws = `, { providers: { "aws-kms": () => import("@keyfold/aws-kms") } }`;

  test("a provider that is passed in is bundled, and works with no package installed", async () => {
    const inputs = await bundle(local);
    expect(inputs.filter((input) => /node_modules|aws-kms|gcp-kms|azure-keyvault/.test(input))).toEqual([]);
    expect(outcomeOf("env:KEYFOLD_TEST_BUNDLE_KEY", env)).toEqual({ status: 0, output: "a secret\n" });
  });

  test("a cloud's provider is bundled with its SDK, and finds the service by the SDK's environment", async () => {
    await using kms = await startFakeAwsKms();
    await bundle(aws);
    const { accessKeyId, secretAccessKey } = kms.credentials;
    const { status, output } = await eventually(`aws-kms://${kms.keyArn}`, {
      AWS_ENDPOINT_URL_KMS: kms.endpoint,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    });
    expect({ status, output }).toEqual({ status: 0, output: "a secret\n" });
    expect(kms.requests.map(({ operation }) => operation)).toEqual(["Encrypt"]);
  });

  test("an SDK that was left out of the bundle is said to be missing", async () => {
    await bundle(aws, ["@aws-sdk/client-kms"]);
    const { status, output } = outcomeOf("aws-kms://alias/shop?region=eu-central-1");
    expect(status).toBe(0);
    expect(output).toMatch(/^ERR_PROVIDER_NOT_INSTALLED .*@aws-sdk\/client-kms is not installed/);
  });

  test("a provider that is not passed in is said to be missing, and how to pass it", async () => {
    await bundle("");
    const { status, output } = outcomeOf("env:KEYFOLD_TEST_BUNDLE_KEY", env);
    expect(status).toBe(0);
    expect(output).toMatch(/^ERR_PROVIDER_NOT_INSTALLED .*pass it in providers/);
  });

  /** Bundles the program, and gives the names of the files that are in it. */
  async function bundle(options: string, external: string[] = []): Promise<string[]> {
    const { metafile, warnings } = await build({
      stdin: { contents: program(options), resolveDir: join(root, "test"), loader: "js" },
      bundle: true,
      external,
      platform: "node",
      format: "esm",
      // What the AWS SDK's CommonJS parts ask for.
      banner: {
        js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
      },
      outfile: join(directory, "bundle", "main.mjs"),
      logLevel: "silent",
      metafile: true,
    });
    expect(warnings).toEqual([]);
    return Object.keys(metafile.inputs);
  }

  function outcomeOf(uri: string, env: Record<string, string> = {}) {
    return run(process.execPath, ["main.mjs", uri], join(directory, "bundle"), env);
  }

  /** The same without blocking this process, in which the service runs. */
  function eventually(uri: string, env: Record<string, string>): Promise<Outcome> {
    const options = { cwd: join(directory, "bundle"), env: { ...process.env, ...env }, timeout: 60_000 };
    return new Promise((resolve) => {
      execFile(process.execPath, ["main.mjs", uri], options, (error, stdout, stderr) =>
        resolve({ status: error === null ? 0 : Number(error.code), output: `${stdout}${stderr}` }),
      );
    });
  }
});
