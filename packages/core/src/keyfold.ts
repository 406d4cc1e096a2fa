/** What an application holds: secrets in, envelopes out, and back. */

import { constants } from "node:buffer";
import { isUint8Array } from "node:util/types";
import { type Bytes, copyOf, decodeUtf8, encodeBase64url, encodeUtf8 } from "./bytes.ts";
import { asker, type OperationOptions, requireNotAborted, settle } from "./callers.ts";
import { openMessage } from "./cobblestone.ts";
import type { EncryptionContext } from "./context.ts";
import { decodeHeader, type EnvelopeHeader, encodeText, WRAPS_AT } from "./envelope.ts";
import { KeyfoldError, requireArgument } from "./errors.ts";
import type { OpenedFields, SealedFields } from "./field-types.ts";
import { openFields, openFieldsNow, type SealFieldsOptions, sealFields, sealFieldsNow } from "./fields.ts";
import type { ManyResult } from "./in-order.ts";
import type { Items } from "./input.ts";
import { KeyCache } from "./key-cache.ts";
import {
  type AsText,
  type ItemToOpen,
  type ItemToSeal,
  type ManyOptions,
  openMany,
  rewrapMany,
  sealMany,
} from "./many.ts";
import {
  type Admitted,
  bytesOf,
  type DetachedEnvelope,
  type Envelope,
  Operations,
  type Shared,
} from "./operations.ts";
import { type KeyfoldOptions, resolveOptions } from "./options.ts";
import { type ByteRange, type ByteSource, openRange, plaintextLength } from "./ranges.ts";
import { reheadMessage, type SealingKey, sealEnvelope, sealHeader, sealMessageUnder } from "./sealing.ts";
import { openStream, sealStream } from "./streams.ts";
import { codeOf, opens, seals, since } from "./telemetry.ts";

/** How many KDKs `ready(envelopes)` asks for at a time. */
const READY_AT_ONCE = 16;
const NO_MESSAGE = new Uint8Array(0);

/** What can be sealed: bytes, or text as its UTF-8. */
export type Plaintext = string | Uint8Array;

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

/** A {@link DetachedEnvelope} in memory of its own. */
export interface DetachedBytes extends DetachedEnvelope {
  readonly header: Bytes;
  readonly message: Bytes;
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
  /** As {@link seal}, and gives header and message apart, each the caller's own. */
  seal(
    plaintext: Plaintext,
    context: EncryptionContext,
    options: OperationOptions & { readonly detached: true },
  ): Promise<DetachedBytes>;
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
  open(
    envelope: Envelope | DetachedEnvelope,
    context: EncryptionContext,
    options?: OperationOptions,
  ): Promise<Bytes>;
  /** As {@link open}, and gives the plaintext as text. A leading U+FEFF is kept. @throws `ERR_NOT_TEXT` if it is not UTF-8 */
  openText(
    envelope: Envelope | DetachedEnvelope,
    context: EncryptionContext,
    options?: OperationOptions,
  ): Promise<string>;

  /** As {@link seal} with keys in memory, after {@link ready}. @throws `ERR_NOT_READY` where the key is not, or was dropped */
  sealSync(plaintext: Plaintext, context: EncryptionContext): Bytes;
  sealTextSync(plaintext: Plaintext, context: EncryptionContext): string;
  /** As {@link open} with keys in memory, after {@link ready}. @throws `ERR_NOT_READY` where the key is not, or was dropped */
  openSync(envelope: Envelope | DetachedEnvelope, context: EncryptionContext): Bytes;
  openTextSync(envelope: Envelope | DetachedEnvelope, context: EncryptionContext): string;

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
   * Whether the master keys that an envelope carries wraps of are others than an envelope sealed now would carry; with a
   * keyring, whether it is under another KDK than the active one, or carries wraps.
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
  /**
   * The same of a detached header, or of the first `inspect(…).headerBytes` of a stored envelope: the new header alone, for
   * the same message.
   *
   * @throws `ERR_MALFORMED_ENVELOPE` where bytes stand after the header
   */
  rewrap(header: Uint8Array, options: OperationOptions & { readonly detached: true }): Promise<Bytes>;

