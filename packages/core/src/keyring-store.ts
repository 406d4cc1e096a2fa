/** Where a keyring is kept, and the two stores that need no file system. docs/keyring-stores.md shows how to write others. */

import { KeyfoldError, requireArgument } from "./errors.ts";

/** A keyring as it was found in its store. */
export interface StoredKeyring {
  /** The text that was saved, unchanged. */
  readonly text: string;
  /** What names this state of the store: opaque, compared with `===`. */
  readonly version: string;
}

/**
 * A place for one keyring: a file, a row, an object. It needs no secrecy, as every key in the text is encrypted, and its
 * writers are not trusted: the text proves itself. What it must have is a compare-and-swap, so that of two changes at the same time
 * none is lost. `testKeyringStore` of `@keyfold/testing` proves that it does.
 *
 * Its methods reject, and never throw synchronously. Whatever they fail with beside the codes below reaches the caller of the
 * keyring as the cause of `ERR_KEYRING_UNAVAILABLE`, unless it is a `KeyfoldError`.
 */
export interface KeyringStore {
  /** What is there: a whole text that was once saved, or undefined where nothing ever was. Never a cached copy. */
  load(): Promise<StoredKeyring | undefined>;

  /**
   * Puts `text` in the place of what is there, if that still is `expected`. Atomic: at any moment, also after a crash, `load`
   * gives the old text or the new one.
   *
   * @param text up to 3 MiB
   * @param expected the version that `load` or `save` gave; undefined says that nothing is there yet
   * @returns the new version; no text that differs from it ever had the same
   * @throws `ERR_KEYRING_CONFLICT` where the present version is another one, or nothing is there; `ERR_KEYRING_READ_ONLY`
   */
  save(text: string, expected: string | undefined): Promise<string>;

  /**
   * Calls `changed` soon after somebody has saved, be it this process or another. It may call without need, and may miss a
   * change: a keyring also loads from time to time. Neither throws nor keeps the process alive.
   *
   * @returns ends the watch; twice is fine
   */
  watch?(changed: () => void): () => void;
}

/** A keyring in this process's memory alone, for tests. */
export function memoryKeyringStore(): KeyringStore {
  let present: StoredKeyring | undefined;
  let saves = 0;
  const watchers = new Set<{ changed(): void }>();
  return {
    load: async () => present,
    async save(text, expected) {
      if (present?.version !== expected) throw conflict();
      saves++;
      present = { text, version: String(saves) };
      for (const { changed } of watchers) queueMicrotask(changed);
      return present.version;
    },
    watch(changed) {
      const watcher = { changed };
      watchers.add(watcher);
      return () => void watchers.delete(watcher);
    },
  };
}

/**
 * A keyring that comes with the program: its text in an environment variable or in a file that is deployed. It is only read:
 * `save` rejects with `ERR_KEYRING_READ_ONLY`.
 *
 * @param text the JSON of a keyring, as a file store keeps it; it is checked when the keyring is opened
 * @throws `ERR_INVALID_ARGUMENT` where there is no text, so that a variable which is not set is noticed at once
 */
export function staticKeyring(text: string | undefined): KeyringStore {
  requireArgument(
    text === undefined || typeof text === "string",
    "staticKeyring takes the text of a keyring.",
  );
  if (text === undefined || text.trim() === "") {
    throw new KeyfoldError("ERR_INVALID_ARGUMENT", "staticKeyring was given no text.", {
      remedy:
        "Set the environment variable, or read the file, that should hold the keyring, and pass what is in it: JSON.",
    });
  }
  const stored: StoredKeyring = { text, version: "static" };
  return {
    load: async () => stored,
    save: () => Promise.reject(new KeyfoldError("ERR_KEYRING_READ_ONLY")),
  };
}

function conflict(): KeyfoldError {
  return new KeyfoldError("ERR_KEYRING_CONFLICT");
}
