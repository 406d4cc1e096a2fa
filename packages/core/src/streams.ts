/** Envelopes as web streams. */

import { isUint8Array } from "node:util/types";
import type { Bytes } from "./bytes.ts";
import { type OperationOptions, requireNotAborted } from "./callers.ts";
import { MESSAGE_SALT_BYTES, MessageKeys } from "./cobblestone.ts";
import type { EncryptionContext } from "./context.ts";
import { KeyfoldError, requireArgument } from "./errors.ts";
import type { Operations } from "./operations.ts";
import { type Beginning, OpeningPieces, type Pieces, SealingPieces } from "./pieces.ts";
import { randomBytes } from "./random.ts";
import { sealHeader } from "./sealing.ts";

/** How much is made for a reader that asks for more: a piece that is sealed, or as many small ones as it has bytes. */
const QUEUED_BYTES = 65_536;

/** A plaintext in, its envelope out. Checks its arguments now, and asks for the key with the first write. */
export function sealStream(
  operations: Operations,
  context: EncryptionContext,
  options?: OperationOptions,
): TransformStream<Uint8Array, Bytes> {
  operations.requireMasterKeys();
  const encoded = operations.contextOf(context);
  requireNotAborted(options);
  const pieces = new SealingPieces(() => begin(operations, encoded, options));
  return streamOf(pieces, () => operations.shared.counts.seals++, options?.signal);
}

/** An envelope in, its plaintext out. */
export function openStream(
  operations: Operations,
  context: EncryptionContext,
  options?: OperationOptions,
): TransformStream<Uint8Array, Bytes> {
  operations.requireMayOpen();
  const encoded = operations.contextOf(context);
  requireNotAborted(options);
  const dekOf = async (header: Uint8Array) => operations.dekOf(operations.admitHeader(header), options);
  const pieces = new OpeningPieces(dekOf, encoded);
  return streamOf(pieces, () => operations.shared.counts.opens++, options?.signal);
}

async function begin(
  operations: Operations,
  context: Uint8Array,
  options?: OperationOptions,
): Promise<Beginning> {
  const { header, dek } = sealHeader(await operations.sealingKey(options));
  const keys = new MessageKeys(dek, randomBytes(MESSAGE_SALT_BYTES), context);
  dek.fill(0);
  return { header, keys };
}

/**
 * A transform stream over `pieces`, for sealing and opening and for test vectors.
 *
 * A `TransformStream` of the platform would queue all that comes of one write. This one makes 64 KiB when the reader asks
 * for more, however much was written at once, so its two sides are streams of their own.
 *
 * @param finished called once, when the last piece was given
 */
export function streamOf(
  pieces: Pieces,
  finished: () => void,
  signal?: AbortSignal,
): TransformStream<Uint8Array, Bytes> {
  const flow = new Flow(pieces, finished, signal);
  return Object.defineProperties(new TransformStream<Uint8Array, Bytes>(), {
    readable: { value: flow.readable },
    writable: { value: flow.writable },
  });
}

class Flow {
  readonly readable: ReadableStream<Bytes>;
  readonly writable: WritableStream<Uint8Array>;
  readonly #pieces: Pieces;
  readonly #finished: () => void;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#abort();
  #reader: ReadableStreamDefaultController<Bytes> | undefined;
  #writer: WritableStreamDefaultController | undefined;
  /** Bytes that may be queued: all of {@link QUEUED_BYTES} while the reader waits and was given nothing. */
  #room = 0;
  /** A piece that there is no room for. */
  #held: Bytes | undefined;
  /** The write that waits until there is. */
  #stalled: PromiseWithResolvers<void> | undefined;
  /** Why it ended before its end. */
  #failure: { readonly reason: unknown } | undefined;

  constructor(pieces: Pieces, finished: () => void, signal: AbortSignal | undefined) {
    this.#pieces = pieces;
    this.#finished = finished;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    this.readable = new ReadableStream<Bytes>(
      {
        start: (controller) => {
          this.#reader = controller;
        },
        pull: () => this.#pull(),
        cancel: (reason) => {
          this.#end(reason);
          this.#writer?.error(reason);
        },
      },
      { highWaterMark: 0 },
    );
    this.writable = new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#writer = controller;
        const { signal } = controller;
        signal.addEventListener("abort", () => this.#end(signal.reason), { once: true });
      },
      write: (chunk) => this.#write(chunk),
      close: () => this.#close(),
    });
  }

  // A write that finds its keys there and a reader that waits is done at once: a promise for each would be half of all that
  // the stream costs.

  #write(chunk: Uint8Array): Promise<void> | undefined {
    try {
      requireArgument(isUint8Array(chunk), "A stream of bytes takes Uint8Arrays, and nothing else.");
      const keys = this.#pieces.take(chunk);
      return keys === undefined ? this.#offer() : this.#offerAfter(keys);
    } catch (error) {
      throw this.#fail(error);
    }
  }

  async #offerAfter(keys: Promise<void>): Promise<void> {
    try {
      await keys;
      this.#requireGoing();
      await this.#offer();
    } catch (error) {
      throw this.#fail(error);
    }
  }

  async #close(): Promise<void> {
    try {
      const last = await this.#pieces.finish();
      this.#requireGoing();
      if (last.length > 0) this.#held = last;
      await this.#offer();
      this.#leave();
      this.#reader?.close();
      this.#finished();
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** Gives the reader what there is. @returns where that has to wait for the reader, a promise */
  #offer(): Promise<void> | undefined {
    if (this.#giveAll()) return undefined;
    this.#stalled = Promise.withResolvers();
    return this.#stalled.promise;
  }

  /** Piece by piece, while there is room. @returns whether that was all */
  #giveAll(): boolean {
    for (let piece = this.#held ?? this.#pieces.next(); piece !== undefined; piece = this.#pieces.next()) {
      if (this.#room <= 0) {
        this.#held = piece;
        return false;
      }
      this.#held = undefined;
      this.#room -= piece.length;
      this.#reader?.enqueue(piece);
    }
    return true;
  }

  /** Called when the reader waits and nothing is queued. */
  #pull(): void {
    this.#room = QUEUED_BYTES;
    if (this.#failure !== undefined) this.#reader?.error(this.#failure.reason);
    const stalled = this.#stalled;
    if (stalled === undefined) return;
    try {
      if (!this.#giveAll()) return;
      stalled.resolve();
    } catch (error) {
      stalled.reject(this.#fail(error));
    }
    this.#stalled = undefined;
  }

  /** A failure of its own: the reader gets it behind what was authenticated before, the writer at once. */
  #fail(error: unknown): unknown {
    if (this.#failure !== undefined) return this.#failure.reason;
    this.#failure = { reason: error };
    this.#leave();
    if (this.#room === QUEUED_BYTES) this.#reader?.error(error);
    return error;
  }

  /** The reader cancelled, the writer aborted, or the signal did: what was not read yet is given up. */
  #end(reason: unknown): void {
    this.#failure ??= { reason };
    this.#leave();
    this.#reader?.error(reason);
    this.#stalled?.reject(this.#failure.reason);
    this.#stalled = undefined;
  }

  #abort(): void {
    const error = new KeyfoldError("ERR_ABORTED", undefined, { cause: this.#signal?.reason });
    this.#end(error);
    this.#writer?.error(error);
  }

  /** Lets go of what it holds; a piece that nobody will read is wiped. */
  #leave(): void {
    this.#pieces.wipe();
    this.#held?.fill(0);
    this.#held = undefined;
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }

  #requireGoing(): void {
    if (this.#failure === undefined) return;
    this.#pieces.wipe();
    throw this.#failure.reason;
  }
}