  /**
   * Seals many, for as many items as come: a result for each, in the items' order. A `KeyfoldError` of one item, of any
   * code that {@link seal} has, is that item's result and spoils no other. Items are read as the results are taken, never
   * more than `concurrency` ahead, so that the memory it takes does not grow with their number; and other work of the
   * process gets its turn.
   *
   * What concerns all of them ends the output with an error: `ERR_INVALID_ARGUMENT` for options, `ERR_NOT_CONFIGURED`,
   * `ERR_CLOSED`, `ERR_ABORTED` as soon as the signal aborts, and an error of the input itself, as it is, after the results
   * of the items before it. Leaving a `for await` early closes the input and gives up what is under way.
   *
   * @param items not to be changed before their results are there
   * @returns to be iterated once; the values are the caller's own
   */
  sealMany(
    items: Items<ItemToSeal>,
    options?: ManyOptions & { readonly text?: false | undefined },
  ): AsyncIterableIterator<ManyResult<Bytes>>;
  /** The same in the text form "kf1.…". */
  sealMany(
    items: Items<ItemToSeal>,
    options: ManyOptions & { readonly text: true },
  ): AsyncIterableIterator<ManyResult<string>>;
  /**
   * Opens many, as {@link sealMany} seals. One call to a master key for each distinct wrapped key, however many envelopes
   * carry it, and it waits for the unwrap budget instead of `ERR_BUDGET`. A key that was refused, with a code that is not
   * retryable, is not asked for again in the same batch: all its envelopes have that error.
   */
  openMany(
    items: Items<ItemToOpen>,
    options?: ManyOptions & { readonly text?: false | undefined },
  ): AsyncIterableIterator<ManyResult<Bytes>>;
  /** The same with each plaintext as text. `ERR_NOT_TEXT` for an item that is not UTF-8 */
  openMany(
    items: Items<ItemToOpen>,
    options: ManyOptions & { readonly text: true },
  ): AsyncIterableIterator<ManyResult<string>>;
  /** Re-wraps many as {@link rewrap} does one, as {@link openMany} opens. Text in, text out; bytes in, bytes out. */
  rewrapMany(envelopes: Items<string>, options?: ManyOptions): AsyncIterableIterator<ManyResult<string>>;
  rewrapMany(envelopes: Items<Uint8Array>, options?: ManyOptions): AsyncIterableIterator<ManyResult<Bytes>>;
  rewrapMany(
    envelopes: Items<Envelope>,
    options?: ManyOptions,
  ): AsyncIterableIterator<ManyResult<string | Bytes>>;

  /**
   * Seals a stream of any length, in memory of a few chunks: `readable.pipeThrough(keyfold.sealStream(context))`, or between
   * two others in Node's `pipeline`. One-shot and stream write the same format, so that either opens what the other sealed.
   * The text form is not streamed. Arguments are checked at once; a key is asked for with the first write.
   *
   * The writable side takes Uint8Arrays of any length, to be left alone until the write is done; anything else ends the
   * stream with `ERR_INVALID_ARGUMENT`. The readable side gives pieces of 65,600 bytes and a header at most, the reader's
   * own, made when they are asked for: a write is done once all its pieces were taken. Only the whole opens.
   *
   * @throws as {@link seal}: at once for what can be known at once, later as the error of both sides
   */
  sealStream(context: EncryptionContext, options?: OperationOptions): TransformStream<Uint8Array, Bytes>;
  /**
   * Opens an envelope of any length, as bytes, in memory of a few chunks. No byte comes out before the tag of its chunk was
   * verified, in pieces of 16,384 bytes at most, the reader's own. All of it is provisional until the stream ends: one that
   * was altered, extended or cut gives an error where that shows, behind the pieces before it, and never an end.
   *
   * @throws as {@link open}: at once for what can be known at once, later as the error of both sides. Where a message is
   * both cut and altered, the altered chunk is what it says
   */
  openStream(context: EncryptionContext, options?: OperationOptions): TransformStream<Uint8Array, Bytes>;
  /**
   * Opens a part of a stored envelope, as bytes, and reads no more of it than its header and the chunks of that part: all of
   * the part, or an error and none of it. What lies outside of the chunks that it read is not verified. A range that touches
   * the end, or is counted from it, opens the last chunk, and thereby verifies how long the plaintext is.
   *
   * @param source not changed, and not closed
   * @param range `{ start, end? }`, `end` exclusive and cut at the plaintext's end, or `{ last: n }`; in bytes of plaintext
   * @returns the caller's own; shorter than asked for, or empty, only where the plaintext ends
   * @throws as {@link open}; `ERR_INVALID_ARGUMENT` where the plaintext ends before `start`; `ERR_IO` where the source fails
   * or gives another number of bytes than it was asked for
   */
  openRange(
    source: ByteSource,
    context: EncryptionContext,
    range: ByteRange,
    options?: OperationOptions,
  ): Promise<Bytes>;
  /**
   * How many bytes of plaintext a stored envelope holds, verified by its last chunk. Reads the header and that chunk.
   *
   * @throws as {@link openRange}
   */
  plaintextLength(
    source: ByteSource,
    context: EncryptionContext,
    options?: OperationOptions,
  ): Promise<number>;

