/** How often master keys are called, at a scale at which every call too many would show. */

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import type { Bytes, Keyfold } from "../src/index.ts";
import { keyfoldWith } from "./support/behaviour.ts";
import { type ChildReport, contextOf, type Handover, secretOf, writeHandover } from "./support/child-file.ts";
import { MemoryKms } from "./support/memory-kms.ts";

const SECRETS = 100_000;
const CALLERS = 100;

describe(`${SECRETS} seals with ${SECRETS} different contexts from ${CALLERS} concurrent callers`, () => {
  test.each([
    ["one master key", ["memory:one"]],
    ["two master keys", ["memory:one", "memory:two"]],
  ])(
    "make one wrapKey for each master key, and a second process opens them all with one unwrapKey: %s",
    async (_, uris) => {
      const masterKeys = uris.map((uri) => new MemoryKms(uri));
      const keyfold = keyfoldWith({ masterKeys });

      const envelopes = await sealFromManyCallers(keyfold);

      expect(masterKeys.map(({ wraps, unwraps }) => ({ wraps, unwraps }))).toEqual(
        uris.map(() => ({ wraps: 1, unwraps: 0 })),
      );
      expect(keyfold.stats()).toMatchObject({
        seals: SECRETS,
        wrapCalls: uris.length,
        unwrapCalls: 0,
        kdks: 1,
      });
      expect(new Set(envelopes.map((envelope) => keyfold.inspect(envelope).kdkId)).size).toBe(1);

      const shared = masterKeys.map(({ uri, key }) => ({ uri, key: key.toString("hex") }));
      const report = await openInSecondProcess({ masterKeys: shared, envelopes });

      expect(report).toEqual({ opened: SECRETS, wraps: 0, unwraps: 1 });
    },
  );
});

/** Every caller seals its share, one secret after the other; all of them begin while no key is in memory. */
async function sealFromManyCallers(keyfold: Keyfold): Promise<readonly Bytes[]> {
  const envelopes: Bytes[] = [];
  const numbers = Array.from({ length: SECRETS }, (_, number) => number).values();
  const caller = async () => {
    for (const number of numbers) envelopes[number] = await keyfold.seal(secretOf(number), contextOf(number));
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return envelopes;
}

async function openInSecondProcess(handover: Handover): Promise<ChildReport> {
  const folder = mkdtempSync(join(tmpdir(), "keyfold-calls-"));
  try {
    const file = join(folder, "handover");
    writeHandover(file, handover);
    const child = fileURLToPath(new URL("./support/child-open.ts", import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [child, file]);
    return JSON.parse(stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
