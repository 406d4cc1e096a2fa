/** What nobody can be faster than: keyfold's construction with nothing around it, and one AEAD call. */

import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from "node:crypto";
import { Bare } from "../bare.ts";
import type { Contender, Sealer } from "../contender.ts";
import { masterKey } from "../master-key.ts";

const PROJECT = "bench";
const ALGORITHM = "aes-256-gcm";
const FLOOR = "The same bytes with no check, no wiping, one project and one KDK: the floor.";
/** Drawn at a time. */
const NONCES = 4_096;

export const bare: Contender = {
  name: "bare construction",
  modes: ["sync"],
  takes: "bytes",
  differs: FLOOR,
  start: () => bareWith(Buffer.allocUnsafeSlow),
};

export const barePooled: Contender = {
  name: "bare construction, pooled envelopes",
  modes: ["sync"],
  takes: "bytes",
  differs: `${FLOOR} Its envelopes lie side by side in one ArrayBuffer, where keyfold's have memory of their own.`,
  start: () => bareWith(Buffer.allocUnsafe),
};

async function bareWith(allocate: (bytes: number) => Buffer): Promise<Sealer> {
  const kdk = randomBytes(32);
  const context = { "keyfold:project": PROJECT, "keyfold:purpose": "kdk" };
  const signal = new AbortController().signal;
  const wraps = [await masterKey().wrapKey(kdk, { context, signal })];
  const floor = new Bare({ kdk, project: PROJECT, wraps, allocate });
  return {
    seal: (plaintext, context) => floor.seal(plaintext as Uint8Array, context),
    open: (sealed, context) => floor.open(sealed as Buffer, context),
    stored: (sealed) => (sealed as Buffer).length,
  };
}

const LESS =
  "No key of its own for a secret, no commitment, no context, no envelope; three buffers are left apart.";

export const aead: Contender = {
  name: "one AEAD call",
  modes: ["sync"],
  takes: "bytes",
  differs: `createCipheriv with an existing key. ${LESS}`,
  start: async () => aeadWith(() => randomBytes(12)),
};

export const aeadPooled: Contender = {
  name: "one AEAD call, pooled nonce",
  modes: ["sync"],
  takes: "bytes",
  differs: `The same with its nonces drawn many at a time. ${LESS}`,
  start: async () => {
    let pool = randomBytes(NONCES * 12);
    let used = 0;
    return aeadWith(() => {
      if (used === NONCES) {
        pool = randomBytes(NONCES * 12);
        used = 0;
      }
      return pool.subarray(12 * used, 12 * ++used);
    });
  },
};

interface Sealed {
  readonly nonce: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly tag: Uint8Array;
}

function aeadWith(drawNonce: () => Uint8Array): Sealer {
  const key = createSecretKey(randomBytes(32));
  return {
    seal: (plaintext): Sealed => {
      const nonce = drawNonce();
      const cipher = createCipheriv(ALGORITHM, key, nonce);
      const ciphertext = cipher.update(plaintext as Uint8Array);
      cipher.final();
      return { nonce, ciphertext, tag: cipher.getAuthTag() };
    },
    open: (sealed) => {
      const { nonce, ciphertext, tag } = sealed as Sealed;
      const decipher = createDecipheriv(ALGORITHM, key, nonce);
      decipher.setAuthTag(tag);
      const plaintext = decipher.update(ciphertext);
      decipher.final();
      return plaintext;
    },
    stored: (sealed) => (sealed as Sealed).ciphertext.length + 28,
  };
}
