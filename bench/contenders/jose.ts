/** jose: a JWE in compact form, A256KW around a fresh key, A256GCM around the secret. */

import { CompactEncrypt, compactDecrypt } from "jose";
import type { Contender } from "../contender.ts";

export const jose: Contender = {
  name: "jose, A256KW and A256GCM",
  package: "jose",
  modes: ["async"],
  takes: "bytes",
  differs: "A key of its own for every secret; no commitment, no context. Gives text.",
  start: async () => {
    const algorithm = { name: "AES-KW", length: 256 };
    const key = await crypto.subtle.generateKey(algorithm, false, ["wrapKey", "unwrapKey"]);
    const header = { alg: "A256KW", enc: "A256GCM" };
    const options = { keyManagementAlgorithms: ["A256KW"], contentEncryptionAlgorithms: ["A256GCM"] };
    return {
      seal: (plaintext) =>
        new CompactEncrypt(plaintext as Uint8Array).setProtectedHeader(header).encrypt(key),
      open: async (sealed) => (await compactDecrypt(sealed as string, key, options)).plaintext,
      stored: (sealed) => (sealed as string).length,
    };
  },
};
