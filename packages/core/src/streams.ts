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
 * A `TransformStream` of the platform would queue all that comes of one write. This one makes a piece only when the
 * reader asks for it, however much was written at once, so its two sides are streams of their own.
 *
 * @param finished called once, when the last piece was taken
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
  /** Whether the reader waits for a piece that it was not given yet. */
  #wanted = false;
  /** Wakes the write that waits until a piece is wanted. */
  #wake: (() => void) | undefined;
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

  async #write(chunk: Uint8Array): Promise<void> {
    try {
      requireArgument(isUint8Array(chunk), "A stream of bytes takes Uint8Arrays, and nothing else.");
      const keys = this.#pieces.take(chunk);
      if (keys !== undefined) await keys;
      this.#requireGoing();
      for (let piece = this.#pieces.next(); piece !== undefined; piece = this.#pieces.next()) {
        if (!this.#wanted) await this.#demand(piece);
        this.#give(piece);
      }
    } catch (error) {
      throw this.#fail(error);
    }
  }

  async #close(): Promise<void> {
    try {
      const last = await this.#pieces.finish();
      this.#requireGoing();
      if (last.length > 0) {
        if (!this.#wanted) await this.#demand(last);
        this.#give(last);
      }
      this.#leave();
      this.#reader?.close();
      this.#finished();
    } catch (error) {
      throw this.#fail(error);
    }
  }

  #give(piece: Bytes): void {
    this.#wanted = false;
    this.#reader?.enqueue(piece);
  }

  /** Waits until the reader wants the piece; wipes it where that never comes. */
  async #demand(piece: Bytes): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    if (this.#failure !== undefined) piece.fill(0);
    this.#requireGoing();
  }

  #pull(): void {
    this.#wanted = true;
    if (this.#failure !== undefined) this.#reader?.error(this.#failure.reason);
    this.#wakeUp();
  }

  /** A failure of its own: the reader gets it behind what was authenticated before, the writer at once. */
  #fail(error: unknown): unknown {
    if (this.#failure !== undefined) return this.#failure.reason;
    this.#failure = { reason: error };
    this.#leave();
    if (this.#wanted) this.#reader?.error(error);
    return error;
  }

  /** The reader cancelled, the writer aborted, or the signal did: what was not read yet is given up. */
  #end(reason: unknown): void {
    this.#failure ??= { reason };
    this.#leave();
    this.#reader?.error(reason);
    this.#wakeUp();
  }

  #abort(): void {
    const error = new KeyfoldError("ERR_ABORTED", undefined, { cause: this.#signal?.reason });
    this.#end(error);
    this.#writer?.error(error);
  }

  #leave(): void {
    this.#pieces.wipe();
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  #requireGoing(): void {
    if (this.#failure === undefined) return;
    this.#pieces.wipe();
    throw this.#failure.reason;
  }
}
