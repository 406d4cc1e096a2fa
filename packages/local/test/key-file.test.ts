/** The key file as a value and as bytes: what is written is read again, and everything else is refused. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { refusalOf } from "../../../test/support/refusal.ts";
import { formatKeyFile, type KeyFileEntry, newEntry, parseKeyFile } from "../src/key-file.ts";
import { localKey } from "../src/wrap.ts";
import { entryOf, hex, keyFileOf } from "./support/material.ts";

const PATH = "/etc/app/master.key";

const created = fc
  .date({
    min: new Date("0000-01-01T00:00:00Z"),
    max: new Date("9999-12-31T23:59:59Z"),
    noInvalidDate: true,
  })
  .chain((date) =>
    fc.constantFrom(
      date.toISOString(),
      `${date.toISOString().slice(0, 19)}Z`,
      `${date.toISOString().slice(0, 19)}.123456789Z`,
    ),
  );
const keys = fc.uniqueArray(fc.uint8Array({ minLength: 32, maxLength: 32 }), {
  minLength: 1,
  maxLength: 8,
  selector: hex,
});
const entries = keys.chain((all) =>
  fc.tuple(...all.map((key) => created.map((time) => ({ key, created: time })))),
);

describe("a key file that is written", () => {
  test("is read as the same keys, in order, and written to the same bytes again", () => {
    fc.assert(
      fc.property(entries, (list) => {
        const written = list.map(entryFrom);
        const bytes = formatKeyFile(written);
        const read = parseKeyFile(bytes, PATH);
        expect(read.map(asValue)).toEqual(written.map(asValue));
        expect(hex(formatKeyFile(read))).toBe(hex(bytes));
      }),
    );
  });

  test("is the document of the specification", () => {
    const { masterKey } = entryOf(7);
    expect(JSON.parse(new TextDecoder().decode(keyFileOf(7)))).toEqual({
      keyfold: "key/1",
      keys: [
        {
          id: masterKey.slice("local:".length),
          key: "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc",
          created: "2026-01-31T12:00:00Z",
        },
      ],
    });
    expect(masterKey).toMatch(/^local:[0-9a-f]{32}$/);
  });

  test("is not changed by reading it", () => {
    const bytes = keyFileOf(1, 2);
    parseKeyFile(bytes, PATH);
    expect(hex(bytes)).toBe(hex(keyFileOf(1, 2)));
  });

  test("may have white space and members in another order", () => {
    const { keyfold, keys: listed } = documentOf(1);
    const text = `\n ${JSON.stringify({ keys: listed, keyfold }, null, "\t")}\r\n`;
    expect(parseKeyFile(new TextEncoder().encode(text), PATH).map(asValue)).toEqual([asValue(entryOf(1))]);
  });

  test("begins with a key that is random", () => {
    const [one, other] = [newEntry(), newEntry()];
    expect(one.masterKey).not.toBe(other.masterKey);
    expect(one.created).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  });
});

interface Entry {
  id: unknown;
  key: unknown;
  created: unknown;
  [member: string]: unknown;
}

interface Document {
  keyfold: unknown;
  keys: Entry[];
  [member: string]: unknown;
}

type Edit = (document: Document, entry: Entry) => unknown;

const BASE = "The key file /etc/app/master.key is malformed: ";
const MEND = ". Correct it, or restore it from a copy.";

/** What is done to a good file, and what the message then says between its beginning and the mend. */
const refusals: readonly (readonly [name: string, what: string, edit: Edit])[] = [
  ["an array", 'it must be an object of "keyfold" and "keys", and of nothing else', () => []],
  ["null", 'it must be an object of "keyfold" and "keys", and of nothing else', () => null],
  ["a string", 'it must be an object of "keyfold" and "keys", and of nothing else', () => "key/1"],
  [
    "without keys",
    'it must be an object of "keyfold" and "keys", and of nothing else',
    () => ({ keyfold: "key/1" }),
  ],
  [
    "with a member too many",
    'it must be an object of "keyfold" and "keys", and of nothing else',
    (document) => ({ ...document, comment: "" }),
  ],
  [
    "of another version",
    '"keyfold" must be "key/1": a newer release may have written it',
    (document) => ({ ...document, keyfold: "key/2" }),
  ],
  ["with no key", '"keys" must list at least one key', (document) => ({ ...document, keys: [] })],
  [
    "with keys that are no list",
    '"keys" must list at least one key',
    (document) => ({ ...document, keys: {} }),
  ],
  [
    "with an entry that is no object",
    'keys[1] must be an object of "id", "key" and "created", and of nothing else',
    (document, entry) => ({ ...document, keys: [entry, "key"] }),
  ],
  [
    "with an entry that lacks created",
    'keys[0] must be an object of "id", "key" and "created", and of nothing else',
    (document, { id, key }) => ({ ...document, keys: [{ id, key }] }),
  ],
  [
    "with an entry of a member too many",
    'keys[0] must be an object of "id", "key" and "created", and of nothing else',
    (document, entry) => ({ ...document, keys: [{ ...entry, note: "" }] }),
  ],
  ...[
    ["a number", 1],
    ["31 bytes", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw"],
    ["33 bytes", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH"],
    ["padded", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="],
    ["hex", "07".repeat(32)],
    ["of unused bits that are set", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwd"],
    ["followed by a space", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc "],
    ["in the alphabet of base64", Buffer.alloc(32, 0xfb).toString("base64").slice(0, 43)],
  ].map(
    ([name, key]) =>
      [
        `with a key that is ${name}`,
        "keys[0].key must be base64url of 32 bytes, without padding",
        (document: Document, entry: Entry) => ({ ...document, keys: [{ ...entry, key }] }),
      ] as const,
  ),
  ...[
    ["another key's", entryOf(2).masterKey.slice(6)],
    ["in upper case", entryOf(1).masterKey.slice(6).toUpperCase()],
    ["a URI", entryOf(1).masterKey],
    ["a number", 1],
  ].map(
    ([name, id]) =>
      [
        `with an id that is ${name}`,
        `keys[0].id must be the id of its key; that of the key as it stands is ${entryOf(1).masterKey.slice(6)}`,
        (document: Document, entry: Entry) => ({ ...document, keys: [{ ...entry, id }] }),
      ] as const,
  ),
  ...[
    "2026-02-30T00:00:00Z",
    "2026-01-31T12:00:00+01:00",
    "2026-01-31",
    "2026-01-31T24:00:00Z",
    "",
    0,
    null,
  ].map(
    (time) =>
      [
        `created at ${JSON.stringify(time)}`,
        'keys[0].created must be a time such as "2026-01-31T12:00:00Z"',
        (document: Document, entry: Entry) => ({ ...document, keys: [{ ...entry, created: time }] }),
      ] as const,
  ),
  [
    "with a key twice",
    `the key ${entryOf(1).masterKey.slice(6)} is in it twice: delete one`,
    (document, entry) => ({ ...document, keys: [entry, documentOf(2).keys[0], entry] }),
  ],
];

describe("a key file is refused", () => {
  test.each(refusals)("%s", (_, what, edit) => {
    const document = documentOf(1);
    const [entry] = document.keys;
    if (entry === undefined) throw new Error("A file of one key has no key.");
    const text = JSON.stringify(edit(document, entry));
    const refusal = refusalOf(() => parseKeyFile(new TextEncoder().encode(text), PATH));
    expect(refusal.code).toBe("ERR_KEY_FILE");
    expect(refusal.message).toBe(`${BASE}${what}${MEND}`);
  });

  test.each([
    ["empty", new Uint8Array()],
    ["cut", keyFileOf(1).subarray(0, 150)],
    ["followed by something", Uint8Array.of(...keyFileOf(1), 0x7d)],
    ["beginning with a byte order mark", Uint8Array.of(0xef, 0xbb, 0xbf, ...keyFileOf(1))],
    ["not UTF-8", Uint8Array.of(0x22, 0xff, 0x22)],
    ["in UTF-16", Uint8Array.from(Buffer.from(new TextDecoder().decode(keyFileOf(1)), "utf16le"))],
  ])("%s", (_, bytes) => {
    const refusal = refusalOf(() => parseKeyFile(bytes, PATH));
    expect(refusal.code).toBe("ERR_KEY_FILE");
    expect(refusal.message).toBe(`${BASE}it is not JSON in UTF-8${MEND}`);
    // A SyntaxError would quote the text.
    expect(refusal.cause).toBeUndefined();
  });

  test("whatever else it is, with that code and never another error", () => {
    const bytes = fc.oneof(
      fc.uint8Array(),
      fc.json().map((text) => new TextEncoder().encode(text)),
    );
    fc.assert(
      fc.property(bytes, (content) => {
        expect(refusalOf(() => parseKeyFile(content, PATH)).code).toBe("ERR_KEY_FILE");
      }),
    );
  });
});

function entryFrom({ key, created: time }: { key: Uint8Array; created: string }): KeyFileEntry {
  return { ...localKey(Uint8Array.from(key)), created: time };
}

function asValue({ masterKey, key, created: time }: KeyFileEntry) {
  return { masterKey, key: key.export().toString("hex"), created: time };
}

function documentOf(byte: number): Document {
  return JSON.parse(new TextDecoder().decode(keyFileOf(byte)));
}
