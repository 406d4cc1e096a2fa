/** The provider over local keys, wherever they are read from: a key file or an environment variable. */

import { encodeContext, KeyfoldError, type MasterKeyProvider } from "@keyfold/core";
import { rejected, requireKey, requireNotAborted, requireOpen } from "@keyfold/core/provider";
import { keyFileError } from "./checks.ts";
import { type LocalKey, unwrapLocal, wrapLocal } from "./wrap.ts";

/** Reads the keys, at least one, of which the first wraps; throws `ERR_KEY_FILE`. */
export type ReadKeys = () => readonly LocalKey[];

/** Milliseconds from any clock that never goes back. */
export type Clock = () => number;

/** Unknown URIs come from envelopes, which anybody may have made: this is all the reading that they can cause. */
const REREAD_AFTER_MS = 1_000;

/** @param now is a parameter for the tests alone */
export function localProvider(
  name: string,
  read: ReadKeys,
  now: Clock = () => performance.now(),
): MasterKeyProvider {
  let keys: KeyStore | undefined = new KeyStore(read, now);
  return {
    name,
    authenticatesWraps: true,
    // Once closed every local URI is recognised, so that the answer is ERR_CLOSED and not "no such key".
    recognizes: (masterKey) => (keys === undefined ? isLocal(masterKey) : keys.mayHold(masterKey)),
    async wrapKey(key, { context, signal }) {
      requireKey(key);
      const open = requireOpen(keys, name);
      requireNotAborted(signal);
      const first = open.first();
      return { masterKey: first.masterKey, ciphertext: wrapLocal(first.key, key, encodeContext(context)) };
    },
    async unwrapKey({ masterKey, ciphertext }, { context, signal }) {
      const open = requireOpen(keys, name);
      requireNotAborted(signal);
      const found = open.find(masterKey);
      if (found === undefined) throw rejected(`The master key ${name} does not hold ${masterKey}.`);
      return unwrapLocal(found.key, ciphertext, encodeContext(context));
    },
    async close() {
      keys = undefined;
    },
  };
}

function isLocal(masterKey: string): boolean {
  return typeof masterKey === "string" && masterKey.startsWith("local:");
}

/** The keys as they were last read, and when they may be read again. */
class KeyStore {
  readonly #read: ReadKeys;
  readonly #now: Clock;
  #keys: ReadonlyMap<string, LocalKey> = new Map();
  /** Why the latest read failed. Keys of an earlier one stay in use; whether the source holds others is not known then. */
  #failure: KeyfoldError | undefined;
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(read: ReadKeys, now: Clock) {
    this.#read = read;
    this.#now = now;
  }

  /** The key that wraps. While there is none, every call reads: callers come seldom, and the mend may have been made. */
  first(): LocalKey {
    if (this.#keys.size === 0) this.#refresh();
    const [first] = this.#keys.values();
    if (first === undefined) throw this.#failure;
    return first;
  }

  /** The key of that URI, or undefined where there is none; throws where a failed read leaves that open. */
  find(masterKey: string): LocalKey | undefined {
    const found = this.#lookUp(masterKey);
    if (found === undefined && this.#failure !== undefined && isLocal(masterKey)) throw this.#failure;
    return found;
  }

  mayHold(masterKey: string): boolean {
    return isLocal(masterKey) && (this.#lookUp(masterKey) !== undefined || this.#failure !== undefined);
  }

  #lookUp(masterKey: string): LocalKey | undefined {
    const known = this.#keys.get(masterKey);
    if (known !== undefined || !isLocal(masterKey)) return known;
    if (this.#now() - this.#readAt >= REREAD_AFTER_MS) this.#refresh();
    return this.#keys.get(masterKey);
  }

  #refresh(): void {
    this.#readAt = this.#now();
    try {
      this.#keys = new Map(this.#read().map((key) => [key.masterKey, key]));
      this.#failure = undefined;
    } catch (error) {
      this.#failure =
        error instanceof KeyfoldError ? error : keyFileError("Reading the keys failed: see cause.", error);
    }
  }
}
