/** AES-256-GCM over chunks of 16 KiB and nothing else: what the primitive gives. */

import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from "node:crypto";
import { type BulkContender, PIECE_BYTES, type Pieces, type Take } from "./contender.ts";

const ALGORITHM = "aes-256-gcm";
const CHUNK = 16_384;
const TAG = 16;
const SEALED_CHUNK = CHUNK + TAG;
const LESS =
  "A tag for each chunk and a counter for a nonce; no key of its own, no commitment, no context, no end.";

const key = createSecretKey(randomBytes(32));
const nonce = Buffer.alloc(12);

export const rawWhole: BulkContender = {
  name: "AES-256-GCM, 16-KiB chunks, same allocation",
  ways: ["whole"],
  differs: LESS,
  start: async () => ({ sealWhole, openWhole }),
};

function sealWhole(plaintext: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(plaintext.length + TAG * Math.ceil(plaintext.length / CHUNK));
  for (let index = 0, at = 0; index * CHUNK < plaintext.length; index++, at += SEALED_CHUNK) {
    nonce.writeUInt32BE(index, 8);
    const cipher = createCipheriv(ALGORITHM, key, nonce);
    const chunk = cipher.update(plaintext.subarray(index * CHUNK, (index + 1) * CHUNK));
    cipher.final();
    sealed.set(chunk, at);
    sealed.set(cipher.getAuthTag(), at + chunk.length);
  }
  return sealed;
}

function openWhole(sealed: Uint8Array): Uint8Array {
  const plaintext = new Uint8Array(sealed.length - TAG * Math.ceil(sealed.length / SEALED_CHUNK));
  for (let index = 0, at = 0; at < sealed.length; index++, at += SEALED_CHUNK) {
    const end = Math.min(at + SEALED_CHUNK, sealed.length);
    nonce.writeUInt32BE(index, 8);
    const decipher = createDecipheriv(ALGORITHM, key, nonce);
    decipher.setAuthTag(sealed.subarray(end - TAG, end));
    plaintext.set(decipher.update(sealed.subarray(at, end - TAG)), index * CHUNK);
    decipher.final();
  }
  return plaintext;
}

export const rawWarm: BulkContender = {
  name: "AES-256-GCM, 16-KiB chunks, warm",
  ways: ["stream"],
  differs: `A loop over one piece of memory, no stream. ${LESS}`,
  start: async () => ({ sealStream, openStream }),
};

function sealStream(pieces: Pieces, take: Take): void {
  let index = 0;
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at += CHUNK) {
      nonce.writeUInt32BE(index++, 8);
      const cipher = createCipheriv(ALGORITHM, key, nonce);
      take(cipher.update(piece.subarray(at, at + CHUNK)));
      cipher.final();
      take(cipher.getAuthTag());
    }
  }
}

/** Takes chunks and tags in turn, as {@link sealStream} gave them. */
function openStream(pieces: Pieces, take: Take): void {
  let index = 0;
  let sealed: Uint8Array | undefined;
  for (const piece of pieces) {
    if (sealed === undefined) {
      sealed = piece;
      continue;
    }
    nonce.writeUInt32BE(index++, 8);
    const decipher = createDecipheriv(ALGORITHM, key, nonce);
    decipher.setAuthTag(piece);
    const plaintext = decipher.update(sealed);
    decipher.final();
    take(plaintext);
    sealed = undefined;
  }
}

/** The most that a piece holds is a whole number of chunks. */
if (PIECE_BYTES % CHUNK !== 0) throw new Error("A piece must be whole chunks.");
