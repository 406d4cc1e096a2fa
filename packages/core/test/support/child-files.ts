/**
 * A process that seals, opens or re-wraps a file, and is killed (SIGKILL) when it reaches a step for the given time.
 *
 *     node child-files.ts OPERATION STEP NTH FROM TO URI KEY [URI KEY …]
 */

import { type FileStep, openFileWith, rewrapFileWith, sealFileWith } from "../../src/files.ts";
import { createKeyfold } from "../../src/index.ts";
import { context } from "./behaviour.ts";
import { MemoryKms } from "./memory-kms.ts";

const [operation, fatal, nth, from = "", to = "", ...keys] = process.argv.slice(2);
const masterKeys: MemoryKms[] = [];
for (let i = 0; i < keys.length; i += 2)
  masterKeys.push(new MemoryKms(keys[i], { key: Buffer.from(keys[i + 1] ?? "", "hex") }));
const keyfold = createKeyfold({ project: "test", masterKeys });

let left = Number(nth);
const reached = (step: FileStep) => {
  if (step === fatal && --left === 0) process.kill(process.pid, "SIGKILL");
};
const operations: Readonly<Record<string, () => Promise<void>>> = {
  sealFile: () => sealFileWith(reached, keyfold, from, to, context),
  openFile: () => openFileWith(reached, keyfold, from, to, context),
  rewrapFile: () => rewrapFileWith(reached, keyfold, to),
};
await operations[operation ?? ""]?.();
console.log("It was not killed.");
