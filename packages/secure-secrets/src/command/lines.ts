/** Lines of a stream of bytes, as bytes: what ends one is a line feed and nothing else. */

/** More than that without a line feed is no JSON line: 64 MiB. */
const MOST_BYTES = 64 * 1024 * 1024;
const LINE_FEED = 0x0a;

export interface Line {
  /** Without its line feed. */
  readonly bytes: Uint8Array;
  /** 1 for the first. */
  readonly number: number;
  /** False for what follows the last line feed. */
  readonly isWhole: boolean;
}

/** @throws `RangeError` for a line that is too long, and the stream's own errors */
export async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Line, void, undefined> {
  let rest: Uint8Array[] = [];
  let restBytes = 0;
  let number = 1;
  for await (const chunk of stream) {
    let from = 0;
    for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, from)) {
      yield { bytes: Buffer.concat([...rest, chunk.subarray(from, at)]), number: number++, isWhole: true };
      rest = [];
      restBytes = 0;
      from = at + 1;
    }
    rest.push(chunk.subarray(from));
    restBytes += chunk.length - from;
    if (restBytes > MOST_BYTES) throw new RangeError(`Line ${number} is longer than ${MOST_BYTES} bytes.`);
  }
  if (restBytes > 0) yield { bytes: Buffer.concat(rest), number, isWhole: false };
}
