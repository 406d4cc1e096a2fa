/** Whole columns and tables: seal, open and re-wrap for as many items as come, a result for each. */

import { BatchKeys } from "./batch-keys.ts";
import type { Bytes } from "./bytes.ts";
import { type OperationOptions, requireNotAborted } from "./callers.ts";
import type { EncryptionContext } from "./context.ts";
import { type EnvelopeHeader, encodeText } from "./envelope.ts";
import { KeyfoldError, requireArgument } from "./errors.ts";
import { type Batch, inOrder, type ManyResult } from "./in-order.ts";
import type { Items } from "./input.ts";
import type { DetachedEnvelope, Envelope, Operations } from "./operations.ts";
import { reheadMessage } from "./sealing.ts";

const DEFAULT_CONCURRENCY = 16;
const MOST_CONCURRENCY = 1_000;

export interface ManyOptions extends OperationOptions {
  /**
   * How many items may be under way: read from the input, and their results not yet given out. 1 to 1,000, default 16.
   * It bounds the memory that a batch takes, and the requests to master keys at a time.
   */
  readonly concurrency?: number | undefined;
}

/** What `sealMany` takes. Not to be changed before its result is there. */
export interface ItemToSeal {
  readonly plaintext: string | Uint8Array;
  readonly context: EncryptionContext;
}

/** What `openMany` takes. Not to be changed before its result is there. */
export interface ItemToOpen {
  readonly envelope: Envelope | DetachedEnvelope;
  readonly context: EncryptionContext;
}

/** Whether the envelopes that are made, or the plaintexts that come out, are to be strings. */
export interface AsText {
  readonly text?: boolean | undefined;
}

/** What a keyfold does with one item. The synchronous ones fail with `ERR_NOT_READY` where a key is not in memory. */
export interface OneByOne {
  sealSync(plaintext: string | Uint8Array, context: EncryptionContext): Bytes;
  sealTextSync(plaintext: string | Uint8Array, context: EncryptionContext): string;
  openSync(envelope: Envelope | DetachedEnvelope, context: EncryptionContext): Bytes;
  openTextSync(envelope: Envelope | DetachedEnvelope, context: EncryptionContext): string;
  seal(plaintext: string | Uint8Array, context: EncryptionContext, options: OperationOptions): Promise<Bytes>;
  sealText(
    plaintext: string | Uint8Array,
    context: EncryptionContext,
    options: OperationOptions,
  ): Promise<string>;
  open(
    envelope: Envelope | DetachedEnvelope,
    context: EncryptionContext,
    options: OperationOptions,
  ): Promise<Bytes>;
  openText(
    envelope: Envelope | DetachedEnvelope,
    context: EncryptionContext,
    options: OperationOptions,
  ): Promise<string>;
  rewrap(envelope: string, options: OperationOptions): Promise<string>;
  rewrap(envelope: Uint8Array, options: OperationOptions): Promise<Bytes>;
}

/** Seals the items, in their order. */
export function sealMany(
  one: OneByOne,
  operations: Operations,
  items: Items<ItemToSeal>,
  options?: ManyOptions & AsText,
): AsyncIterableIterator<ManyResult<Bytes | string>> {
  const asText = options?.text === true;
  return each<ItemToSeal, Bytes | string>(operations, items, options, {
    check: () => operations.requireMasterKeys(),
    now: ({ plaintext, context }) =>
      asText ? one.sealTextSync(plaintext, context) : one.sealSync(plaintext, context),
    obtain: (keys, _item, signal) => keys.obtainSealer(signal),
    later: ({ plaintext, context }, asking) =>
      asText ? one.sealText(plaintext, context, asking) : one.seal(plaintext, context, asking),
  });
}

