/** CRC-32C, with which Cloud KMS has every value checked on its way there and back. */

import crc from "crc-32/crc32c.js";

/** The checksum of RFC 3720, appendix B.4 (Castagnoli's polynomial): 0 to 2^32 - 1. No protection but from accidents. */
export function crc32c(bytes: Uint8Array): number {
  return crc.buf(bytes) >>> 0;
}
