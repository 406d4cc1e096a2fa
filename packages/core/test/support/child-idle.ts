/** A process on the system's clock, whose refreshes are under way with a master key that never answers. It must end by itself. */

import { createKeyfold } from "../../src/keyfold.ts";
import { silence } from "./behaviour.ts";
import { MemoryKms } from "./memory-kms.ts";

const kms = new MemoryKms();
const options = { project: "test", masterKeys: kms, refreshAfter: 1, deadline: 60_000 };
const keyfold = createKeyfold(options);
const sealing = createKeyfold({ ...options, sealOnly: true });
const sealed = await keyfold.seal("secret", {});
await sealing.ready();
kms.before = silence;
while (kms.unwraps === 0 || kms.wraps < 3) {
  keyfold.openSync(sealed, {});
  sealing.sealSync("secret", {});
  await new Promise((resolve) => setImmediate(resolve));
}
process.stdout.write(`${kms.unwraps} unwrap and ${kms.wraps - 2} wrap under way`);
