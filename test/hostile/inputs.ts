/** Hostile envelopes, drawn at random: half of them mutants of valid ones. */

import { encodeText } from "../../packages/core/src/envelope.ts";
import type { Originals } from "./originals.ts";
import type { Random } from "./random.ts";

/** One input in this many is made of an envelope with two chunks, which takes longer to open. */
const LONG_ONE_IN = 250;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/** Characters that a careless decoder of base64url takes for others, or skips. */
const STRANGE = ["=", "+", "/", " ", "\n", "\0", "é", "\ud800", "\u{1f511}", ".", "kf1.", ""];
/** Values of a two-byte length that are at an end of what it may be. */
const EXTREMES = [0, 1, 2, 0xff, 0x100, 0x400, 0x401, 0x7fff, 0x8000, 0xfffe, 0xffff];

export interface Input {
  /** What drew it, for whoever reads of a failure. */
  readonly kind: string;
  readonly envelope: Uint8Array | string;
}

type Draw = (random: Random, originals: Originals) => Uint8Array | string;

/** The other half: what nobody sealed. */
const others: readonly (readonly [kind: string, draw: Draw])[] = [
  ["random bytes", (random) => random.bytes(random.below(400))],
  ["random text", randomText],
  ["text of random bytes", (random) => encodeText(random.bytes(random.below(200)))],
  ["magic and random bytes", afterMagic],
  ["a garbage header", garbageHeader],
  ["a poisoned header", poisoned],
  ["truncated", (random, originals) => truncated(random, original(random, originals))],
  ["spliced", spliced],
  ["extreme lengths", extremeLengths],
  ["claims", claims],
];

/** How a mutant comes to be: each changes the bytes a little. */
const mutations: readonly ((random: Random, bytes: Uint8Array) => Uint8Array)[] = [
  flipBit,
  flipBit,
  setByte,
  truncated,
  (random, bytes) => replaced(bytes, random.below(bytes.length + 1), 0, random.bytes(1 + random.below(8))),
  (random, bytes) => replaced(bytes, random.below(bytes.length + 1), 1 + random.below(8), new Uint8Array(0)),
  (random, bytes) => replaced(bytes, random.below(bytes.length + 1), 0, slice(random, bytes)),
  (random, bytes) => replaced(bytes, bytes.length, 0, random.bytes(1 + random.below(40))),
];

/** A mutant for an even index, and for an odd one something else; never an envelope that is as it was sealed. */
export function drawInput(random: Random, originals: Originals, index: number): Input {
  const [kind, draw] = index % 2 === 0 ? (["mutant", mutant] as const) : random.pick(others);
  for (;;) {
    const envelope = presented(random, draw(random, originals));
    if (!originals.includes(envelope)) return { kind, envelope };
  }
}

function original(random: Random, { short, long }: Originals): Uint8Array {
  return random.pick(random.chance(1, LONG_ONE_IN) ? long : short);
}

function mutant(random: Random, originals: Originals): Uint8Array | string {
  let bytes = original(random, originals);
  if (random.chance(1, 8)) return mutantText(random, encodeText(bytes));
  for (let changes = random.pick([1, 1, 1, 2, 3]); changes > 0; changes--)
    bytes = random.pick(mutations)(random, bytes);
  return bytes;
}

function mutantText(random: Random, text: string): string {
  const at = random.below(text.length + 1);
  const character = random.chance(1, 2) ? random.pick(STRANGE) : random.pick([...ALPHABET]);
  return text.slice(0, at) + character + text.slice(at + random.below(2));
}

function randomText(random: Random): string {
  const characters = Array.from({ length: random.below(120) }, () =>
    random.chance(1, 20) ? random.pick(STRANGE) : ALPHABET.charAt(random.below(64)),
  );
  return (random.chance(3, 4) ? "kf1." : "") + characters.join("");
}

function afterMagic(random: Random): Uint8Array {
  const version = random.chance(7, 8) ? 1 : random.below(256);
  const flags = random.chance(7, 8) ? random.below(2) : random.below(256);
  return joined([0x4b, 0x46, version, flags], random.bytes(random.below(400)));
}

