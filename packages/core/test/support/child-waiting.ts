/** A process with nothing to do but wait for its unwrap budget. It must not end before it has what it waits for. */

import { createKeyfold } from "../../src/keyfold.ts";
import { MemoryKms } from "./memory-kms.ts";

const masterKeys = new MemoryKms();
const envelopes: Uint8Array[] = [];
for (let i = 0; i < 3; i++)
  envelopes.push(await createKeyfold({ project: "test", masterKeys }).seal("secret", {}));
const unwrapBudget = { burst: 1, perSecond: 50 };
await createKeyfold({ project: "test", masterKeys, unwrapBudget }).ready(envelopes);
process.stdout.write(`${masterKeys.unwraps} unwrapped`);
