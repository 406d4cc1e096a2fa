/** A process of its own: opens the envelopes of the file that it is given, and prints what that took as JSON. */

import { createKeyfold } from "../../src/index.ts";
import { type ChildReport, contextOf, readHandover, secretOf } from "./child-file.ts";
import { MemoryKms } from "./memory-kms.ts";

const { masterKeys, envelopes } = readHandover(process.argv[2] ?? "");
const kmses = masterKeys.map(({ uri, key }) => new MemoryKms(uri, { key: Buffer.from(key, "hex") }));
await using keyfold = createKeyfold({ project: "test", masterKeys: kmses });
let opened = 0;
for (const [number, envelope] of envelopes.entries()) {
  const secret = await keyfold.openText(envelope, contextOf(number));
  if (secret === secretOf(number)) opened++;
}
const report: ChildReport = {
  opened,
  wraps: kmses.reduce((sum, { wraps }) => sum + wraps, 0),
  unwraps: kmses.reduce((sum, { unwraps }) => sum + unwraps, 0),
};
console.log(JSON.stringify(report));
