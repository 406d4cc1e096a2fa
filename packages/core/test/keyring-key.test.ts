/** docs/spec/keyring-v1.md: the keyring key, sealed KDKs and the mac, with the vector; and every byte of its document changed. */

import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { KeyfoldErrorCode } from "../src/errors.ts";
import { importKdk } from "../src/key-hierarchy.ts";
import {
  formatKeyring,
  type KeyringDocument,
  type KeyringEntry,
  parseKeyring,
} from "../src/keyring-document.ts";
import { macOf, openKdk, openKdkBytes, requireMac, sealKdk, sealKdkWith } from "../src/keyring-key.ts";
import { bytesOf } from "./support/arbitraries.ts";
import { hex, unhex } from "./support/hex.ts";
import { keyringVector, vectorKey, vectorText } from "./support/keyring-vector.ts";
import { keyringDocument } from "./support/keyrings.ts";
import { codeOf } from "./support/refusal.ts";

const document = parseKeyring(vectorText);
const usable = document.keys.filter(({ state }) => state !== "destroyed");
const key = vectorKey();

function entryOf(index: number): KeyringEntry {
  const entry = document.keys[index];
  if (entry === undefined) throw new Error("There are three.");
  return entry;
}

describe("the vector", () => {
  test("the keyring key gives the id", () => {
    expect(hex(key.id)).toBe(hex(document.id));
    expect(Buffer.from(key.name, "latin1")).toEqual(Buffer.from(key.id));
  });

  test("the mac is the document's", () => {
    expect(hex(macOf(key, document))).toBe(hex(document.mac));
    expect(() => requireMac(key, document)).not.toThrow();
  });

  test("every KDK opens to the one of the vector, and gives its id", () => {
    expect(usable.length).toBe(2);
    expect(usable.map((entry) => hex(openKdkBytes(key, entry)))).toEqual(keyringVector.kdks);
    for (const entry of usable) expect(hex(openKdk(key, entry).id)).toBe(hex(entry.id));
  });

  test("with its nonces, the same sealed KDKs are made", () => {
    for (const [i, { id, sealed }] of usable.entries()) {
      const kdk = unhex(keyringVector.kdks[i] ?? "");
      expect(hex(importKdk(kdk, key.project).id)).toBe(hex(id));
      expect(hex(sealKdkWith(key, id, kdk, sealed.subarray(0, 12)))).toBe(hex(sealed));
    }
  });

  test("written again with the mac that is computed, it is the same text", () => {
    const { mac: _, ...fields } = document;
    expect(formatKeyring({ ...fields, mac: macOf(key, fields) })).toBe(vectorText);
  });
});

describe("a sealed KDK", () => {
  test("opens to what was sealed, under a nonce of its own each time", () => {
    fc.assert(
      fc.property(bytesOf(32), (kdk) => {
        const { id } = importKdk(kdk, key.project);
        const [one, other] = [sealKdk(key, id, kdk), sealKdk(key, id, kdk)];
        expect(hex(one)).not.toBe(hex(other));
        for (const sealed of [one, other]) {
          const entry: KeyringEntry = { id, created: 0, state: "retired", sealed };
          expect(hex(openKdkBytes(key, entry))).toBe(hex(kdk));
          expect(hex(openKdk(key, entry).id)).toBe(hex(id));
        }
      }),
    );
  });

  test("leaves the caller's bytes as they are", () => {
    const kdk = unhex(keyringVector.kdks[0] ?? "");
    sealKdk(key, entryOf(1).id, kdk);
    expect(hex(kdk)).toBe(keyringVector.kdks[0]);
  });

  test("with any bit of it or of its id changed does not open", () => {
    const { id, sealed } = entryOf(1);
    for (let bit = 0; bit < 8 * 60; bit++) {
      expectRefused({ ...entryOf(1), sealed: flipped(sealed, bit) });
    }
    for (let bit = 0; bit < 8 * 16; bit++) expectRefused({ ...entryOf(1), id: flipped(id, bit) });
  });

  test("of another length does not open", () => {
    const { sealed } = entryOf(1);
    for (const other of [sealed.slice(1), sealed.slice(0, -1), new Uint8Array(61), new Uint8Array(0)])
      expectRefused({ ...entryOf(1), sealed: other });
  });

  test("under the id of another key is refused, though it opens", () => {
    const kdk = unhex(keyringVector.kdks[0] ?? "");
    const { id } = entryOf(2);
    expectRefused({ ...entryOf(2), sealed: sealKdk(key, id, kdk) });
  });

  test("of another keyring, or another project, does not open", () => {
    for (const entry of usable) {
      expect(codeOf(() => openKdk(vectorKey("billing/test"), entry))).toBe("ERR_KEYRING_INVALID");
    }
  });

  test("that was destroyed says so", () => {
    expect(codeOf(() => openKdk(key, entryOf(0)))).toBe("ERR_KEY_DESTROYED");
    expect(codeOf(() => openKdkBytes(key, entryOf(0)))).toBe("ERR_KEY_DESTROYED");
  });
});

