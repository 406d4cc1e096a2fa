import type { KeyObject } from "node:crypto";
import { describe, expect, test } from "vitest";
import { encodeApplicationContext } from "../src/context.ts";
import { decodeHeader, decodeText, encodeText } from "../src/envelope.ts";
import { createKeyfold } from "../src/keyfold.ts";
import { rejection } from "./support/behaviour.ts";
import { hex, unhex } from "./support/hex.ts";
import {
  digestOf,
  type EnvelopeVector,
  envelopeVectors,
  type InvalidVector,
  invalidVectors,
  keysOf,
  masterKeyWith,
  messageKeys,
  needsKeyring,
  openInHand,
  plaintextOf,
  sealVector,
  sha256,
} from "./support/vectors.ts";

const embedding = envelopeVectors.filter(({ wraps }) => wraps.length > 0);
const withText = envelopeVectors.filter(({ text }) => text !== null);

describe("the vectors", () => {
  test("are 12, six of them with a text form, three with wraps", () => {
    expect(envelopeVectors).toHaveLength(12);
    expect(embedding.map(({ name }) => name)).toEqual(["embedded-one", "embedded-three", "past-256-chunks"]);
    expect(withText).toHaveLength(6);
  });

  test.each(envelopeVectors)("$name: the KDK gives its id and its KEK", (vector) => {
    const { id, kek } = keysOf(vector);
    expect(hex(id)).toBe(vector.kdkId);
    expect(hex((kek as KeyObject).export())).toBe(vector.kek);
  });

  test.each(envelopeVectors)("$name: the context is encoded to its bytes", ({ context, encodedContext }) => {
    expect(hex(encodeApplicationContext(context))).toBe(encodedContext);
  });

  test.each(envelopeVectors)("$name: the DEK gives payload key, base nonce and commitment", (vector) => {
    const { dek, messageSalt, encodedContext, payloadKey, baseNonce, commitment } = vector;
    const derived = messageKeys(unhex(dek), unhex(messageSalt), unhex(encodedContext));
    expect(derived).toEqual({ payloadKey, baseNonce, commitment });
  });

  test.each(envelopeVectors.flatMap(long))("$name: the plaintext is made to its digest", (vector) => {
    const plaintext = plaintextOf(vector);
    expect([plaintext.length, sha256(plaintext)]).toEqual([vector.plaintext.length, vector.plaintext.sha256]);
  });

  test.each(envelopeVectors)("$name: its inputs seal to its bytes", (vector) => {
    expect(digestOf(sealVector(vector), vector.envelope)).toEqual(vector.envelope);
  });

  test.each(envelopeVectors)(
    "$name: sealed DEK, message salt and commitment stand in their places",
    (vector) => {
      const envelope = sealVector(vector);
      const { length, sealedDek } = decodeHeader(envelope);
      expect(hex(sealedDek)).toBe(vector.sealedDek);
      expect(hex(envelope.subarray(length, length + 56))).toBe(vector.messageSalt + vector.commitment);
    },
  );

  test.each(envelopeVectors)("$name: opens to its plaintext with the KDK in hand", async (vector) => {
    const opened = await openInHand(vector, envelopeOf(vector));
    expect(sha256(opened)).toBe(sha256(plaintextOf(vector)));
  });

  test.each(embedding)("$name: opens by each of its wraps", async (vector) => {
    for (const { masterKey, wrapped } of vector.wraps) {
      const asked: string[] = [];
      const provider = {
        ...masterKeyWith(vector.kdk),
        recognizes: (uri: string) => uri === masterKey,
        unwrapKey: async ({ ciphertext }: { ciphertext: Uint8Array }) => {
          asked.push(hex(ciphertext));
          return unhex(vector.kdk);
        },
      };
      const keyfold = createKeyfold({ ...namesOf(vector), openWith: provider });
      const opened = await keyfold.open(envelopeOf(vector), vector.context);
      expect(sha256(opened)).toBe(sha256(plaintextOf(vector)));
      expect(asked).toEqual([wrapped]);
    }
  });

  test.each(withText)("$name: its bytes have its text form, and its text its bytes", async (vector) => {
    const text = vector.text ?? "";
    expect(encodeText(sealVector(vector))).toBe(text);
    expect(await openInHand(vector, decodeText(text))).toEqual(plaintextOf(vector));
  });

  /** The file's own bytes; of a long one, which the file does not hold, those that were compared with its digest. */
  function envelopeOf(vector: EnvelopeVector): Uint8Array {
    if (typeof vector.envelope === "string") return unhex(vector.envelope);
    const sealed = sealVector(vector);
    expect(digestOf(sealed, vector.envelope)).toEqual(vector.envelope);
    return sealed;
  }

  function long(vector: EnvelopeVector) {
    const { plaintext } = vector;
    return typeof plaintext === "string" ? [] : [{ ...vector, plaintext }];
  }
});

describe("the invalid vectors", () => {
  const reachable = invalidVectors.filter((vector) => !needsKeyring(vector));

  test("are 43, of which 26 are refused whether or not there is a keyring", () => {
    expect(invalidVectors).toHaveLength(43);
    expect(new Set(invalidVectors.map(({ name }) => name)).size).toBe(43);
    expect(reachable).toHaveLength(26);
  });

  test.each(invalidVectors)("$name is refused with $code, with the KDK in hand", async (vector) => {
    const opening = async () => openInHand(vector, bytesOf(vector));
    expect((await rejection(opening())).code).toBe(vector.code);
  });

  test.each(reachable)("$name is refused with $code by open", async (vector) => {
    const keyfold = createKeyfold({ ...namesOf(vector), openWith: masterKeyWith(vector.kdk) });
    const given = vector.text ?? unhex(vector.envelope);
    expect((await rejection(keyfold.open(given, vector.context))).code).toBe(vector.code);
  });

  function bytesOf({ envelope, text }: InvalidVector): Uint8Array {
    return text === undefined ? unhex(envelope) : decodeText(text);
  }
});

function namesOf({ project, scope }: Pick<EnvelopeVector, "project" | "scope">) {
  return { project, scope };
}
