/** Every way in which keyfold fails: one class, one code for each meaning, one table. */

/** What happened, one meaning each. `errorTable` explains them. */
export type KeyfoldErrorCode =
  | "ERR_NOT_AN_ENVELOPE"
  | "ERR_UNSUPPORTED_VERSION"
  | "ERR_MALFORMED_ENVELOPE"
  | "ERR_NO_USABLE_WRAP"
  | "ERR_UNAUTHENTICATED_WRAP"
  | "ERR_KEY_MISMATCH"
  | "ERR_HEADER_REJECTED"
  | "ERR_CONTEXT_MISMATCH"
  | "ERR_MESSAGE_ALTERED"
  | "ERR_MESSAGE_TRUNCATED"
  | "ERR_UNKNOWN_KEY"
  | "ERR_KEY_DESTROYED"
  | "ERR_MASTER_KEY_DENIED"
  | "ERR_MASTER_KEY_NOT_FOUND"
  | "ERR_MASTER_KEY_DISABLED"
  | "ERR_MASTER_KEY_THROTTLED"
  | "ERR_MASTER_KEY_UNAVAILABLE"
  | "ERR_MASTER_KEY_REJECTED"
  | "ERR_MASTER_KEY_BAD_REPLY"
  | "ERR_CREDENTIALS"
  | "ERR_UNWRAP_FAILED"
  | "ERR_INVALID_ARGUMENT"
  | "ERR_NOT_CONFIGURED"
  | "ERR_NOT_TEXT"
  | "ERR_ABORTED"
  | "ERR_NOT_READY"
  | "ERR_CLOSED"
  | "ERR_BUDGET"
  | "ERR_PROVIDER_NOT_INSTALLED"
  | "ERR_UNKNOWN_SCHEME"
  | "ERR_KEYRING_NOT_FOUND"
  | "ERR_KEYRING_UNAVAILABLE"
  | "ERR_KEYRING_INVALID"
  | "ERR_KEYRING_CONFLICT"
  | "ERR_KEYRING_ROLLBACK"
  | "ERR_KEYRING_FULL"
  | "ERR_KEYRING_READ_ONLY"
  | "ERR_KEY_FILE"
  | "ERR_FIELD"
  | "ERR_FERNET_INVALID"
  | "ERR_FERNET_EXPIRED"
  | "ERR_IO";

/** A row of the table: what the code says, what to do about it, and whether trying again can help. */
export interface ErrorEntry {
  readonly meaning: string;
  readonly remedy: string;
  /** Whether the very same call may succeed later with nothing changed. */
  readonly retryable: boolean;
}

