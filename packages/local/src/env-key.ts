/** The master key in an environment variable. */

import type { MasterKeyProvider } from "@keyfold/core";
import { KEY_BYTES, requireArgument } from "@keyfold/core/provider";
import { keyFileError } from "./checks.ts";
import { decodeKey, everySpelling } from "./key-text.ts";
import { localProvider } from "./local-provider.ts";
import { type LocalKey, localKey } from "./wrap.ts";

/** As shells and Kubernetes allow it. */
const NAME = /^[A-Za-z_][A-Za-z0-9_.-]*$/;

/**
 * The master key in an environment variable: 32 bytes in base64 or base64url, padded or not, or in hex, with nothing
 * around them. Its wraps are those of a key file with the same key.
 *
 * Nothing is read until the key is needed; then the variable is, and again, at most once a second, when a `local:` URI is
 * met that is not the key's. The rules and codes are those of {@link localKeyFile}: `ERR_KEY_FILE` says here that the
 * variable is missing or malformed, and never shows its value.
 *
 * The variable cannot be wiped, and child processes inherit it: a key file shows the key to fewer.
 *
 * @param name the variable's name, not the key
 * @throws `ERR_INVALID_ARGUMENT` for what is no name
 */
export function envKey(name: string): MasterKeyProvider {
  requireArgument(
    typeof name === "string" && NAME.test(name) && !isKey(name),
    "envKey takes the name of an environment variable: letters, digits, underscores, dots and hyphens, no digit first, and nothing that is 32 bytes in hex or base64url.",
  );
  return localProvider(`env:${name}`, () => [readVariable(name)]);
}

/** A key that is passed by mistake for a name: errors and logs would show it. A name in one case, however long, is none. */
function isKey(name: string): boolean {
  const isHex = /^[0-9a-f]{64}$/i.test(name);
  const isMixed = /[a-z]/.test(name) && /[A-Z]/.test(name);
  return (isHex || isMixed) && decodeKey(name, everySpelling)?.fill(0) !== undefined;
}

function readVariable(name: string): LocalKey {
  const text = process.env[name];
  const make = `Set it to ${KEY_BYTES} random bytes, as \`openssl rand -base64 ${KEY_BYTES}\` prints them.`;
  if (text === undefined || text === "") {
    throw keyFileError(`The environment variable ${name} is not set. ${make}`);
  }
  const bytes = decodeKey(text, everySpelling);
  if (bytes === undefined) {
    throw keyFileError(
      `The environment variable ${name} is not ${KEY_BYTES} bytes in base64, base64url or hex, with no space or line break. ${make}`,
    );
  }
  return localKey(bytes);
}
