/** keyfold, with its key in memory. */

import { pipeline } from "node:stream/promises";
import { createKeyfold } from "@keyfold/core";
import { openFile, sealFile } from "@keyfold/core/node";
import { masterKey } from "../master-key.ts";
import type { BulkContender } from "./contender.ts";
import { readableOf, writableTo } from "./streams.ts";

const context = { name: "bulk" };

export const keyfold: BulkContender = {
  name: "keyfold",
  package: "@keyfold/core",
  ways: ["whole", "stream", "file"],
  differs: "",
  start: async () => {
    const keyfold = createKeyfold({ project: "bench", masterKeys: masterKey() });
    await keyfold.ready();
    return {
      sealWhole: (plaintext) => keyfold.sealSync(plaintext, context),
      openWhole: (sealed) => keyfold.openSync(sealed, context),
      sealStream: (pieces, take) =>
        pipeline(readableOf(pieces), keyfold.sealStream(context), writableTo(take)),
      openStream: (pieces, take) =>
        pipeline(readableOf(pieces), keyfold.openStream(context), writableTo(take)),
      sealFile: (from, to) => sealFile(keyfold, from, to, context),
      openFile: (from, to) => openFile(keyfold, from, to, context),
    };
  },
};
