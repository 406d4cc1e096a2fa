/** The seam: what keyfold asks of a master key, and all that a provider has to be. Types only. */

import type { Bytes } from "./bytes.ts";
import type { EncryptionContext } from "./context.ts";

/**
 * A master key in a KMS, an HSM or a file, which wraps and unwraps 32-byte keys and never leaves its home.
 *
 * Keyfold calls a provider seldom: once when a process first seals, once for each wrapped key that it meets, and once
 * in a while to see whether the key may still be used. Keyfold does the rest: it draws the keys, caches them, merges
 * equal calls, retries, keeps the deadline, and checks what comes back. A provider is little but the SDK call and a
 * table from the SDK's errors to `KeyfoldError` codes. It has no retries of its own, and no method throws
 * synchronously.
 *
 * A provider fails with a `KeyfoldError` that keeps the SDK's error as `cause`:
 *
 * | code | when |
 * | --- | --- |
 * | `ERR_MASTER_KEY_DENIED` | the credentials are good but lack the permission |
 * | `ERR_MASTER_KEY_NOT_FOUND` | the service knows no such key |
 * | `ERR_MASTER_KEY_DISABLED` | disabled, waiting for deletion, or destroyed |
 * | `ERR_MASTER_KEY_REJECTED` | the service's answer: not this key, this context, or this ciphertext |
 * | `ERR_MASTER_KEY_BAD_REPLY` | the reply names another key, fails a checksum, or gives another length |
 * | `ERR_MASTER_KEY_THROTTLED` | too many requests; `retryAfter` where the service gave it. Keyfold retries |
 * | `ERR_MASTER_KEY_UNAVAILABLE` | no connection, a server error, a firewall. Keyfold retries |
 * | `ERR_CREDENTIALS` | none, or expired |
 * | `ERR_ABORTED` | `operation.signal` was aborted |
 * | `ERR_CLOSED` | it was closed |
 */
export interface MasterKeyProvider {
  /** What it was configured with, for people: it appears in logs and errors. Holds no secret. */
  readonly name: string;

  /**
   * Whether nobody without a permission at the service can make a wrap that this provider would unwrap. False for RSA:
   * whoever has the public key can make one. One with `true` refuses wraps of an unauthenticated scheme.
   */
  readonly authenticatesWraps: boolean;

  /**
   * Whether a wrap under this URI may be this provider's to unwrap. Called for every wrap of an envelope that has to be
   * unwrapped, before any call. Synchronous, makes no request, never throws. Exact where the configured name is exact;
   * where it is an alias, true for whatever the alias may stand for, and the service then refuses other keys.
   *
   * @param masterKey from an envelope, so anybody's choice: 1 to 1,024 characters of `!` to `~`
   */
  recognizes(masterKey: string): boolean;

  /**
   * Encrypts a key under the master key, bound to `operation.context`.
   *
   * @param key exactly 32 bytes, keyfold's: not kept, not changed
   * @returns a ciphertext whose bytes are the caller's own, and the URI of the key that answered
   */
  wrapKey(key: Uint8Array, operation: KeyOperation): Promise<WrappedKey>;

  /**
   * The inverse of `wrapKey`. Calls the key that this provider was configured with, never one that only the wrap
   * names. Refuses what another key or another context wrapped.
   *
   * @param wrapped one that this provider recognizes; not kept, not changed
   * @returns exactly 32 bytes in memory of their own (no view of a pool): keyfold wipes them
   */
  unwrapKey(wrapped: WrappedKey, operation: KeyOperation): Promise<Bytes>;

  /** Imports what the first call needs, an SDK for instance, and makes no call. Awaited before a deadline starts. */
  load?(): Promise<void>;

  /** Ends what the provider itself opened, never an injected client. Twice is fine. Keyfold does not call it: its maker does. */
  close?(): Promise<void>;
}

/** What accompanies a call. */
export interface KeyOperation {
  /**
   * The KMS context to bind the wrap to: a frozen plain object whose encoding (`encodeContext`) is at most 2,048 bytes.
   * Where the service has no associated data, the provider binds it itself.
   */
  readonly context: EncryptionContext;
  /** Aborted when the deadline passes or nobody waits any more. An aborted signal rejects before any request. */
  readonly signal: AbortSignal;
}

/** A key under a master key, as it stands in an envelope. */
export interface WrappedKey {
  /** The resolved key that answered, an ARN and not an alias: 1 to 1,024 characters of `!` to `~`. */
  readonly masterKey: string;
  /** The whole "wrapped KDK" of envelope-v1, its scheme byte included. 1 byte or more. */
  readonly ciphertext: Uint8Array;
}
