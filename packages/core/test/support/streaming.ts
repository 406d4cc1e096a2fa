/** Envelopes through streams, in writes of chosen lengths; and the parts of core under the random and the key hierarchy. */

import { type Bytes, concat } from "../../src/bytes.ts";
import { MESSAGE_SALT_BYTES, MessageKeys } from "../../src/cobblestone.ts";
import { encodeApplicationContext } from "../../src/context.ts";
import { decodeHeader } from "../../src/envelope.ts";
import { KeyfoldError } from "../../src/errors.ts";
import { KeyCache } from "../../src/key-cache.ts";
import { encodeName } from "../../src/key-hierarchy.ts";
import { resolveOptions } from "../../src/options.ts";
import { OpeningPieces, SealingPieces } from "../../src/pieces.ts";
import { streamOf } from "../../src/streams.ts";
import { unhex } from "./hex.ts";
import { type EnvelopeVector, type InHand, masterKeyWith, sealVector } from "./vectors.ts";

export type ByteStream = TransformStream<Uint8Array, Uint8Array>;

/** What came out, and what it ended with; undefined for a good end. */
export interface Outcome {
  readonly bytes: Bytes;
  readonly pieces: number;
  readonly failure: KeyfoldError | undefined;
}

/** Writes `bytes` in parts of these lengths, over and over, while it reads all that comes out. */
export async function through(
  stream: ByteStream,
  bytes: Uint8Array,
  lengths: readonly number[],
): Promise<Outcome> {
  const writer = stream.writable.getWriter();
  const writing = (async () => {
    let offset = 0;
    for (let i = 0; offset < bytes.length; i++) {
      const length = lengths[i % lengths.length] ?? 0;
      await writer.write(bytes.subarray(offset, offset + length));
      offset += length;
    }
    await writer.close();
  })();
  const [outcome, written] = await Promise.all([collect(stream.readable), refusal(writing)]);
  if (outcome.failure !== written) throw new Error("The two sides do not fail with the same error.");
  return outcome;
}

/** All that a stream gives before it ends or fails. */
export async function collect(readable: ReadableStream<Uint8Array>): Promise<Outcome> {
  const pieces: Uint8Array[] = [];
  const reading = (async () => {
    for await (const piece of readable) pieces.push(piece);
  })();
  const failure = await refusal(reading);
  return { bytes: concat(...pieces), pieces: pieces.length, failure };
}

async function refusal(promise: Promise<unknown>): Promise<KeyfoldError | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    if (error instanceof KeyfoldError) return error;
    throw error;
  }
}

/** The stream that seals a vector, by its draws. */
export function sealingStream(vector: EnvelopeVector): ByteStream {
  const envelope = sealVector(vector);
  const header = envelope.slice(0, decodeHeader(envelope).length);
  const context = encodeApplicationContext(vector.context);
  return sealingStreamWith(header, unhex(vector.dek), unhex(vector.messageSalt), context);
}

export function sealingStreamWith(
  header: Uint8Array,
  dek: Uint8Array,
  salt: Uint8Array,
  context: Uint8Array,
): ByteStream {
  const begin = async () => ({ header, keys: new MessageKeys(dek, salt, context) });
  return streamOf(new SealingPieces(begin), () => {});
}

/** The stream that opens with a KDK in hand, by core's own checks. */
export function openingStream(hand: InHand): ByteStream {
  const context = encodeApplicationContext(hand.context);
  return streamOf(new OpeningPieces((header) => dekInHand(hand, header), context), () => {});
}

/** The DEK in a header, by a KDK in hand; the wraps in the header are ignored. */
export async function dekInHand({ kdk, project, scope }: InHand, header: Uint8Array): Promise<Uint8Array> {
  const wraps = [{ masterKey: "test:in-hand", ciphertext: new Uint8Array(1) }];
  const keys = new KeyCache(resolveOptions({ project, openWith: masterKeyWith(kdk) }));
  const inScope = { name: scope, encoded: encodeName("scope", scope) };
  return keys.obtainDek({ ...decodeHeader(header), wraps }, inScope, { signals: [] });
}

const ANY_HEADER = concat(Uint8Array.of(0x4b, 0x46, 1, 0), new Uint8Array(92));

/** An envelope for a message that stands alone, and the stream that opens it with the message's key. */
export function enveloped(message: Uint8Array): Bytes {
  return concat(ANY_HEADER, message);
}

export function openingStreamWith(key: Uint8Array, context: Uint8Array): ByteStream {
  return streamOf(new OpeningPieces(async () => key.slice(), context), () => {});
}

/** The stream that seals to the message of these bytes, without the header before it. */
export function resealingStream(key: Uint8Array, message: Uint8Array, context: Uint8Array): ByteStream {
  const salt = message.subarray(0, MESSAGE_SALT_BYTES);
  return sealingStreamWith(new Uint8Array(0), key, salt, context);
}
