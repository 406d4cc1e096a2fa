/** What an application holds: secrets in, envelopes out, and back. */

import { constants } from "node:buffer";
import { isUint8Array } from "node:util/types";
import { type Bytes, copyOf, decodeUtf8, encodeBase64url, encodeUtf8 } from "./bytes.ts";
import { openMessage } from "./cobblestone.ts";
import { type EncryptionContext, encodeApplicationContext } from "./context.ts";
import { decodeHeader, decodeText, type EnvelopeHeader, encodeText, WRAPS_AT } from "./envelope.ts";
import { KeyfoldError, requireArgument } from "./errors.ts";
import { KeyCache, type Scope } from "./key-cache.ts";
import { encodeName } from "./key-hierarchy.ts";
import { type KeyfoldOptions, resolveOptions, type Settings } from "./options.ts";
import type { Asker } from "./provider-calls.ts";
import { reheadMessage, requireWholeMessage, sealEnvelope } from "./sealing.ts";

/** How many KDKs `ready(envelopes)` asks for at a time. */
const READY_AT_ONCE = 16;

/** What can be sealed: bytes, or text as its UTF-8. */
export type Plaintext = string | Uint8Array;

/** A sealed secret: its bytes, or its text form "kf1.…". */
export type Envelope = string | Uint8Array;

export interface OperationOptions {
  /** Ends the operation for this caller with `ERR_ABORTED`; others who wait for the same key are not disturbed. */
  readonly signal?: AbortSignal | undefined;
}

/** What an envelope says of itself. Nobody has authenticated it. */
export interface Inspection {
  readonly version: 1;
  /** The id of its KDK: base64url of 16 bytes. */
  readonly kdkId: string;
  /** The salt of its KEK: base64url of 16 bytes. */
  readonly salt: string;
  /** The URIs of the master keys whose wraps it carries. */
  readonly masterKeys: readonly string[];
  readonly headerBytes: number;
  readonly messageBytes: number;
}

/** Counts since the keyfold was made, and keys in memory now. */
export interface Stats {
  readonly seals: number;
  readonly opens: number;
  readonly rewraps: number;
  /** Requests to master keys, retries included. */
  readonly wrapCalls: number;
  readonly unwrapCalls: number;
  readonly kdks: number;
  readonly keks: number;
}

/**
 * Seals and opens the secrets of one project. Safe for concurrent use. Every method fails with a `KeyfoldError` only; the
 * asynchronous ones never throw synchronously. Those that take arguments fail with `ERR_INVALID_ARGUMENT` for wrong ones,
 * and those that use keys with `ERR_CLOSED` after `close`.
 *
 * Where a master key has to be asked, these codes are possible too: `ERR_MASTER_KEY_DENIED`, `…_NOT_FOUND`, `…_DISABLED`,
 * `…_THROTTLED`, `…_UNAVAILABLE`, `…_REJECTED`, `…_BAD_REPLY`, `ERR_CREDENTIALS`, `ERR_UNWRAP_FAILED`, `ERR_BUDGET`,
 * `ERR_UNAUTHENTICATED_WRAP`, `ERR_ABORTED`, and what else a provider documents.
 */
export interface Keyfold extends AsyncDisposable {
  /**
   * Seals a secret. The first call of a process wraps a key under the master keys; later ones call nobody.
   *
   * @param plaintext not kept; may be changed as soon as the call has returned its promise
   * @param context what the secret is bound to: 8,192 bytes at most encoded, not stored, needed again to open; `{}` says
   * that there is none
   * @returns the envelope, the caller's own: 168 + n bytes over the plaintext and 16 more for each 16,384 of it, where n
   * is what the wraps take
   * @throws `ERR_NOT_CONFIGURED` without masterKeys
   */
  seal(plaintext: Plaintext, context: EncryptionContext, options?: OperationOptions): Promise<Bytes>;
  /** As {@link seal}, and gives the text form "kf1.…". */
  sealText(plaintext: Plaintext, context: EncryptionContext, options?: OperationOptions): Promise<string>;
  /**
   * Opens an envelope: all of its plaintext, or an error and none of it. Calls a master key for a KDK that is not in memory.
   *
   * @param envelope not to be changed before the promise settles
   * @returns the plaintext, the caller's own
   * @throws `ERR_NOT_AN_ENVELOPE`, `ERR_UNSUPPORTED_VERSION`, `ERR_MALFORMED_ENVELOPE`, `ERR_MESSAGE_TRUNCATED`,
   * `ERR_NO_USABLE_WRAP`, `ERR_KEY_MISMATCH`, `ERR_HEADER_REJECTED`, `ERR_CONTEXT_MISMATCH`, `ERR_MESSAGE_ALTERED`;
   * `ERR_NOT_CONFIGURED` with sealOnly
   */
  open(envelope: Envelope, context: EncryptionContext, options?: OperationOptions): Promise<Bytes>;
  /** As {@link open}, and gives the plaintext as text. A leading U+FEFF is kept. @throws `ERR_NOT_TEXT` if it is not UTF-8 */
  openText(envelope: Envelope, context: EncryptionContext, options?: OperationOptions): Promise<string>;

