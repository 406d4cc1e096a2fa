/** Local master keys by URI, for `masterKeysFromUri` of core. */

import type { MasterKeyProvider } from "@keyfold/core";
import { parseMasterKeyUri, percentDecoded, requireArgument } from "@keyfold/core/provider";
import { envKey } from "./env-key.ts";
import { localKeyFile } from "./file-key.ts";

/**
 * The provider that a URI stands for: `file:` and the percent-encoded path of a key file, as for {@link localKeyFile}, or
 * `env:` and the name of a variable, as for {@link envKey}. A path is relative to the working directory unless it begins
 * with `/`; `file:///path` is `/path`, and a host is refused. Neither has query parameters.
 *
 * @throws `ERR_INVALID_ARGUMENT` for a URI of another form
 */
export function masterKeyFromUri(uri: string): MasterKeyProvider {
  if (typeof uri === "string" && uri.startsWith("env:")) {
    return envKey(parseMasterKeyUri(uri, "env:", []).location);
  }
  return localKeyFile(pathOf(parseMasterKeyUri(uri, "file:", []).location));
}

/** RFC 8089 allows an authority before the path; only the empty one says what it is on every machine. */
function pathOf(location: string): string {
  requireArgument(
    !/^\/\/(?!\/)/.test(location),
    'A file: URI names no host: write "file:relative/path", "file:/absolute/path" or "file:///absolute/path".',
  );
  return percentDecoded(location.replace(/^\/\/\//, "/"));
}
