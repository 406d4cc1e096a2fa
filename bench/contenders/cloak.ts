/** @47ng/cloak: AES-256-GCM under one key, as text. Its key is parsed once, as its own types offer. */

import {
  decryptString,
  decryptStringSync,
  encryptString,
  encryptStringSync,
  generateKey,
  parseKeySync,
} from "@47ng/cloak";
import type { Contender } from "../contender.ts";

export const cloak: Contender = {
  name: "cloak",
  package: "@47ng/cloak",
  modes: ["sync", "async"],
  takes: "text",
  differs: "One AEAD call under one key: wraps no key, commits to none, binds no context. Text in, text out.",
  start: async (mode) => {
    const key = parseKeySync(generateKey());
    const stored = (sealed: unknown) => (sealed as string).length;
    return mode === "sync"
      ? {
          seal: (plaintext) => encryptStringSync(plaintext as string, key),
          open: (sealed) => decryptStringSync(sealed as string, key),
          stored,
        }
      : {
          seal: (plaintext) => encryptString(plaintext as string, key),
          open: (sealed) => decryptString(sealed as string, key),
          stored,
        };
  },
};