/** Opens the items, in their order. */
export function openMany(
  one: OneByOne,
  operations: Operations,
  items: Items<ItemToOpen>,
  options?: ManyOptions & AsText,
): AsyncIterableIterator<ManyResult<Bytes | string>> {
  const asText = options?.text === true;
  return each<ItemToOpen, Bytes | string>(operations, items, options, {
    check: () => operations.requireMayOpen(),
    now: ({ envelope, context }) =>
      asText ? one.openTextSync(envelope, context) : one.openSync(envelope, context),
    obtain: async (keys, { envelope }, signal) => {
      await keys.obtainOpener(operations.admit(envelope).header, signal);
    },
    later: ({ envelope, context }, asking) =>
      asText ? one.openText(envelope, context, asking) : one.open(envelope, context, asking),
  });
}

/** How one item is worked on: from memory, and where a key is missing there, once it was obtained. */
interface Way<I, O> {
  /** Throws what no item could be worked on for. */
  check(): void;
  now(item: I): O;
  obtain(keys: BatchKeys, item: I, signal: AbortSignal): Promise<void>;
  later(item: I, asking: OperationOptions): Promise<O>;
}

function each<I, O>(
  operations: Operations,
  items: Items<I>,
  options: ManyOptions | undefined,
  way: Way<I, O>,
): AsyncIterableIterator<ManyResult<O>> {
  return inOrder(items, () => {
    way.check();
    const keys = new BatchKeys(operations);
    return batch(operations, options, (item, signal) => {
      requireItem(item);
      return nowOrLater(
        () => way.now(item),
        async () => {
          await way.obtain(keys, item, signal);
          return way.later(item, { signal });
        },
      );
    });
  });
}

/** Re-wraps the envelopes, in their order. */
export function rewrapMany(
  one: OneByOne,
  operations: Operations,
  envelopes: Items<Envelope>,
  options?: ManyOptions,
): AsyncIterableIterator<ManyResult<string | Bytes>> {
  return inOrder(envelopes, () => {
    operations.requireMayOpen();
    operations.requireMasterKeys();
    const keys = new BatchKeys(operations);
    const rewrapLater = async (envelope: Envelope, header: EnvelopeHeader, signal: AbortSignal) => {
      await keys.obtainOpener(header, signal);
      await keys.obtainSealer(signal);
      return typeof envelope === "string"
        ? one.rewrap(envelope, { signal })
        : one.rewrap(envelope, { signal });
    };
    return batch(operations, options, (envelope, signal) => {
      const { header, message } = operations.admit(envelope);
      const rewrapped = rewrapNow(operations, header, message);
      if (rewrapped !== undefined) return typeof envelope === "string" ? encodeText(rewrapped) : rewrapped;
      return rewrapLater(envelope, header, signal);
    });
  });
}

/** The envelope with its new header, or undefined where a key is not in memory. */
function rewrapNow(
  { keys, scope, shared }: Operations,
  header: EnvelopeHeader,
  message: Uint8Array,
): Bytes | undefined {
  const dek = keys.openDek(header, scope);
  if (dek === undefined) return undefined;
  try {
    const key = keys.sealingKey(scope);
    if (key === undefined) return undefined;
    const rewrapped = reheadMessage(key, dek, message);
    shared.counts.rewraps++;
    return rewrapped;
  } finally {
    dek.fill(0);
  }
}

function batch<I, O>(
  operations: Operations,
  options: ManyOptions | undefined,
  work: Batch<I, O>["work"],
): Batch<I, O> {
  const { concurrency = DEFAULT_CONCURRENCY, signal } = options ?? {};
  requireArgument(
    Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= MOST_CONCURRENCY,
    `options.concurrency must be a whole number from 1 to ${MOST_CONCURRENCY}.`,
  );
  const check = () => {
    operations.requireOpen();
    requireNotAborted(options);
  };
  return { concurrency, signal, check, work };
}

function requireItem(item: unknown): void {
  requireArgument(
    typeof item === "object" && item !== null && "context" in item,
    "An item is an object: { plaintext, context } to seal, { envelope, context } to open.",
  );
}

function nowOrLater<O>(now: () => O, later: () => Promise<O>): O | Promise<O> {
  try {
    return now();
  } catch (error) {
    if (error instanceof KeyfoldError && error.code === "ERR_NOT_READY") return later();
    throw error;
  }
}
