/** The vectors of RFC 3720, appendix B.4. The fake's own CRC-32C, another program, meets them as well. */

import { expect, test } from "vitest";
import { crc32c } from "../src/crc32c.ts";

const upwards = Uint8Array.from({ length: 32 }, (_, index) => index);
const readCommand = Buffer.from(
  "01c000000000000000000000000000001400000000000400000000140000001828000000000000000200000000000000",
  "hex",
);

test.each([
  ["32 bytes of zeroes", new Uint8Array(32), 0x8a9136aa],
  ["32 bytes of ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ["32 incrementing bytes", upwards, 0x46dd794e],
  ["32 decrementing bytes", upwards.toReversed(), 0x113fdb5c],
  ["an iSCSI SCSI Read (10) command", readCommand, 0xd9963a56],
  ["nothing", new Uint8Array(), 0],
])("%s", (_, bytes, expected) => {
  expect(crc32c(bytes)).toBe(expected);
});
