/** The master key in a key file. */

import { resolve } from "node:path";
import type { MasterKeyProvider } from "@keyfold/core";
import { requireArgument, requireOptions } from "@keyfold/core/provider";
import { requirePath } from "./checks.ts";
import { readKeyFile } from "./key-file-read.ts";
import { localProvider } from "./local-provider.ts";

export interface LocalKeyFileOptions {
  /**
   * Whether the file may be readable by its group (mode 0640 or 0440), as a Kubernetes volume with an `fsGroup` makes
   * it. False by default: then only the owner may have access. Nothing beyond reading is ever allowed to the group, and
   * nothing at all to others.
   */
  readonly allowGroupRead?: boolean;
}

/**
 * The master keys of a key file, which {@link createLocalKeyFile} makes and {@link rotateLocalKeyFile} rotates: the
 * first wraps, every one unwraps. A wrap is 61 bytes: 01 ‖ nonce 12 ‖ AES-256-GCM 48 (NIST SP 800-38D), with the KMS
 * context as additional authenticated data.
 *
 * Nothing is read until a key is needed. Then the file is read whole, synchronously, and again, at most once a second,
 * when a `local:` URI is met that is not in it. Each good read replaces all keys. While the latest read has failed, keys
 * of an earlier one stay in use, every other `local:` URI is recognised, and to unwrap under it fails with
 * `ERR_KEY_FILE`. Wrapping reads as often as it is called while there is no key yet.
 *
 * Key bytes are held as `KeyObject`s alone. `close` lets go of them.
 *
 * | code | when |
 * | --- | --- |
 * | `ERR_KEY_FILE` | the file is missing, no regular file, over 1 MiB, malformed, or open to others; the message says how to mend it |
 * | `ERR_MASTER_KEY_REJECTED` | the wrap is another key's, is bound to another context, or was altered |
 * | `ERR_INVALID_ARGUMENT` | the key to be wrapped is not 32 bytes |
 * | `ERR_ABORTED`, `ERR_CLOSED` | as in `MasterKeyProvider` |
 *
 * @param path relative to the working directory at the time of this call; symbolic links are followed at each read
 * @throws `ERR_INVALID_ARGUMENT` for an argument of another kind, and for an option that does not exist
 */
export function localKeyFile(path: string, options: LocalKeyFileOptions = {}): MasterKeyProvider {
  requirePath(path);
  requireOptions(options, ["allowGroupRead"], "localKeyFile");
  const { allowGroupRead = false } = options;
  requireArgument(typeof allowGroupRead === "boolean", "allowGroupRead must be true or false.");
  const absolute = resolve(path);
  return localProvider(`file:${path}`, () => readKeyFile(absolute, allowGroupRead).entries);
}
