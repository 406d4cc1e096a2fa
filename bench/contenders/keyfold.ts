/** keyfold, with keys in memory and a local master key behind them. */

import { createKeyfold, type Keyfold } from "@keyfold/core";
import type { Contender, Context, Mode, Sealer } from "../contender.ts";
import { masterKey } from "../master-key.ts";

const PACKAGE = "@keyfold/core";

export const keyfold: Contender = {
  name: "keyfold",
  package: PACKAGE,
  modes: ["sync", "async"],
  takes: "bytes",
  differs: "",
  start: async (mode) => bytesOf(await started(), mode),
};

export const keyfoldText: Contender = {
  name: "keyfold, text",
  package: PACKAGE,
  modes: ["sync", "async"],
  takes: "text",
  differs: "Text in, the text form out, as the peers that know nothing else.",
  start: async (mode) => textOf(await started(), mode),
};

async function started(): Promise<Keyfold> {
  const keyfold = createKeyfold({ project: "bench", masterKeys: masterKey() });
  await keyfold.ready();
  return keyfold;
}

function bytesOf(keyfold: Keyfold, mode: Mode): Sealer {
  const stored = (sealed: unknown) => (sealed as Uint8Array).length;
  return mode === "sync"
    ? {
        seal: (plaintext, context: Context) => keyfold.sealSync(plaintext, context),
        open: (sealed, context) => keyfold.openSync(sealed as Uint8Array, context),
        stored,
      }
    : {
        seal: (plaintext, context) => keyfold.seal(plaintext, context),
        open: (sealed, context) => keyfold.open(sealed as Uint8Array, context),
        stored,
      };
}

function textOf(keyfold: Keyfold, mode: Mode): Sealer {
  const stored = (sealed: unknown) => (sealed as string).length;
  return mode === "sync"
    ? {
        seal: (plaintext, context) => keyfold.sealTextSync(plaintext, context),
        open: (sealed, context) => keyfold.openTextSync(sealed as string, context),
        stored,
      }
    : {
        seal: (plaintext, context) => keyfold.sealText(plaintext, context),
        open: (sealed, context) => keyfold.openText(sealed as string, context),
        stored,
      };
}