  /**
   * Seals fields of a record: each becomes an envelope of its own, as text "kf1.…", bound to its place in the record. They
   * share one data key, so that ten fields cost one wrap of it; each envelope carries the header's bytes.
   *
   * A field is a path: `"email"`, `"address.street"`, `"tokens[]"` for each element of an array, `"people[].name"`. It ends
   * in `?` where it may be missing; without, a field that is not there, or undefined, is `ERR_FIELD`. Before any of
   * `\ . [ ] ?` in a key stands a backslash. No field may be in another.
   *
   * A value is text, a number (NaN, infinities and -0 too), a bigint, a boolean, null, a Date, bytes, or JSON: an array or a
   * plain object, sealed whole, that holds nothing which JSON would lose. It comes back as it was; a Buffer as a Uint8Array.
   *
   * @param record not changed and not kept. Objects on the way to a field are copied with their own enumerable properties
   * and their prototype
   * @param context what the record is bound to, its id for example; each field's place is added to it
   * @returns the copy; all that is not on the way to a field is shared with the record
   * @throws `ERR_FIELD`, naming the path, for a value of another kind; and as {@link seal}
   */
  sealFields<T extends object, const F extends string>(
    record: T,
    fields: readonly F[],
    context: EncryptionContext,
    options?: SealFieldsOptions,
  ): Promise<SealedFields<T, F>>;
  /** As {@link sealFields} with keys in memory, after {@link ready}. @throws `ERR_NOT_READY` where one is not */
  sealFieldsSync<T extends object, const F extends string>(
    record: T,
    fields: readonly F[],
    context: EncryptionContext,
    options?: Pick<SealFieldsOptions, "skipSealed">,
  ): SealedFields<T, F>;
  /**
   * Opens the fields that {@link sealFields} sealed, all of them or none: those of one record, or of a part of it. A field
   * that was moved from another place or record is `ERR_CONTEXT_MISMATCH`.
   *
   * @param record not changed and not kept
   * @returns a copy with the values in their places, the caller's own; all that is not on the way to a field is shared
   * @throws as {@link open}, with the field's path in the message and the error itself as cause; `ERR_FIELD` for what is no
   * text, and for a field that is not there
   */
  openFields<T extends object, const F extends string>(
    record: T,
    fields: readonly F[],
    context: EncryptionContext,
    options?: OperationOptions,
  ): Promise<OpenedFields<T, F>>;
  /** The same of what came from a store, where the caller says what type it is. Nobody checks that. */
  openFields<T extends object>(
    record: object,
    fields: readonly string[],
    context: EncryptionContext,
    options?: OperationOptions,
  ): Promise<T>;
  /** As {@link openFields} with keys in memory, after {@link ready}. @throws `ERR_NOT_READY` where one is not */
  openFieldsSync<T extends object, const F extends string>(
    record: T,
    fields: readonly F[],
    context: EncryptionContext,
  ): OpenedFields<T, F>;
  openFieldsSync<T extends object>(record: object, fields: readonly string[], context: EncryptionContext): T;

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

/** A plaintext and a context on the way in. */
interface ToSeal {
  readonly plaintext: Uint8Array;
  /** Whether the bytes were made here, from text, and are wiped here. */
  readonly isOwn: boolean;
  readonly context: Uint8Array;
}

/** An envelope on the way out. */
interface ToOpen extends Admitted {
  readonly context: Uint8Array;
}

/** What becomes of a plaintext once there is a key: a whole envelope, or one in two parts. */
type Seal<T> = (key: SealingKey, context: Uint8Array, plaintext: Uint8Array) => T;

class ScopedKeyfold implements Keyfold {
  readonly #shared: Shared;
  readonly #keys: KeyCache;
  readonly #operations: Operations;

