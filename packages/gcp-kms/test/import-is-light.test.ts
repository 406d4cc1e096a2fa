/** Importing the package loads nothing of Google's, and nobody needs Google's types to use its own. */

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { KeyManagementServiceClient } from "@google-cloud/kms";
import type { MasterKeyProvider } from "@keyfold/core";
import { expect, test } from "vitest";
import { gcpKms } from "../src/index.ts";
import { keyName } from "./support/scripted-client.ts";

const packageFolder = fileURLToPath(new URL("..", import.meta.url));

test("importing loads no module of the SDK; load() does", () => {
  const program = `
    import { createRequire, registerHooks } from "node:module";
    const loaded = [];
    registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
    const report = (when) => {
      const files = [...loaded, ...Object.keys(createRequire(import.meta.url).cache)];
      const of = (name) => files.some((file) => file.replaceAll("\\\\", "/").includes("/node_modules/" + name + "/"));
      console.log(when, of("@google-cloud/kms"), of("google-gax"), files.some((file) => file.includes("gcp-kms")));
    };
    const { gcpKms } = await import("@keyfold/gcp-kms");
    const provider = gcpKms({ keyName: "${keyName}" });
    report("import");
    await provider.load();
    report("load");
  `;
  const args = ["--input-type=module", "-e", program];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: packageFolder, encoding: "utf8" });
  expect(stderr).toBe("");
  expect(stdout).toBe("import false false true\nload true true true\n");
});

test("the declarations name no package but keyfold's", () => {
  const folder = join(packageFolder, "dist");
  const declarations = readdirSync(folder).filter((file) => file.endsWith(".d.ts"));
  expect(declarations).toContain("client.d.ts");
  const named = declarations.flatMap((file) =>
    [...readFileSync(join(folder, file), "utf8").matchAll(/(?:from|import\() *"([^".][^"]*)"/g)].map(
      ([, name]) => name,
    ),
  );
  expect([...new Set(named)].sort()).toEqual(["@keyfold/core", "@keyfold/core/provider"]);
});

test("the SDK's own client is one that gcpKms takes", () => {
  const make = (client: KeyManagementServiceClient): MasterKeyProvider => gcpKms({ keyName, client });
  // @ts-expect-error A promise of a client is none.
  const wrong = (client: Promise<KeyManagementServiceClient>) => gcpKms({ keyName, client });
  expect([make, wrong]).toHaveLength(2);
});
