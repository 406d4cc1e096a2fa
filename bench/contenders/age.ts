/** age-encryption (typage), with an X25519 recipient. Its identity is a WebCrypto key: the faster of the forms it takes. */

import type { webcrypto } from "node:crypto";
import { Decrypter, Encrypter, identityToRecipient } from "age-encryption";
import type { Contender } from "../contender.ts";

/** Both ends, made once. */
export async function agePair(): Promise<{ encrypter: Encrypter; decrypter: Decrypter }> {
  const algorithm = { name: "X25519" };
  const identity = (await crypto.subtle.generateKey(algorithm, false, [
    "deriveBits",
  ])) as webcrypto.CryptoKeyPair;
  const encrypter = new Encrypter();
  encrypter.addRecipient(await identityToRecipient(identity.privateKey));
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity.privateKey);
  return { encrypter, decrypter };
}

export const age: Contender = {
  name: "age-encryption",
  package: "age-encryption",
  modes: ["async"],
  takes: "bytes",
  differs: "Public-key wrapping (X25519) and ChaCha20-Poly1305 in JavaScript; binds no context.",
  start: async () => {
    const { encrypter, decrypter } = await agePair();
    return {
      seal: (plaintext) => encrypter.encrypt(plaintext as Uint8Array),
      open: (sealed) => decrypter.decrypt(sealed as Uint8Array),
      stored: (sealed) => (sealed as Uint8Array).length,
    };
  },
};