  constructor(shared: Shared, scope: string) {
    this.#shared = shared;
    this.#keys = shared.keys;
    this.#operations = new Operations(shared, scope);
  }

  // An async function that finds its keys in memory makes one promise, its own, and awaits nothing.

  seal(plaintext: Plaintext, context: EncryptionContext, options?: OperationOptions): Promise<Bytes>;
  seal(
    plaintext: Plaintext,
    context: EncryptionContext,
    options: OperationOptions & { readonly detached: true },
  ): Promise<DetachedBytes>;
  async seal(
    plaintext: Plaintext,
    context: EncryptionContext,
    options?: OperationOptions & { readonly detached?: boolean },
  ): Promise<Bytes | DetachedBytes> {
    const input = this.#toSeal(plaintext, context);
    const seal: Seal<Bytes | DetachedBytes> = options?.detached === true ? sealDetached : sealEnvelope;
    return this.#sealNow(input, seal, options) ?? this.#sealLater(input, seal, options);
  }

  async sealText(
    plaintext: Plaintext,
    context: EncryptionContext,
    options?: OperationOptions,
  ): Promise<string> {
    const input = this.#toSeal(plaintext, context);
    return toText(
      this.#sealNow(input, sealEnvelope, options) ?? (await this.#sealLater(input, sealEnvelope, options)),
    );
  }

  async open(
    envelope: Envelope | DetachedEnvelope,
    context: EncryptionContext,
    options?: OperationOptions,
  ): Promise<Bytes> {
    const input = this.#toOpen(envelope, context);
    return this.#openNow(input, options) ?? this.#openLater(input, options);
  }

