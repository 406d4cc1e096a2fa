/** libsodium's secretstream by sodium-native: a loop over pieces, into memory that is used again. */

import sodium from "sodium-native";
import { type BulkContender, PIECE_BYTES, type Pieces, type Take } from "./contender.ts";

const TAG_BYTES = sodium.crypto_secretstream_xchacha20poly1305_ABYTES;
const HEADER_BYTES = sodium.crypto_secretstream_xchacha20poly1305_HEADERBYTES;
const MESSAGE = sodium.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
const FINAL = sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL;
const NOTHING = new Uint8Array(0);

const key = Buffer.alloc(sodium.crypto_secretstream_xchacha20poly1305_KEYBYTES);
sodium.crypto_secretstream_xchacha20poly1305_keygen(key);
const state = Buffer.alloc(sodium.crypto_secretstream_xchacha20poly1305_STATEBYTES);
const header = Buffer.alloc(HEADER_BYTES);
const room = Buffer.alloc(PIECE_BYTES + TAG_BYTES);
const tag = Buffer.alloc(1);

export const secretstream: BulkContender = {
  name: "sodium-native secretstream",
  package: "sodium-native",
  ways: ["stream"],
  differs:
    "XChaCha20-Poly1305 in a loop, no stream, 64 KiB a message; wraps no key, commits to none, binds no context.",
  start: async () => ({ sealStream, openStream }),
};

function sealStream(pieces: Pieces, take: Take): void {
  sodium.crypto_secretstream_xchacha20poly1305_init_push(state, header, key);
  take(header);
  for (const piece of pieces) push(piece, MESSAGE, take);
  push(NOTHING, FINAL, take);
}

function push(piece: Uint8Array, kind: number, take: Take): void {
  const sealed = room.subarray(0, piece.length + TAG_BYTES);
  sodium.crypto_secretstream_xchacha20poly1305_push(state, sealed, piece, null, kind);
  take(sealed);
}

/** Takes the header and then messages, as {@link sealStream} gave them. */
function openStream(pieces: Pieces, take: Take): void {
  let started = false;
  for (const piece of pieces) {
    if (!started) {
      sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, piece, key);
      started = true;
      continue;
    }
    const plaintext = room.subarray(0, piece.length - TAG_BYTES);
    sodium.crypto_secretstream_xchacha20poly1305_pull(state, plaintext, tag, piece, null);
    take(plaintext);
  }
  if (tag[0] !== FINAL) throw new Error("The stream was cut.");
}
