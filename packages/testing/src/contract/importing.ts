/** import-is-light. */

import assert from "node:assert/strict";
import * as nodeModule from "node:module";
import type { ContractCase } from "./case.ts";
import { moduleGraph } from "./module-graph.ts";

const RULE = "import-is-light";
/** The last `/node_modules/` of a path is the one that counts: pnpm nests them. */
const PACKAGE = /^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//;
const OWN = /^@keyfold\//;

export const importing: readonly ContractCase[] = [
  {
    id: RULE,
    title: "importing loads no SDK, and the first call does",
    skipped: ({ inapplicable }) =>
      inapplicable?.[RULE] ??
      (nodeModule.registerHooks === undefined ? "it needs Node 22.15, for module.registerHooks" : undefined),
    async run({ module }) {
      const graph = await moduleGraph(module);
      const own = [packageOf(module.url), ...(module.dependencies ?? [])];
      const light = foreign(graph.atImport, own);
      const loaded = foreign(graph.afterCall, own);
      for (const sdk of module.sdks) {
        assert.ok(!light.includes(sdk), `the import loads ${sdk}`);
        assert.ok(
          loaded.includes(sdk),
          `the first call does not load ${sdk} (it ended with: ${graph.outcome})`,
        );
      }
      // An SDK has many packages, of which the subject names one or two.
      assert.deepEqual(light, [], "the import loads packages beside keyfold's own");
      if (module.sdks.length > 0) return;
      assert.deepEqual(loaded, [], "the first call loads packages beside keyfold's own");
    },
  },
];

/** The packages from `node_modules` behind these URLs, but for keyfold's and the subject's own. */
function foreign(urls: readonly string[], own: readonly (string | undefined)[]): readonly string[] {
  const packages = new Set(urls.map(packageOf));
  return [...packages].filter(
    (name) => name !== undefined && !own.includes(name) && !OWN.test(name),
  ) as string[];
}

function packageOf(url: string): string | undefined {
  return PACKAGE.exec(url)?.[1];
}
