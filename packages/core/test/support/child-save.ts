/**
 * A process that changes the keyring file of its argument, and is killed (SIGKILL) as soon as its save has reached a step.
 *
 *     node child-save.ts PATH STEP      killed at that step
 *     node child-save.ts PATH "" COUNT  not killed by itself; makes that many changes, and prints a line for each
 */

import type { LockStep } from "../../src/file-lock.ts";
import { fileKeyringStoreWith, type SaveStep } from "../../src/keyring-file.ts";
import { changeOnce } from "./keyring-changes.ts";

const [path = "", fatal = "", count = "1"] = process.argv.slice(2);

const store = fileKeyringStoreWith(path, {
  reached: async (step: SaveStep | LockStep) => {
    if (step === fatal) process.kill(process.pid, "SIGKILL");
  },
});
let conflicts = 0;
for (let done = 0; done < Number(count); done++) {
  conflicts += await changeOnce(store);
  process.stdout.write(`${conflicts} conflicts\n`);
}