  /** As {@link seal} with keys in memory, after {@link ready}. @throws `ERR_NOT_READY` where the key is not, or was dropped */
  sealSync(plaintext: Plaintext, context: EncryptionContext): Bytes;
  sealTextSync(plaintext: Plaintext, context: EncryptionContext): string;
  /** As {@link open} with keys in memory, after {@link ready}. @throws `ERR_NOT_READY` where the key is not, or was dropped */
  openSync(envelope: Envelope, context: EncryptionContext): Bytes;
  openTextSync(envelope: Envelope, context: EncryptionContext): string;

  /**
   * Brings keys into memory, so that synchronous calls find them: without envelopes the KDK that seals; with envelopes
   * theirs, wrapping nothing and waiting for the unwrap budget. Asks for every one of them, and then throws the first
   * failure, if any.
   */
  ready(envelopes?: Iterable<Envelope>, options?: OperationOptions): Promise<void>;

  /**
   * The same keyfold in another scope: same keys in memory, same counts, closed together. The scope replaces the present
   * one. At most 255 bytes of UTF-8.
   */
  scoped(scope: string): Keyfold;

  /** Reads an envelope's header, without a key. @throws as `open`, for what is no envelope */
  inspect(envelope: Envelope): Inspection;
  /** Whether {@link inspect} would succeed. */
  isSealed(value: unknown): boolean;
  /**
   * Whether the master keys that an envelope carries wraps of are others than an envelope sealed now would carry.
   *
   * @throws `ERR_NOT_READY` where no sealing KDK is in memory
   */
  needsRewrap(envelope: Envelope): boolean;
  /**
   * Gives an envelope a new header under the present master keys and leaves its message as it is, so it needs no encryption
   * context. Text in, text out; bytes in, bytes out. It does not heal a leaked key: seal anew for that.
   *
   * @throws as `seal`, and as `open` but for what the message holds
   */
  rewrap(envelope: string, options?: OperationOptions): Promise<string>;
  rewrap(envelope: Uint8Array, options?: OperationOptions): Promise<Bytes>;

  stats(): Stats;
  /** Forgets the keys, and ends what is under way with `ERR_CLOSED`. Closes no provider. Twice is fine. */
  close(): Promise<void>;
}

/**
 * Makes a keyfold. Calls nobody yet.
 *
 * @throws `ERR_INVALID_ARGUMENT`, saying which option and why
 */
export function createKeyfold(options: KeyfoldOptions): Keyfold {
  const settings = resolveOptions(options);
  const shared = { settings, keys: new KeyCache(settings), counts: { seals: 0, opens: 0, rewraps: 0 } };
  return new ScopedKeyfold(shared, settings.scope);
}

/** What a keyfold has in common with those that `scoped` made of it. */
interface Shared {
  readonly settings: Settings;
  readonly keys: KeyCache;
  readonly counts: { seals: number; opens: number; rewraps: number };
}

/** A plaintext and a context on the way in. */
interface ToSeal {
  readonly plaintext: Uint8Array;
  /** Whether the bytes were made here, from text, and are wiped here. */
  readonly isOwn: boolean;
  readonly context: Uint8Array;
}