/** Code → meaning → what to do → retryable. `docs/errors.md` is generated from it. */
export const errorTable: Readonly<Record<KeyfoldErrorCode, ErrorEntry>> = {
  ERR_NOT_AN_ENVELOPE: {
    meaning: "The input is not a keyfold envelope, neither as bytes nor as text.",
    remedy:
      'Pass what a seal returned, unchanged: bytes that begin with "KF", or text that begins with "kf1.".',
    retryable: false,
  },
  ERR_UNSUPPORTED_VERSION: {
    meaning: "The envelope has a version or a flag that this release does not know.",
    remedy: "Open it with a newer release of keyfold, or restore it from a copy: it may be damaged.",
    retryable: false,
  },
  ERR_MALFORMED_ENVELOPE: {
    meaning: "The envelope's header breaks the format: a length, a count or a URI is not what it may be.",
    remedy: "Restore the envelope from a copy: it was cut or damaged, or was never sealed by keyfold.",
    retryable: false,
  },
  ERR_NO_USABLE_WRAP: {
    meaning: "No configured master key can unwrap this envelope's key.",
    remedy: "Add the master key that it was sealed under to masterKeys or openWith.",
    retryable: false,
  },
  ERR_UNAUTHENTICATED_WRAP: {
    meaning:
      "The only wraps that fit are of a kind that anyone with a public key can make, so they prove nothing.",
    remedy:
      "Use a master key that authenticates its wraps, or a keyring, or set acceptUnauthenticatedWraps: true.",
    retryable: false,
  },
  ERR_KEY_MISMATCH: {
    meaning: "The unwrapped key is not the one that the envelope names.",
    remedy:
      "Check the project: the key's id depends on it. If it is right, the envelope was altered: restore it.",
    retryable: false,
  },
  ERR_HEADER_REJECTED: {
    meaning: "The data key does not open: the header was altered, or the scope is another one.",
    remedy: "Open it in the scope that it was sealed in. If that is right, restore the envelope from a copy.",
    retryable: false,
  },
  ERR_CONTEXT_MISMATCH: {
    meaning: "The commitment differs: the encryption context is another one, or the message was altered.",
    remedy: "Pass exactly the encryption context that was given when sealing.",
    retryable: false,
  },
  ERR_MESSAGE_ALTERED: {
    meaning: "A chunk of the message does not authenticate, so none of it is released.",
    remedy: "Restore the envelope from a copy.",
    retryable: false,
  },
  ERR_MESSAGE_TRUNCATED: {
    meaning: "The message ends before its last chunk does.",
    remedy: "Restore the envelope from a copy, and see whether the column or the transfer cuts long values.",
    retryable: false,
  },
  ERR_UNKNOWN_KEY: {
    meaning: "The envelope's key is not in the keyring.",
    remedy:
      'Open it with the keyring that it was sealed with; one whose own wraps open it needs embedded: "accept".',
    retryable: false,
  },
  ERR_KEY_DESTROYED: {
    meaning: "The envelope's key was destroyed, so what it sealed is gone for good.",
    remedy: "Nothing brings it back, unless an older copy of the keyring is kept and may be used.",
    retryable: false,
  },
  ERR_MASTER_KEY_DENIED: {
    meaning: "The service refused: these credentials lack a permission on the master key.",
    remedy: "Grant the permission. The provider's README lists the least that it needs.",
    retryable: false,
  },
  ERR_MASTER_KEY_NOT_FOUND: {
    meaning: "The service knows no such master key.",
    remedy: "Check the key's name, region, project or vault.",
    retryable: false,
  },
  ERR_MASTER_KEY_DISABLED: {
    meaning: "The master key is disabled, waits for its deletion, or is destroyed.",
    remedy: "Enable the key, or cancel its deletion, while that is still possible.",
    retryable: false,
  },
  ERR_MASTER_KEY_THROTTLED: {
    meaning: "The service is throttling requests.",
    remedy: "Try again later; if it persists, raise the quota.",
    retryable: true,
  },
  ERR_MASTER_KEY_UNAVAILABLE: {
    meaning: "The master key could not be reached, or did not answer before the deadline.",
    remedy: "Try again later; if it persists, check the network, the endpoint and the service's status.",
    retryable: true,
  },
  ERR_MASTER_KEY_REJECTED: {
    meaning: "The master key answered: this ciphertext, this KMS context or this key is not right.",
    remedy:
      "Check that project and kmsContext are those of the sealer. If they are, the envelope was altered.",
    retryable: false,
  },
  ERR_MASTER_KEY_BAD_REPLY: {
    meaning: "The answer fails a check: a length, a checksum, or the name of the key that answered.",
    remedy: "Look for a proxy that alters answers, and at the provider's error in cause.",
    retryable: false,
  },
  ERR_CREDENTIALS: {
    meaning: "There are no credentials for the master key's service, or they have expired.",
    remedy: "Supply or renew the credentials, in the way that the service's SDK expects.",
    retryable: false,
  },
  ERR_UNWRAP_FAILED: {
    meaning: "Several master keys were tried and none unwrapped the key.",
    remedy: "Read attempts: it names each that was tried, and why it failed.",
    retryable: false,
  },
  ERR_INVALID_ARGUMENT: {
    meaning: "An argument or an option is not of the kind that it must be.",
    remedy: "Correct the call.",
    retryable: false,
  },
  ERR_NOT_CONFIGURED: {
    meaning: "This keyfold was not made for the operation: it cannot seal, or cannot open.",
    remedy: "Give masterKeys in order to seal, and leave out sealOnly in order to open.",
    retryable: false,
  },
  ERR_NOT_TEXT: {
    meaning: "The plaintext is not UTF-8, so it cannot be returned as a string.",
    remedy: "Use open, which returns bytes.",
    retryable: false,
  },
  ERR_ABORTED: {
    meaning: "The caller's AbortSignal ended the operation.",
    remedy: "Nothing is wrong: call again if the result is still wanted.",
    retryable: false,
  },
  ERR_NOT_READY: {
    meaning: "A synchronous call needs a key that is not in memory.",
    remedy: "Await ready() first, or ready(envelopes) for envelopes that others sealed.",
    retryable: true,
  },
  ERR_CLOSED: {
    meaning: "This object was closed.",
    remedy: "Make a new one.",
    retryable: false,
  },
  ERR_BUDGET: {
    meaning: "Too many keys that were never seen before were to be unwrapped in a short time.",
    remedy: "Try again later, or raise unwrapBudget if so many different sealers are to be expected.",
    retryable: true,
  },
  ERR_PROVIDER_NOT_INSTALLED: {
    meaning: "A package that this master key needs is not installed.",
    remedy: "Install the package that the message names, next to @keyfold/core.",
    retryable: false,
  },
  ERR_UNKNOWN_SCHEME: {
    meaning: "A master key's URI begins with a scheme that no provider is known for.",
    remedy:
      "Use aws-kms:, gcp-kms:, azure-keyvault:, file: or env:, or pass a provider for the scheme in providers.",
    retryable: false,
  },
  ERR_KEYRING_NOT_FOUND: {
    meaning: "There is no keyring in the store.",
    remedy: "Check the store's path or name. A new keyring is made with createKeyring, once.",
    retryable: false,
  },
  ERR_KEYRING_UNAVAILABLE: {
    meaning: "The keyring's store could not be read or written.",
    remedy: "Try again later; if it persists, see cause, and mend the store or the way to it.",
    retryable: true,
  },
  ERR_KEYRING_INVALID: {
    meaning: "The keyring breaks its format, or was altered.",
    remedy: "Restore the keyring from a copy, and see who can write to its store.",
    retryable: false,
  },
  ERR_KEYRING_CONFLICT: {
    meaning: "Another writer changed the keyring in the meantime, so nothing was saved.",
    remedy: "Load the keyring again and repeat the change.",
    retryable: true,
  },
  ERR_KEYRING_ROLLBACK: {
    meaning: "The store gives an older keyring than was seen before.",
    remedy: "See who put the old one back. If it was meant, restart the process.",
    retryable: false,
  },
  ERR_KEYRING_FULL: {
    meaning: "The keyring has no room for another key or master key.",
    remedy: "Take away what is no longer needed: forget destroyed keys, or remove a master key.",
    retryable: false,
  },
  ERR_KEYRING_READ_ONLY: {
    meaning: "This keyring cannot be changed from here.",
    remedy: "Change it where it is kept, in a file for instance, and deploy the new text.",
    retryable: false,
  },
  ERR_KEY_FILE: {
    meaning: "A key file or key variable is missing, can be read by others, or does not hold what it should.",
    remedy: "Mend it as the message says.",
    retryable: false,
  },
  ERR_FIELD: {
    meaning: "A field of a record is not there, or holds what is not sealed as a field, or was not.",
    remedy: "Correct the path or the value that the message names.",
    retryable: false,
  },
  ERR_FERNET_INVALID: {
    meaning: "The text is no Fernet token, or not one of this key.",
    remedy: "Check the key; of a KEK, master secret, project and salt. If they are right, restore a copy.",
    retryable: false,
  },
  ERR_FERNET_EXPIRED: {
    meaning: "The Fernet token is authentic, and older than its time to live.",
    remedy: "Use a newer token, or give a longer timeToLive.",
    retryable: false,
  },
  ERR_IO: {
    meaning: "The file system refused a read or a write.",
    remedy: "See cause, and mend the path, the permissions or the disk.",
    retryable: false,
  },
};

