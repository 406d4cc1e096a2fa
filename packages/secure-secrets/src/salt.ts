/** The salt of a KEK, which is stored next to what the KEK encrypts, and is no secret. */

import { isUint8Array } from "node:util/types";
import { type Bytes, copyOf, requireArgument } from "@keyfold/core/provider";

export const SALT_BYTES = 16;

/** A copy of a salt. @throws `ERR_INVALID_ARGUMENT` for anything but 16 bytes */
export function requireSalt(salt: unknown): Bytes {
  requireArgument(isUint8Array(salt) && salt.length === SALT_BYTES, "A salt is 16 bytes.");
  return copyOf(salt);
}

/**
 * A salt as it may have been stored: bytes, or text in base64 or base64url, with or without padding, or in hex. The
 * lengths tell them apart: 22 or 24 characters, or 32.
 *
 * @throws `ERR_INVALID_ARGUMENT`
 */
export function saltOf(stored: string | Uint8Array): Bytes {
  if (typeof stored !== "string") return requireSalt(stored);
  const encoding = /^[0-9a-f]{32}$/i.test(stored) ? "hex" : "base64";
  requireArgument(
    encoding === "hex" || /^[A-Za-z0-9+/_-]{21}[AQgw](==)?$/.test(stored),
    "A salt in text is 16 bytes in base64, base64url or hex.",
  );
  return copyOf(Buffer.from(stored, encoding));
}