/** An envelope on the way out. */
interface ToOpen {
  readonly envelope: Uint8Array;
  readonly header: EnvelopeHeader;
  readonly context: Uint8Array;
}

class ScopedKeyfold implements Keyfold {
  readonly #shared: Shared;
  readonly #keys: KeyCache;
  readonly #scope: Scope;

  constructor(shared: Shared, scope: string) {
    this.#shared = shared;
    this.#keys = shared.keys;
    this.#scope = { name: scope, encoded: encodeName("scope", scope) };
  }

  // An async function that finds its keys in memory makes one promise, its own, and awaits nothing.

  async seal(plaintext: Plaintext, context: EncryptionContext, options?: OperationOptions): Promise<Bytes> {
    const input = this.#toSeal(plaintext, context);
    return this.#sealNow(input, options) ?? this.#sealLater(input, options);
  }

  async sealText(
    plaintext: Plaintext,
    context: EncryptionContext,
    options?: OperationOptions,
  ): Promise<string> {
    const input = this.#toSeal(plaintext, context);
    return toText(this.#sealNow(input, options) ?? (await this.#sealLater(input, options)));
  }

  async open(envelope: Envelope, context: EncryptionContext, options?: OperationOptions): Promise<Bytes> {
    const input = this.#toOpen(envelope, context);
    return this.#openNow(input, options) ?? this.#openLater(input, options);
  }

  async openText(
    envelope: Envelope,
    context: EncryptionContext,
    options?: OperationOptions,
  ): Promise<string> {
    const input = this.#toOpen(envelope, context);
    return textOf(this.#openNow(input, options) ?? (await this.#openLater(input, options)));
  }

  sealSync(plaintext: Plaintext, context: EncryptionContext): Bytes {
    const sealed = this.#sealNow(this.#toSeal(plaintext, context));
    if (sealed === undefined) throw notReady("The KDK that seals is not in memory.", this.#keys.sealerLoss);
    return sealed;
  }

  sealTextSync(plaintext: Plaintext, context: EncryptionContext): string {
    return toText(this.sealSync(plaintext, context));
  }

  openSync(envelope: Envelope, context: EncryptionContext): Bytes {
    const input = this.#toOpen(envelope, context);
    const plaintext = this.#openNow(input);
    if (plaintext === undefined) {
      throw notReady("The KDK of this envelope is not in memory.", this.#keys.lossOf(input.header));
    }
    return plaintext;
  }

  openTextSync(envelope: Envelope, context: EncryptionContext): string {
    return textOf(this.openSync(envelope, context));
  }

  async ready(envelopes?: Iterable<Envelope>, options?: OperationOptions): Promise<void> {
    this.#requireOpen();
    requireNotAborted(options);
    if (envelopes !== undefined) return this.#readyToOpen(envelopes, options);
    this.#requireMasterKeys();
    await settle(this.#keys.obtainSealingKey(this.#scope, asker(options)), options);
  }

  scoped(scope: string): Keyfold {
    return new ScopedKeyfold(this.#shared, scope);
  }

  inspect(envelope: Envelope): Inspection {
    const bytes = bytesOf(envelope);
    const { kdkId, salt, wraps, length } = decodeHeader(bytes);
    return {
      version: 1,
      kdkId: encodeBase64url(kdkId),
      salt: encodeBase64url(salt),
      masterKeys: wraps.map(({ masterKey }) => masterKey),
      headerBytes: length,
      messageBytes: bytes.length - length,
    };
  }

  isSealed(value: unknown): boolean {
    if (typeof value !== "string" && !isUint8Array(value)) return false;
    try {
      this.inspect(value);
      return true;
    } catch (error) {
      if (error instanceof KeyfoldError) return false;
      throw error;
    }
  }

  needsRewrap(envelope: Envelope): boolean {
    this.#requireOpen();
    const present = decodeHeader(bytesOf(envelope)).wraps.map(({ masterKey }) => masterKey);
    const wanted = this.#keys.sealingWraps?.map(({ masterKey }) => masterKey);
    if (wanted === undefined) throw notReady("The KDK that seals is not in memory.", this.#keys.sealerLoss);
    return present.length !== wanted.length || !wanted.every((masterKey) => present.includes(masterKey));
  }

  rewrap(envelope: string, options?: OperationOptions): Promise<string>;
  rewrap(envelope: Uint8Array, options?: OperationOptions): Promise<Bytes>;
  async rewrap(envelope: Envelope, options?: OperationOptions): Promise<string | Bytes> {
    this.#requireMasterKeys();
    const { bytes, header } = this.#admissible(envelope);
    requireNotAborted(options);
    const dek =
      this.#keys.openDek(header, this.#scope) ??
      (await settle(this.#keys.obtainDek(header, this.#scope, asker(options)), options));
    try {
      const key = await settle(this.#sealingKey(options), options);
      const rewrapped = reheadMessage(key, dek, bytes.subarray(header.length));
      this.#shared.counts.rewraps++;
      return typeof envelope === "string" ? toText(rewrapped) : rewrapped;
    } finally {
      dek.fill(0);
    }
  }

  stats(): Stats {
    const { wrap, unwrap } = this.#keys.calls;
    return { ...this.#shared.counts, wrapCalls: wrap, unwrapCalls: unwrap, ...this.#keys.sizes };
  }

  async close(): Promise<void> {
    this.#keys.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #toSeal(plaintext: Plaintext, context: EncryptionContext): ToSeal {
    this.#requireMasterKeys();
    const encoded = encodeApplicationContext(context, this.#shared.settings.requireContext);
    if (typeof plaintext !== "string") {
      requireArgument(isUint8Array(plaintext), "The plaintext must be a string or a Uint8Array.");
      return { plaintext, isOwn: false, context: encoded };
    }
    const bytes = encodeUtf8(plaintext);
    requireArgument(
      bytes !== undefined,
      "The plaintext is ill-formed text (a lone surrogate): pass bytes instead.",
    );
    return { plaintext: bytes, isOwn: true, context: encoded };
  }

  #sealNow({ plaintext, isOwn, context }: ToSeal, options?: OperationOptions): Bytes | undefined {
    requireNotAborted(options);
    const key = this.#keys.sealingKey(this.#scope);
    if (key === undefined) return undefined;
    const envelope = sealEnvelope(key, context, plaintext);
    if (isOwn) plaintext.fill(0);
    this.#shared.counts.seals++;
    return envelope;
  }

  /** Waits for a KDK, with a copy of the plaintext: the caller may wipe its own meanwhile. */
  async #sealLater(input: ToSeal, options?: OperationOptions): Promise<Bytes> {
    const plaintext = input.isOwn ? input.plaintext : copyOf(input.plaintext);
    try {
      const key = await settle(this.#keys.obtainSealingKey(this.#scope, asker(options)), options);
      const envelope = sealEnvelope(key, input.context, plaintext);
      this.#shared.counts.seals++;
      return envelope;
    } finally {
      plaintext.fill(0);
    }
  }

  async #sealingKey(options?: OperationOptions) {
    return this.#keys.sealingKey(this.#scope) ?? this.#keys.obtainSealingKey(this.#scope, asker(options));
  }

  #toOpen(envelope: Envelope, context: EncryptionContext): ToOpen {
    const encoded = encodeApplicationContext(context, this.#shared.settings.requireContext);
    const { bytes, header } = this.#admissible(envelope);
    return { envelope: bytes, header, context: encoded };
  }

  /** An envelope that is worth asking for a key: its header is well-formed, and its length is one that a message has. */
  #admissible(envelope: Envelope): { bytes: Uint8Array; header: EnvelopeHeader } {
    this.#requireOpen();
    if (this.#shared.settings.sealOnly) {
      throw new KeyfoldError(
        "ERR_NOT_CONFIGURED",
        "This keyfold was made with sealOnly, so it opens nothing.",
      );
    }
    const bytes = bytesOf(envelope);
    const header = decodeHeader(bytes);
    requireWholeMessage(bytes, header);
    return { bytes, header };
  }

  #openNow(input: ToOpen, options?: OperationOptions): Bytes | undefined {
    requireNotAborted(options);
    const dek = this.#keys.openDek(input.header, this.#scope);
    return dek === undefined ? undefined : this.#openWith(dek, input);
  }

  async #openLater(input: ToOpen, options?: OperationOptions): Promise<Bytes> {
    return this.#openWith(
      await settle(this.#keys.obtainDek(input.header, this.#scope, asker(options)), options),
      input,
    );
  }

  #openWith(dek: Uint8Array, { envelope, header, context }: ToOpen): Bytes {
    try {
      const plaintext = openMessage(dek, context, envelope.subarray(header.length));
      this.#shared.counts.opens++;
      return plaintext;
    } finally {
      dek.fill(0);
    }
  }

  /** One envelope for each distinct KDK and set of wraps; all are asked for before the first failure is thrown. */
  async #readyToOpen(envelopes: Iterable<Envelope>, options?: OperationOptions): Promise<void> {
    requireArgument(
      typeof envelopes === "object" &&
        envelopes !== null &&
        Symbol.iterator in envelopes &&
        !isUint8Array(envelopes),
      "ready takes an iterable of envelopes: one alone goes in an array.",
    );
    const distinct = new Map<string, EnvelopeHeader>();
    const failures: unknown[] = [];
    for (const envelope of envelopes) {
      try {
        const { header } = this.#admissible(envelope);
        distinct.set(encodeBase64url(header.kdkId) + encodeBase64url(header.aad.subarray(WRAPS_AT)), header);
      } catch (error) {
        failures.push(error);
      }
    }
    const headers = distinct.values();
    const worker = async () => {
      for (const header of headers) {
        const asking = { ...asker(options), waitsForBudget: true };
        await settle(this.#keys.admit(header, asking), options).catch((error) => failures.push(error));
      }
    };
    await Promise.all(Array.from({ length: READY_AT_ONCE }, worker));
    if (failures.length > 0) throw failures[0];
  }

  #requireOpen(): void {
    if (this.#keys.closed) throw new KeyfoldError("ERR_CLOSED");
  }

  #requireMasterKeys(): void {
    this.#requireOpen();
    if (this.#shared.settings.wrapWith.length > 0) return;
    throw new KeyfoldError(
      "ERR_NOT_CONFIGURED",
      "This keyfold was made without masterKeys, so it seals nothing.",
    );
  }
}

function bytesOf(envelope: Envelope): Uint8Array {
  if (typeof envelope === "string") return decodeText(envelope);
  requireArgument(
    isUint8Array(envelope),
    'An envelope is a Uint8Array, or a string that begins with "kf1.".',
  );
  return envelope;
}

function toText(envelope: Bytes): string {
  requireArgument(
    (envelope.length * 4) / 3 + 4 < constants.MAX_STRING_LENGTH,
    "The envelope is too long for a string: use seal.",
  );
  return encodeText(envelope);
}

/** The plaintext as text; the bytes are wiped either way. */
function textOf(plaintext: Bytes): string {
  requireArgument(
    plaintext.length <= constants.MAX_STRING_LENGTH,
    "The plaintext is too long for a string: use open.",
  );
  const text = decodeUtf8(plaintext);
  plaintext.fill(0);
  if (text === undefined) throw new KeyfoldError("ERR_NOT_TEXT");
  return text;
}

function asker(options?: OperationOptions): Asker {
  return { signals: options?.signal === undefined ? [] : [options.signal] };
}

function requireNotAborted(options?: OperationOptions): void {
  const signal = options?.signal;
  if (signal === undefined) return;
  requireArgument(signal instanceof AbortSignal, "options.signal must be an AbortSignal.");
  if (signal.aborted) throw aborted(signal);
}

/** What the operation gives; where the caller's own signal ended it, `ERR_ABORTED` with the signal's reason as cause. */
async function settle<T>(operation: Promise<T>, options?: OperationOptions): Promise<T> {
  try {
    return await operation;
  } catch (error) {
    if (options?.signal?.aborted && error === options.signal.reason) throw aborted(options.signal);
    throw error;
  }
}

function aborted(signal: AbortSignal): KeyfoldError {
  return new KeyfoldError("ERR_ABORTED", undefined, { cause: signal.reason });
}

function notReady(detail: string, cause: KeyfoldError | undefined): KeyfoldError {
  return new KeyfoldError("ERR_NOT_READY", detail, cause === undefined ? {} : { cause });
}