/** One master key that was asked to unwrap a key, and why it did not. */
export interface UnwrapAttempt {
  /** The provider's `name`. */
  readonly provider: string;
  /** The URI of the wrap that was tried. */
  readonly masterKey: string;
  readonly error: KeyfoldError;
}

export interface KeyfoldErrorOptions {
  /** The foreign error behind this one, kept as it came. */
  readonly cause?: unknown;
  /** Of a failed unwrap: everything that was tried. */
  readonly attempts?: readonly UnwrapAttempt[];
  /** Milliseconds after which the service asked to be called again (Retry-After). */
  readonly retryAfter?: number;
  /** What to do about this very case, instead of the table's general advice; "" where the detail says it. */
  readonly remedy?: string;
}

/**
 * The one class of error that keyfold throws. `code` says what happened and `message` also what to do; neither ever
 * holds a key, a plaintext or a context value.
 */
export class KeyfoldError extends Error {
  readonly code: KeyfoldErrorCode;
  /** Whether the very same call may succeed later: from the table; of several attempts, whether any says so. */
  readonly retryable: boolean;
  declare readonly attempts?: readonly UnwrapAttempt[];
  declare readonly retryAfter?: number;

  static {
    KeyfoldError.prototype.name = "KeyfoldError";
  }

  /** @param detail what happened, as a sentence; the table's meaning where it is left out. The remedy follows it. */
  constructor(code: KeyfoldErrorCode, detail?: string, options: KeyfoldErrorOptions = {}) {
    const { meaning, remedy, retryable } = errorTable[code];
    const message = `${detail ?? meaning} ${options.remedy ?? remedy}`.trimEnd();
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.retryable =
      code === "ERR_UNWRAP_FAILED"
        ? (options.attempts ?? []).some(({ error }) => error.retryable)
        : retryable;
    if (options.attempts !== undefined) this.attempts = options.attempts;
    if (options.retryAfter !== undefined) this.retryAfter = options.retryAfter;
  }
}

/** Throws `ERR_INVALID_ARGUMENT` with `detail` unless `condition` holds. */
export function requireArgument(condition: boolean, detail: string): asserts condition {
  if (!condition) throw new KeyfoldError("ERR_INVALID_ARGUMENT", detail);
}
