/** age-encryption, to one X25519 recipient. */

import { createReadStream, createWriteStream } from "node:fs";
import { Readable, Writable } from "node:stream";
import { agePair } from "../contenders/age.ts";
import type { BulkContender } from "./contender.ts";
import { drain, webReadableOf } from "./streams.ts";

export const age: BulkContender = {
  name: "age-encryption",
  package: "age-encryption",
  ways: ["whole", "stream", "file"],
  differs:
    "ChaCha20-Poly1305 in JavaScript; binds no context. Its files are neither fsynced nor renamed into place.",
  start: async () => {
    const { encrypter, decrypter } = await agePair();
    const source = (path: string) =>
      Readable.toWeb(createReadStream(path)) as ReadableStream<Uint8Array<ArrayBuffer>>;
    const target = (path: string) => Writable.toWeb(createWriteStream(path)) as WritableStream<Uint8Array>;
    return {
      sealWhole: (plaintext) => encrypter.encrypt(plaintext),
      openWhole: (sealed) => decrypter.decrypt(sealed),
      sealStream: async (pieces, take) => drain(await encrypter.encrypt(webReadableOf(pieces)), take),
      openStream: async (pieces, take) => drain(await decrypter.decrypt(webReadableOf(pieces)), take),
      sealFile: async (from, to) => (await encrypter.encrypt(source(from))).pipeTo(target(to)),
      openFile: async (from, to) => (await decrypter.decrypt(source(from))).pipeTo(target(to)),
    };
  },
};
