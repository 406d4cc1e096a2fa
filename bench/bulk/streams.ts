/**
 * Pieces as the streams that a contender takes, and streams back into pieces. A source takes a turn of the event loop for
 * each piece, as a file or a socket does. One that always has the next piece at once starves Node's own callbacks, which
 * pile up until the end of the stream wherever web streams are in the pipeline.
 */

import { Readable, Writable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { PIECE_BYTES, type Pieces, type Take } from "./contender.ts";

export function readableOf(pieces: Pieces): Readable {
  const each = pieces[Symbol.iterator]();
  return new Readable({
    highWaterMark: PIECE_BYTES,
    read() {
      setImmediate(() => {
        const { done, value } = each.next();
        this.push(done ? null : value);
      });
    },
  });
}

export function writableTo(take: Take): Writable {
  return new Writable({
    highWaterMark: PIECE_BYTES,
    write(piece, _encoding, done) {
      take(piece);
      done();
    },
  });
}

export function webReadableOf(pieces: Pieces): ReadableStream<Uint8Array<ArrayBuffer>> {
  const each = pieces[Symbol.iterator]();
  return new ReadableStream({
    async pull(controller) {
      await nextTurn();
      const { done, value } = each.next();
      if (done) controller.close();
      else controller.enqueue(value as Uint8Array<ArrayBuffer>);
    },
  });
}

export async function drain(stream: ReadableStream<Uint8Array>, take: Take): Promise<void> {
  await stream.pipeTo(new WritableStream({ write: (piece) => take(piece) }));
}