  async openText(
    envelope: Envelope | DetachedEnvelope,
    context: EncryptionContext,
    options?: OperationOptions,
  ): Promise<string> {
    const input = this.#toOpen(envelope, context);
    return textOf(this.#openNow(input, options) ?? (await this.#openLater(input, options)));
  }

  sealSync(plaintext: Plaintext, context: EncryptionContext): Bytes {
    const sealed = this.#sealNow(this.#toSeal(plaintext, context), sealEnvelope);
    if (sealed === undefined) throw notReady("The KDK that seals is not in memory.", this.#keys.sealerLoss);
    return sealed;
  }

  sealTextSync(plaintext: Plaintext, context: EncryptionContext): string {
    return toText(this.sealSync(plaintext, context));
  }

  openSync(envelope: Envelope | DetachedEnvelope, context: EncryptionContext): Bytes {
    const input = this.#toOpen(envelope, context);
    const plaintext = this.#openNow(input);
    if (plaintext === undefined) {
      throw notReady("The KDK of this envelope is not in memory.", this.#keys.lossOf(input.header));
    }
    return plaintext;
  }

  openTextSync(envelope: Envelope | DetachedEnvelope, context: EncryptionContext): string {
    return textOf(this.openSync(envelope, context));
  }

  async ready(envelopes?: Iterable<Envelope>, options?: OperationOptions): Promise<void> {
    this.#operations.requireOpen();
    requireNotAborted(options);
    if (envelopes !== undefined) return this.#readyToOpen(envelopes, options);
    this.#operations.requireMasterKeys();
    await settle(this.#keys.obtainSealingKey(this.#operations.scope, asker(options)), options);
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
    this.#operations.requireOpen();
    const outdated = this.#keys.isOutdated(decodeHeader(bytesOf(envelope)));
    if (outdated === undefined) throw notReady("The KDK that seals is not in memory.", this.#keys.sealerLoss);
    return outdated;
  }

  rewrap(envelope: string, options?: OperationOptions): Promise<string>;
  rewrap(envelope: Uint8Array, options?: OperationOptions): Promise<Bytes>;
  rewrap(header: Uint8Array, options: OperationOptions & { readonly detached: true }): Promise<Bytes>;
  async rewrap(
    envelope: Envelope,
    options?: OperationOptions & { readonly detached?: boolean },
  ): Promise<string | Bytes> {
    this.#operations.requireMasterKeys();
    const { header, message } =
      options?.detached === true
        ? { header: this.#operations.admitHeader(bytesOf(envelope)), message: NO_MESSAGE }
        : this.#operations.admit(envelope);
    requireNotAborted(options);
    const dek = await this.#operations.dekOf(header, options);
    try {
      const key = await this.#operations.sealingKey(options);
      const rewrapped = reheadMessage(key, dek, message);
      this.#shared.counts.rewraps++;
      return typeof envelope === "string" ? toText(rewrapped) : rewrapped;
    } finally {
      dek.fill(0);
    }
  }

  sealMany(
    items: Items<ItemToSeal>,
    options?: ManyOptions & { readonly text?: false | undefined },
  ): AsyncIterableIterator<ManyResult<Bytes>>;
  sealMany(
    items: Items<ItemToSeal>,
    options: ManyOptions & { readonly text: true },
  ): AsyncIterableIterator<ManyResult<string>>;
  sealMany(
    items: Items<ItemToSeal>,
    options?: ManyOptions & AsText,
  ): AsyncIterableIterator<ManyResult<Bytes | string>> {
    return sealMany(this, this.#operations, items, options);
  }

  openMany(
    items: Items<ItemToOpen>,
    options?: ManyOptions & { readonly text?: false | undefined },
  ): AsyncIterableIterator<ManyResult<Bytes>>;
  openMany(
    items: Items<ItemToOpen>,
    options: ManyOptions & { readonly text: true },
  ): AsyncIterableIterator<ManyResult<string>>;
  openMany(
    items: Items<ItemToOpen>,
    options?: ManyOptions & AsText,
  ): AsyncIterableIterator<ManyResult<Bytes | string>> {
    return openMany(this, this.#operations, items, options);
  }

  rewrapMany(envelopes: Items<string>, options?: ManyOptions): AsyncIterableIterator<ManyResult<string>>;
  rewrapMany(envelopes: Items<Uint8Array>, options?: ManyOptions): AsyncIterableIterator<ManyResult<Bytes>>;
  rewrapMany(
    envelopes: Items<Envelope>,
    options?: ManyOptions,
  ): AsyncIterableIterator<ManyResult<string | Bytes>>;
  rewrapMany(
    envelopes: Items<Envelope>,
    options?: ManyOptions,
  ): AsyncIterableIterator<ManyResult<string | Bytes>> {
    return rewrapMany(this, this.#operations, envelopes, options);
  }

  sealStream(context: EncryptionContext, options?: OperationOptions): TransformStream<Uint8Array, Bytes> {
    return sealStream(this.#operations, context, options);
  }

  openStream(context: EncryptionContext, options?: OperationOptions): TransformStream<Uint8Array, Bytes> {
    return openStream(this.#operations, context, options);
  }

  async openRange(
    source: ByteSource,
    context: EncryptionContext,
    range: ByteRange,
    options?: OperationOptions,
  ): Promise<Bytes> {
    return openRange(this.#operations, source, context, range, options);
  }

  async plaintextLength(
    source: ByteSource,
    context: EncryptionContext,
    options?: OperationOptions,
  ): Promise<number> {
    return plaintextLength(this.#operations, source, context, options);
  }

  sealFields<T extends object, const F extends string>(
    record: T,
    fields: readonly F[],
    context: EncryptionContext,
    options?: SealFieldsOptions,
  ): Promise<SealedFields<T, F>>;
  sealFields(
    record: object,
    fields: readonly string[],
    context: EncryptionContext,
    options?: SealFieldsOptions,
  ): Promise<object> {
    return sealFields(this.#operations, record, fields, context, options);
  }

  sealFieldsSync<T extends object, const F extends string>(
    record: T,
    fields: readonly F[],
    context: EncryptionContext,
    options?: Pick<SealFieldsOptions, "skipSealed">,
  ): SealedFields<T, F>;
  sealFieldsSync(
    record: object,
    fields: readonly string[],
    context: EncryptionContext,
    options?: Pick<SealFieldsOptions, "skipSealed">,
  ): object {
    return sealFieldsNow(this.#operations, record, fields, context, options);
  }

  openFields<T extends object, const F extends string>(
    record: T,
    fields: readonly F[],
    context: EncryptionContext,
    options?: OperationOptions,
  ): Promise<OpenedFields<T, F>>;
  openFields<T extends object>(
    record: object,
    fields: readonly string[],
    context: EncryptionContext,
    options?: OperationOptions,
  ): Promise<T>;
  openFields(
    record: object,
    fields: readonly string[],
    context: EncryptionContext,
    options?: OperationOptions,
  ): Promise<object> {
    return openFields(this.#operations, record, fields, context, options);
  }

  openFieldsSync<T extends object, const F extends string>(
    record: T,
    fields: readonly F[],
    context: EncryptionContext,
  ): OpenedFields<T, F>;
  openFieldsSync<T extends object>(record: object, fields: readonly string[], context: EncryptionContext): T;
  openFieldsSync(record: object, fields: readonly string[], context: EncryptionContext): object {
    return openFieldsNow(this.#operations, record, fields, context);
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
    this.#operations.requireMasterKeys();
    const encoded = this.#operations.contextOf(context);
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

  #sealNow<T>(
    { plaintext, isOwn, context }: ToSeal,
    seal: Seal<T>,
    options?: OperationOptions,
  ): T | undefined {
    requireNotAborted(options);
    const started = seals.start();
    const key = this.#keys.sealingKey(this.#operations.scope);
    if (key === undefined) return undefined;
    const envelope = seal(key, context, plaintext);
    if (isOwn) plaintext.fill(0);
    this.#shared.counts.seals++;
    seals.report(() => ({ ms: since(started), bytes: plaintext.length, hit: true }));
    return envelope;
  }

  /** Waits for a KDK, with a copy of the plaintext: the caller may wipe its own meanwhile. */
  async #sealLater<T>(input: ToSeal, seal: Seal<T>, options?: OperationOptions): Promise<T> {
    const plaintext = input.isOwn ? input.plaintext : copyOf(input.plaintext);
    const started = seals.start();
    try {
      const key = await settle(this.#keys.obtainSealingKey(this.#operations.scope, asker(options)), options);
      const envelope = seal(key, input.context, plaintext);
      this.#shared.counts.seals++;
      seals.report(() => ({ ms: since(started), bytes: plaintext.length, hit: false }));
      return envelope;
    } catch (error) {
      seals.report(() => ({ ms: since(started), bytes: 0, hit: false, ...codeOf(error) }));
      throw error;
    } finally {
      plaintext.fill(0);
    }
  }

  #toOpen(envelope: Envelope | DetachedEnvelope, context: EncryptionContext): ToOpen {
    const encoded = this.#operations.contextOf(context);
    const { header, message } = this.#operations.admit(envelope);
    return { header, message, context: encoded };
  }

  #openNow(input: ToOpen, options?: OperationOptions): Bytes | undefined {
    requireNotAborted(options);
    const started = opens.start();
    try {
      const dek = this.#keys.openDek(input.header, this.#operations.scope);
      return dek === undefined ? undefined : this.#openWith(dek, input, started, true);
    } catch (error) {
      opens.report(() => ({ ms: since(started), bytes: 0, hit: true, ...codeOf(error) }));
      throw error;
    }
  }

  async #openLater(input: ToOpen, options?: OperationOptions): Promise<Bytes> {
    const started = opens.start();
    try {
      const { scope } = this.#operations;
      const dek = await settle(this.#keys.obtainDek(input.header, scope, asker(options)), options);
      return this.#openWith(dek, input, started, false);
    } catch (error) {
      opens.report(() => ({ ms: since(started), bytes: 0, hit: false, ...codeOf(error) }));
      throw error;
    }
  }

  #openWith(dek: Uint8Array, { message, context }: ToOpen, started: number, hit: boolean): Bytes {
    try {
      const plaintext = openMessage(dek, context, message);
      this.#shared.counts.opens++;
      opens.report(() => ({ ms: since(started), bytes: plaintext.length, hit }));
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
        const { header } = this.#operations.admit(envelope);
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
}

function sealDetached(key: SealingKey, context: Uint8Array, plaintext: Uint8Array): DetachedBytes {
  const { header, dek } = sealHeader(key);
  try {
    return { header, message: sealMessageUnder(dek, context, plaintext) };
  } finally {
    dek.fill(0);
  }
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

function notReady(detail: string, cause: KeyfoldError | undefined): KeyfoldError {
  return new KeyfoldError("ERR_NOT_READY", detail, cause === undefined ? {} : { cause });
}