/** Wraps of every shape around the bounds, under URIs that may be anybody's, with nothing but noise for keys. */
function garbageHeader(random: Random): Uint8Array {
  const count = random.pick([0, 1, 1, 1, 2, 3, 16, 17, 255]);
  const wraps = Array.from({ length: Math.min(count, 17) }, () => [
    ...prefixed(
      random.pick([text("kms:one"), text("rsa:four"), text("x"), text(" "), text(""), random.bytes(4)]),
    ),
    ...prefixed(random.bytes(random.pick([0, 1, 27, 28, 60, 61]))),
  ]);
  const block = prefixed(joined([count], ...wraps));
  return joined([0x4b, 0x46, 1, 1], random.bytes(32), block, random.bytes(60 + random.below(120)));
}

/** The key id and the message of a valid envelope, with wraps of noise under known URIs. */
function poisoned(random: Random, originals: Originals): Uint8Array {
  const victim = original(random, originals);
  const uris = ["kms:one", "kms:two", "kms:three"].slice(0, 1 + random.below(3));
  const wraps = uris.map((uri) => [...prefixed(text(uri)), ...prefixed(random.bytes(60))]);
  const block = prefixed(joined([wraps.length], ...wraps));
  return joined([0x4b, 0x46, 1, 1], victim.subarray(4, 36), block, victim.subarray(-156));
}

/** The beginning of one envelope and the end of another. */
function spliced(random: Random, originals: Originals): Uint8Array {
  const first = original(random, originals);
  const second = original(random, originals);
  const cut = random.below(first.length + 1);
  return joined(
    first.subarray(0, cut),
    second.subarray(random.chance(1, 2) ? cut : random.below(second.length)),
  );
}

/** A valid envelope in which two bytes, wherever a length may stand, say another one. */
function extremeLengths(random: Random, originals: Originals): Uint8Array {
  const bytes = original(random, originals).slice();
  for (let changes = 1 + random.below(2); changes > 0; changes--) {
    const at = random.pick([36, 39, 48, 50, 36 + random.below(120)]);
    bytes.set(prefix(random.pick(EXTREMES)), Math.min(at, bytes.length - 2));
  }
  return bytes;
}

/** A few bytes that say that many follow. */
function claims(random: Random): Uint8Array {
  const most = () => prefix(random.pick([0x7fff, 0xfff0, 0xffff]));
  const uri = random.chance(1, 2) ? most() : joined(prefixed(text("kms:one")), most());
  const length = random.chance(1, 2) ? most() : prefix(1 + uri.length + random.below(40));
  const rest = random.bytes(random.below(120));
  return joined([0x4b, 0x46, 1, 1], random.bytes(32), length, [1 + random.below(16)], uri, rest);
}

function flipBit(random: Random, bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  const at = random.below(bytes.length || 1);
  copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
  return copy;
}

function setByte(random: Random, bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy[random.below(bytes.length || 1)] = random.below(256);
  return copy;
}

function truncated(random: Random, bytes: Uint8Array): Uint8Array {
  return bytes.slice(0, random.below(bytes.length + 1));
}

function slice(random: Random, bytes: Uint8Array): Uint8Array {
  const start = random.below(bytes.length + 1);
  return bytes.subarray(start, start + 1 + random.below(80));
}

function replaced(bytes: Uint8Array, at: number, count: number, by: Uint8Array): Uint8Array {
  return joined(bytes.subarray(0, at), by, bytes.subarray(at + count));
}

/** As callers hold bytes: in memory of their own, as a Buffer, as a view amid other bytes, or as text. */
function presented(random: Random, envelope: Uint8Array | string): Uint8Array | string {
  if (typeof envelope === "string") return envelope;
  switch (random.below(8)) {
    case 0:
      return encodeText(envelope);
    case 1:
      return Buffer.from(envelope);
    case 2:
      return joined(random.bytes(16), envelope, random.bytes(16)).subarray(16, 16 + envelope.length);
    default:
      return envelope;
  }
}

function joined(...parts: readonly ArrayLike<number>[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

function prefixed(bytes: Uint8Array): Uint8Array {
  return joined(prefix(bytes.length), bytes);
}

function prefix(length: number): Uint8Array {
  return Uint8Array.of(length >>> 8, length & 0xff);
}

function text(ascii: string): Uint8Array {
  return new TextEncoder().encode(ascii);
}