describe("the mac", () => {
  test("holds for the document alone that it was made for", () => {
    fc.assert(
      fc.property(keyringDocument, keyringDocument, (one, other) => {
        const made: KeyringDocument = { ...one, mac: macOf(key, one) };
        expect(() => requireMac(key, made)).not.toThrow();
        expect(codeOf(() => requireMac(key, { ...other, mac: made.mac }))).toBe("ERR_KEYRING_INVALID");
        expect(codeOf(() => requireMac(vectorKey("another"), made))).toBe("ERR_KEYRING_INVALID");
      }),
    );
  });

  test("with any bit of it changed, or of another length, is refused", () => {
    for (let bit = 0; bit < 8 * 32; bit++) {
      expect(codeOf(() => requireMac(key, { ...document, mac: flipped(document.mac, bit) }))).toBe(
        "ERR_KEYRING_INVALID",
      );
    }
    for (const mac of [document.mac.slice(1), new Uint8Array(0)])
      expect(codeOf(() => requireMac(key, { ...document, mac }))).toBe("ERR_KEYRING_INVALID");
  });
});

describe("every byte of the document changed", () => {
  const text = Buffer.from(vectorText);
  const isSpace = (byte: number | undefined) => byte !== undefined && [0x20, 0x0a, 0x0d, 0x09].includes(byte);

  test("by each of its bits, and to whatever JSON is made of, is refused with a code, but for white space", () => {
    const codes = new Map<KeyfoldErrorCode, number>();
    const accepted: string[] = [];
    for (let at = 0; at < text.length; at++) {
      const before = text[at];
      for (const byte of others(before ?? 0)) {
        text[at] = byte;
        const code = verdict(text.toString("utf8"));
        if (code !== undefined) codes.set(code, (codes.get(code) ?? 0) + 1);
        else if (!(isSpace(before) && isSpace(byte))) accepted.push(`${at}: ${before} to ${byte}`);
      }
      text[at] = before ?? 0;
    }
    expect(accepted).toEqual([]);
    expect([...codes.keys()]).toEqual(["ERR_KEYRING_INVALID"]);
    expect(codes.get("ERR_KEYRING_INVALID")).toBeGreaterThan(25 * text.length);
  });

  test("by leaving it out, or by another one before it, is refused with a code, but for white space", () => {
    const accepted: string[] = [];
    for (let at = 0; at < text.length; at++) {
      const [head, tail] = [text.subarray(0, at), text.subarray(at)];
      const edits: [what: string, edited: Buffer, harmless: boolean][] = [
        ["removed", Buffer.concat([head, tail.subarray(1)]), isSpace(text[at])],
        ["doubled", Buffer.concat([head, tail.subarray(0, 1), tail]), isSpace(text[at])],
        ...Array.from('0A"\\,:{}[]-.e/', (character): [string, Buffer, boolean] => [
          `${character} inserted`,
          Buffer.concat([head, Buffer.from(character), tail]),
          // Another spelling of the same text, as some writers prefer it.
          character === "\\" && text[at] === "/".charCodeAt(0),
        ]),
        ["cut", head, vectorText.slice(at).trim() === ""],
      ];
      for (const [what, edited, harmless] of edits) {
        if (verdict(edited.toString("utf8")) === undefined && !harmless) accepted.push(`${at}: ${what}`);
      }
    }
    expect(accepted).toEqual([]);
  });

  test("and no bit of a document with escapes changes unseen", () => {
    const { mac: _, ...fields } = document;
    const escaped = { ...fields, kmsContext: { "\u001f\n": 'é"\\/\u{1f511}' } };
    const whole = Buffer.from(formatKeyring({ ...escaped, mac: macOf(key, escaped) }));
    expect(verdict(whole.toString("utf8"))).toBeUndefined();
    const accepted: string[] = [];
    for (let bit = 0; bit < 8 * whole.length; bit++) {
      const edited = Buffer.from(flipped(whole, bit));
      if (verdict(edited.toString("utf8")) === undefined && !isSpace(whole[bit >> 3]))
        accepted.push(`bit ${bit}`);
    }
    expect(accepted).toEqual([]);
  });

  test("untouched it is accepted", () => {
    expect(verdict(vectorText)).toBeUndefined();
  });
});

test("nothing that holds a key prints it", () => {
  for (const secret of [keyringVector.keyringKey, ...keyringVector.kdks]) {
    const shown = inspect([key, usable.map((entry) => openKdk(key, entry))], { depth: 9, showHidden: true });
    expect(shown).not.toContain(secret);
    expect(shown).not.toContain(Buffer.from(secret, "hex").toString("base64url"));
    expect(shown).not.toContain(inspect(unhex(secret)).slice(0, 60));
  }
});

/** What a reader says of a text: the code that it refuses it with, or undefined. */
function verdict(text: string): KeyfoldErrorCode | undefined {
  let accepted = false;
  const code = codeOf(() => {
    const read = parseKeyring(text);
    requireMac(key, read);
    for (const entry of read.keys) if (entry.state !== "destroyed") openKdk(key, entry);
    accepted = true;
    openKdk(key, entryOf(0));
  });
  return accepted ? undefined : code;
}

/** What a byte may become: itself with one bit changed, and every character that means something in JSON or in base64url. */
function others(byte: number): number[] {
  const flips = Array.from({ length: 8 }, (_, bit) => byte ^ (1 << bit));
  const telling = Array.from(' \t\r\n"\\,:{}[]-_.+=/eEuAZaz019', (character) => character.charCodeAt(0));
  return [...new Set([...flips, ...telling])].filter((other) => other !== byte);
}

function expectRefused(entry: KeyringEntry): void {
  expect(codeOf(() => openKdk(key, entry))).toBe("ERR_KEYRING_INVALID");
  expect(codeOf(() => openKdkBytes(key, entry))).toBe("ERR_KEYRING_INVALID");
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(bytes);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}
