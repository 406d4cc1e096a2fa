import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

/** The files of core: each imports only from those above it. */
const layers = [
  "bytes",
  "errors",
  "context",
  "master-key",
  "envelope",
  "strict-json",
  "keyring-document",
  "keyring-store",
  "random",
  "hkdf",
  "message-kdf",
  "cobblestone",
  "key-hierarchy",
  "keyring-key",
  "sealing",
  "pieces",
  "clock",
  "flights",
  "budget",
  "hedge",
  "retries",
  "lazy",
  "sieve",
  "freshness",
  "option-checks",
  "telemetry",
  "provider-calls",
  "callers",
  "wrapping",
  "unwrapping",
  "live-kdk",
  "keyring-reads",
  "keyring-keys",
  "keyring",
  "options",
  "key-cache",
  "operations",
  "streams",
  "ranges",
  "input",
  "in-order",
  "batch-keys",
  "many",
  "field-paths",
  "field-values",
  "field-types",
  "record-deks",
  "fields",
  "keyfold",
  "uri",
  "provider",
  "file-system",
  "file-lock",
  "keyring-file",
  "files",
  "node",
  "index",
];

/** Those that a browser can load. */
const anywhere = layers.slice(0, layers.indexOf("keyring-store") + 1);

const core = new URL("../", import.meta.url);
const sources = readdirSync(new URL("src/", core), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => path.replaceAll("\\", "/").replace(/\.ts$/, ""));
const importsOf = (name: string) => importsIn(readFileSync(new URL(`src/${name}.ts`, core), "utf8"));

describe("the files of core", () => {
  test("are those of the list", () => {
    const unlisted = sources.filter((name) => !layers.includes(name));
    expect(unlisted, "Add the file to `layers` in layers.test.ts, below all that it imports.").toEqual([]);
    const missing = layers.filter((name) => !sources.includes(name));
    expect(missing, "Take the file off `layers` in layers.test.ts: src has none of that name.").toEqual([]);
  });

  test.each(sources)("%s imports only from those above it", (name) => {
    const above = layers.slice(0, Math.max(0, layers.indexOf(name))).map((layer) => `./${layer}.ts`);
    const own = importsOf(name).filter((specifier) => specifier.startsWith("."));
    expect(own.filter((specifier) => !above.includes(specifier))).toEqual([]);
  });

  test.each(anywhere)("%s imports nothing from node: nor from any package", (name) => {
    expect(importsOf(name).filter((specifier) => !specifier.startsWith("./"))).toEqual([]);
  });

  test.each(sources)("%s imports no package", (name) => {
    expect(importsOf(name).filter((specifier) => !/^(\.|node:)/.test(specifier))).toEqual([]);
  });

  test("have no dependency to import, and no peer that must be there", () => {
    const manifest = JSON.parse(readFileSync(new URL("package.json", core), "utf8"));
    expect(Object.keys(manifest)).toContain("name");
    for (const field of ["dependencies", "optionalDependencies", "bundleDependencies"])
      expect(Object.keys(manifest)).not.toContain(field);
    const { peerDependencies, peerDependenciesMeta } = manifest;
    for (const peer of Object.keys(peerDependencies))
      expect(peerDependenciesMeta[peer]).toEqual({ optional: true });
  });
});

describe("the reading of imports", () => {
  test("finds every form of import, whatever it imports", () => {
    const source = `
      import { a } from "./a.ts";
      import type { B } from "./b.ts";
      import {
        type C,
        c,
      } from "./c.ts";
      import * as d from 'node:d';
      import "./e.ts";
      export { f } from "./f.ts";
      export * from "./g.ts";
      const h = await import("./h.ts");
      type I = import("./i.ts").I;
      import j, { k } from "package/j";
      const l = import(\`./l.ts\`);`;
    expect(importsIn(source)).toEqual([
      "./a.ts",
      "./b.ts",
      "./c.ts",
      "node:d",
      "./e.ts",
      "./f.ts",
      "./g.ts",
      "./h.ts",
      "./i.ts",
      "package/j",
      "./l.ts",
    ]);
  });

  test("passes over what a comment shows", () => {
    const source = `
      /** Used as \`import { a } from "./a.ts"\`. */
      // import { b } from "./b.ts";
      import { c } from "./c.ts"; // as import("./d.ts") would`;
    expect(importsIn(source)).toEqual(["./c.ts"]);
  });

  test("finds what keyfold is known to import", () => {
    expect(importsOf("context")).toEqual(["./bytes.ts", "./errors.ts"]);
  });
});

/** The specifiers of all static and dynamic imports and re-exports, in their order. */
function importsIn(source: string): string[] {
  const code = source.replace(/\/\*.*?\*\/|(?<=^|\s)\/\/[^\n]*/gs, "");
  const fromModule = /\b(?:import|export)\b[\w\s{},*$]*?\bfrom\s*["']([^"']+)["']/;
  const forItsEffect = /\bimport\s*["']([^"']+)["']/;
  const dynamic = /\bimport\s*\(\s*["'`]([^"'`]+)["'`]/;
  const any = new RegExp([fromModule, forItsEffect, dynamic].map(({ source }) => source).join("|"), "g");
  return [...code.matchAll(any)].map(([, from, effect, call]) => from ?? effect ?? call ?? "");
}
