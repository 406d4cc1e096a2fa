/** fernet-nodejs: AES-128-CBC and HMAC-SHA-256 under one key, as text. */

import { Fernet } from "fernet-nodejs";
import type { Contender } from "../contender.ts";

export const fernet: Contender = {
  name: "fernet-nodejs",
  package: "fernet-nodejs",
  modes: ["sync"],
  takes: "text",
  differs: "AES-128-CBC with HMAC-SHA-256 under one key: wraps no key, binds no context. Text in, text out.",
  start: async () => {
    const fernet = new Fernet(Fernet.generateKey());
    return {
      seal: (plaintext) => fernet.encrypt(plaintext as string),
      open: (sealed) => fernet.decrypt(sealed as string),
      stored: (sealed) => (sealed as string).length,
    };
  },
};
