/** The AWS Encryption SDK's streams, raw AES keyring, unsigned committing suite, at several frame sizes. */

import { createReadStream, createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { client, rawAesKeyring, UNSIGNED } from "../contenders/aws.ts";
import type { BulkContender } from "./contender.ts";
import { readableOf, writableTo } from "./streams.ts";

const encryptionContext = { name: "bulk" };

export function aws(frame: string, frameLength?: number): BulkContender {
  return {
    name: `AWS Encryption SDK, ${frame} frames`,
    package: "@aws-crypto/client-node",
    ways: ["whole", "stream", "file"],
    differs:
      "Raw AES keyring. Its files are neither fsynced nor renamed into place. Commits to its key; stores the context in clear.",
    start: async () => {
      const keyring = rawAesKeyring();
      const options = {
        suiteId: UNSIGNED,
        encryptionContext,
        ...(frameLength === undefined ? {} : { frameLength }),
      };
      const seal = () => client.encryptStream(keyring, options);
      const open = () => client.decryptUnsignedMessageStream(keyring);
      return {
        sealWhole: async (plaintext) => (await client.encrypt(keyring, plaintext, options)).result,
        openWhole: async (sealed) => (await client.decrypt(keyring, sealed)).plaintext,
        sealStream: (pieces, take) => pipeline(readableOf(pieces), seal(), writableTo(take)),
        openStream: (pieces, take) => pipeline(readableOf(pieces), open(), writableTo(take)),
        sealFile: (from, to) => pipeline(createReadStream(from), seal(), createWriteStream(to)),
        openFile: (from, to) => pipeline(createReadStream(from), open(), createWriteStream(to)),
      };
    },
  };
}
