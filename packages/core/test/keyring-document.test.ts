/** docs/spec/keyring-v1.md, "Document": text to fields and back, and each limit with its code. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  formatKeyring,
  type KeyringDocument,
  MAX_KEYRING_CHARACTERS,
  macInput,
  parseKeyring,
} from "../src/keyring-document.ts";
import { hex } from "./support/hex.ts";
import { changed, type DocumentJson, keyringVector, vectorText } from "./support/keyring-vector.ts";
import { keyringDocument } from "./support/keyrings.ts";
import { codeOf, refusalOf } from "./support/refusal.ts";

const vector = keyringVector.document;

function base64url(bytes: number): string {
  return Buffer.alloc(bytes, 0x5a).toString("base64url");
}

function entryJson(n: number): DocumentJson["keys"][number] {
  const id = Buffer.alloc(16);
  id.writeUInt32BE(n);
  return { id: id.toString("base64url"), created: "2026-11-24T00:00:00Z", state: "destroyed", sealed: "" };
}

function wrapJson(n: number): DocumentJson["wraps"][number] {
  return { masterKey: `local:${n}`, wrapped: base64url(61) };
}

describe("the vector", () => {
  test("is read field by field", () => {
    const { mac, id, wraps, keys, ...rest } = parseKeyring(vectorText);
    expect(rest).toEqual({ project: "billing/prod", sequence: 7, kmsContext: { team: "payments" } });
    expect(Buffer.from(id).toString("base64url")).toBe(vector.id);
    expect(Buffer.from(mac).toString("base64url")).toBe(vector.mac);
    expect(
      wraps.map(({ masterKey, ciphertext }) => ({
        masterKey,
        wrapped: Buffer.from(ciphertext).toString("base64url"),
      })),
    ).toEqual(vector.wraps);
    expect(keys.map(({ state, created }) => [state, created])).toEqual([
      ["destroyed", 1_700_000_000],
      ["retired", 1_710_000_000],
      ["active", 1_720_000_000],
    ]);
    expect(keys.map(({ sealed }) => sealed.length)).toEqual([0, 60, 60]);
  });

  test("is written again to the same text", () => {
    expect(formatKeyring(parseKeyring(vectorText))).toBe(vectorText);
  });
});

describe("the text", () => {
  test("has one member a line, and a line break at the end", () => {
    expect(vectorText).toMatchInlineSnapshot(`
      "{
        "keyfold": "keyring/1",
        "project": "billing/prod",
        "id": "K0YXhMwkKCsVBOxHJaKrRA",
        "sequence": 7,
        "kmsContext": {
          "team": "payments"
        },
        "wraps": [
          {
            "masterKey": "local:6303d5de9cc1c740fa2674aa0345d0ed",
            "wrapped": "AUdP20UQYOLM7xWrw_oyEhx4DCESyhNXQJB7TA3_DKlyQ9Vx5dxSW_3h-lmXZTsl713hrzYNjbwCt7CMBg"
          }
        ],
        "keys": [
          {
            "id": "Jk7jQu3f1EuMSVJVFSGiPw",
            "created": "2023-11-14T22:13:20Z",
            "state": "destroyed",
            "sealed": ""
          },
          {
            "id": "q2UtxQrXoYLVvQwxa1WJ-g",
            "created": "2024-03-09T16:00:00Z",
            "state": "retired",
            "sealed": "We-966kJpg3jRsjDXPna_81k7hkwjA-CDLAXkYARsULyH7-MoUZk4knnk2_Oe2cl3ARNMbUvLPo_TL0E"
          },
          {
            "id": "oRGdwuUQA0LnAmdpJZiZxA",
            "created": "2024-07-03T09:46:40Z",
            "state": "active",
            "sealed": "Jwe2Rge5fR9sq2V9NBqEVmv2wrRkW_ITO9N90dHQNQQvSEjpfjs33YtiUD3mdaguSZleYfdOZ1-UVxD8"
          }
        ],
        "mac": "ftiRGxkrMvtodqvfyPvS_Qr-ygZjncSxUedILvnbxdw"
      }
      "
    `);
  });

  test("and the mac's input do not depend on the order of the KMS context", () => {
    const document = parseKeyring(vectorText);
    const [there, back]: KeyringDocument[] = [
      { ...document, kmsContext: { a: "1", b: "2" } },
      { ...document, kmsContext: { b: "2", a: "1" } },
    ].map((each) => Object.freeze(each));
    if (there === undefined || back === undefined) throw new Error("There are two.");
    expect(formatKeyring(there)).toBe(formatKeyring(back));
    expect(hex(macInput(there))).toBe(hex(macInput(back)));
  });

  test("gives every document back", () => {
    fc.assert(
      fc.property(keyringDocument, (document) => {
        const text = formatKeyring(document);
        const read = parseKeyring(text);
        expect(read).toEqual(document);
        expect(formatKeyring(read)).toBe(text);
        expect(hex(macInput(read))).toBe(hex(macInput(document)));
      }),
    );
  });

  test("is not changed by white space or the order of members", () => {
    const { mac, keys, ...rest } = vector;
    const spaced = JSON.stringify({ mac, keys, ...rest }, null, "\t").replaceAll(":", " \r\n:");
    expect(parseKeyring(JSON.stringify({ mac, keys, ...rest }))).toEqual(parseKeyring(vectorText));
    expect(
      parseKeyring(
        spaced.replaceAll("local \r\n:", "local:").replace(/T(\d\d) \r\n:(\d\d) \r\n:/g, "T$1:$2:"),
      ),
    ).toEqual(parseKeyring(vectorText));
  });

  test("shares no memory with what was read before", () => {
    const { id, keys } = parseKeyring(vectorText);
    expect(id.byteOffset).toBe(0);
    expect(id.buffer.byteLength).toBe(16);
    expect(keys[2]?.sealed.buffer.byteLength).toBe(60);
  });
});

describe("what the mac covers", () => {
  test("is different for different documents", () => {
    fc.assert(
      fc.property(keyringDocument, keyringDocument, (one, other) => {
        const same = formatKeyring({ ...one, mac: other.mac }) === formatKeyring(other);
        expect(hex(macInput(one)) === hex(macInput(other))).toBe(same);
      }),
    );
  });

  test("is laid out as the page says", () => {
    const document: KeyringDocument = {
      project: "p",
      id: new Uint8Array(16).fill(1),
      sequence: 2 ** 53 - 1,
      kmsContext: { a: "b" },
      wraps: [{ masterKey: "m:", ciphertext: Uint8Array.of(9) }],
      keys: [
        {
          id: new Uint8Array(16).fill(2),
          created: 2 ** 32,
          state: "active",
          sealed: new Uint8Array(60).fill(3),
        },
        { id: new Uint8Array(16).fill(4), created: 0, state: "retired", sealed: new Uint8Array(60).fill(5) },
        { id: new Uint8Array(16).fill(6), created: 1, state: "destroyed", sealed: new Uint8Array(0) },
      ],
      mac: new Uint8Array(32),
    };
    expect(hex(macInput(document))).toBe(
      [
        Buffer.from("keyfold/1/keyring\0p").toString("hex").replace(/70$/, "000170"),
        "01".repeat(16),
        "001fffffffffffff",
        "0008" + "0001" + "000161" + "000162",
        "0001" + "00026d3a" + "000109",
        "0003",
        `${"02".repeat(16)}000000010000000000003c${"03".repeat(60)}`,
        `${"04".repeat(16)}000000000000000001003c${"05".repeat(60)}`,
        `${"06".repeat(16)}0000000000000001020000`,
      ].join(""),
    );
  });
});

describe("limits that are kept", () => {
  test.each<[what: string, change: (document: DocumentJson) => void]>([
    ["a project of 255 bytes", (d) => (d.project = `${"é".repeat(127)}x`)],
    ["sequence 1", (d) => (d.sequence = 1)],
    ["sequence 2^53 - 1", (d) => (d.sequence = Number.MAX_SAFE_INTEGER)],
    ["no KMS context", (d) => (d.kmsContext = {})],
    // 2 + (2 + 15 + 2 + 12) + (2 + 15 + 2 + 7) + (2 + 1 + 2 + 1,984) = 2,048
    ["a KMS context of 2,048 bytes", (d) => (d.kmsContext = { a: "x".repeat(1_984) })],
    ["16 wraps", (d) => (d.wraps = Array.from({ length: 16 }, (_, i) => wrapJson(i)))],
    ["4,096 keys", (d) => (d.keys = Array.from({ length: 4_096 }, (_, i) => entryJson(i)))],
    ["a URI of 1,024 characters", (d) => (d.wraps = [{ masterKey: "~".repeat(1_024), wrapped: "AA" }])],
    ["a wrapped key of 65,535 bytes", (d) => (d.wraps = [{ masterKey: "!", wrapped: base64url(65_535) }])],
    [
      "the first second",
      (d) => (d.keys = d.keys.map((key) => ({ ...key, created: "1970-01-01T00:00:00Z" }))),
    ],
    ["the last second", (d) => (d.keys = d.keys.map((key) => ({ ...key, created: "9999-12-31T23:59:59Z" })))],
    [
      "the 29th of February 2024",
      (d) => (d.keys = d.keys.map((key) => ({ ...key, created: "2024-02-29T23:59:59Z" }))),
    ],
    ["no active key, which the mac decides first", (d) => d.keys.splice(1)],
    [
      "two active keys, likewise",
      (d) => d.keys.splice(0, 2, { ...entryJson(1), state: "active", sealed: base64url(60) }),
    ],
  ])("%s", (_, change) => {
    const text = changed(change);
    const document = parseKeyring(text);
    expect(JSON.parse(formatKeyring(document))).toEqual(JSON.parse(text));
  });
});

describe("refused with ERR_KEYRING_INVALID", () => {
  const first = (d: DocumentJson) => Object.assign(d.keys[0] ?? {}, d.keys[1]);
  test.each<[what: string, because: string, change: (document: DocumentJson) => unknown]>([
    ["another format", '"keyfold" is not "keyring/1"', (d) => (d.keyfold = "keyring/2")],
    ["an empty project", "project", (d) => (d.project = "")],
    ["a project of 256 bytes", "project", (d) => (d.project = "é".repeat(128))],
    ["a project that is a number", "project is not text", (d) => Object.assign(d, { project: 7 })],
    ["an id of 15 bytes", "id is 15 bytes", (d) => (d.id = base64url(15))],
    ["an id of 17 bytes", "id is 17 bytes", (d) => (d.id = base64url(17))],
    ["an id with padding", "id is not base64url", (d) => (d.id += "==")],
    ["an id with unused bits set", "id is not base64url", (d) => (d.id = d.id.replace(/A$/, "B"))],
    ["an id in base64", "id is not base64url", (d) => (d.id = "+".repeat(22))],
    ["white space in base64url", "id is not base64url", (d) => (d.id = ` ${d.id}`)],
    ["sequence 0", "sequence", (d) => (d.sequence = 0)],
    ["a sequence in quotes", "sequence", (d) => Object.assign(d, { sequence: "7" })],
    ["a negative sequence", "integer", (d) => (d.sequence = -1)],
    ["a sequence of 2^53", "integer", (d) => (d.sequence = 2 ** 53)],
    ["a KMS context that is an array", "kmsContext", (d) => Object.assign(d, { kmsContext: [] })],
    ["a KMS context with a number", "kmsContext is not text", (d) => Object.assign(d.kmsContext, { n: 1 })],
    ["a KMS context with an empty key", "kmsContext", (d) => (d.kmsContext = { "": "x" })],
    ["a KMS context with a key of keyfold's", "kmsContext", (d) => (d.kmsContext = { "keyfold:x": "" })],
    ["a KMS context of 2,049 bytes", "kmsContext", (d) => (d.kmsContext = { a: "x".repeat(1_985) })],
    ["a KMS context of 9,000 bytes", "kmsContext", (d) => (d.kmsContext = { a: "x".repeat(9_000) })],
    ["no wraps", "wraps are 0", (d) => (d.wraps = [])],
    ["17 wraps", "wraps are 17", (d) => (d.wraps = Array.from({ length: 17 }, (_, i) => wrapJson(i)))],
    ["wraps that are no array", "wraps is not an array", (d) => Object.assign(d, { wraps: {} })],
    ["a URI twice", "Two of wraps", (d) => (d.wraps = [wrapJson(1), { ...wrapJson(1), wrapped: "AA" }])],
    ["an empty URI", "wraps[0].masterKey", (d) => (d.wraps = [{ masterKey: "", wrapped: "AA" }])],
    [
      "a URI of 1,025 characters",
      "wraps[0].masterKey",
      (d) => (d.wraps = [{ masterKey: "a".repeat(1_025), wrapped: "AA" }]),
    ],
    ["a space in a URI", "wraps[0].masterKey", (d) => (d.wraps = [{ masterKey: "a b", wrapped: "AA" }])],
    [
      "a line break after a URI",
      "wraps[0].masterKey",
      (d) => (d.wraps = [{ masterKey: "a\n", wrapped: "AA" }]),
    ],
    ["an empty wrapped key", "wraps[0].wrapped", (d) => (d.wraps = [{ masterKey: "a", wrapped: "" }])],
    [
      "a wrapped key of 65,536 bytes",
      "wraps[0].wrapped",
      (d) => (d.wraps = [{ masterKey: "a", wrapped: base64url(65_536) }]),
    ],
    ["no keys", "keys are 0", (d) => (d.keys = [])],
    ["4,097 keys", "keys are 4097", (d) => (d.keys = Array.from({ length: 4_097 }, (_, i) => entryJson(i)))],
    ["an id twice", "Two of keys", first],
    ["a kdkId of 15 bytes", "keys[0].id is 15", (d) => Object.assign(d.keys[0] ?? {}, { id: base64url(15) })],
    ["an unknown state", "keys[0].state", (d) => Object.assign(d.keys[0] ?? {}, { state: "Active" })],
    [
      "a sealed KDK of 59 bytes",
      "keys[2].sealed is 59",
      (d) => Object.assign(d.keys[2] ?? {}, { sealed: base64url(59) }),
    ],
    [
      "an active key without its KDK",
      "keys[2].sealed is 0",
      (d) => Object.assign(d.keys[2] ?? {}, { sealed: "" }),
    ],
    [
      "a destroyed key with one",
      "keys[0].sealed is 60",
      (d) => Object.assign(d.keys[0] ?? {}, { sealed: base64url(60) }),
    ],
    ["a mac of 31 bytes", "mac is 31 bytes", (d) => (d.mac = base64url(31))],
    ["an unknown member", "The document has a member", (d) => Object.assign(d, { note: "x" })],
    [
      "an unknown member of a wrap",
      "wraps[0] has a member",
      (d) => Object.assign(d.wraps[0] ?? {}, { note: "x" }),
    ],
    [
      "an unknown member of a key",
      "keys[1] has a member",
      (d) => Object.assign(d.keys[1] ?? {}, { note: "x" }),
    ],
    ["a key that is no object", "keys[0] is not an object", (d) => Object.assign(d, { keys: ["x"] })],
  ])("%s", (_, because, change) => {
    const { code, message } = refusalOf(() => parseKeyring(changed(change)));
    expect(code).toBe("ERR_KEYRING_INVALID");
    expect(message).toContain(because);
  });

  test.each(Object.keys(vector))("a document without %s", (name) => {
    const { code, message } = refusalOf(() =>
      parseKeyring(changed((document) => Reflect.deleteProperty(document, name))),
    );
    expect(code).toBe("ERR_KEYRING_INVALID");
    expect(message).toContain(`no member "${name}"`);
  });

  test.each(["masterKey", "wrapped"])("a wrap without %s", (name) => {
    expect(
      codeOf(() => parseKeyring(changed(({ wraps: [wrap] }) => Reflect.deleteProperty(wrap ?? {}, name)))),
    ).toBe("ERR_KEYRING_INVALID");
  });

  test.each(["id", "created", "state", "sealed"])("a key without %s", (name) => {
    expect(
      codeOf(() => parseKeyring(changed(({ keys: [key] }) => Reflect.deleteProperty(key ?? {}, name)))),
    ).toBe("ERR_KEYRING_INVALID");
  });

  test.each([
    "2026-02-29T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:60:00Z",
    "2016-12-31T23:59:60Z",
    "1969-12-31T23:59:59Z",
    "0000-01-01T00:00:00Z",
    "+012026-01-01T00:00:00Z",
    "2026-01-01T00:00:00.000Z",
    "2026-01-01T00:00:00+00:00",
    "2026-01-01t00:00:00z",
    "2026-01-01 00:00:00Z",
    "2026-01-01T00:00:00",
    "2026-1-1T00:00:00Z",
    "2026-01-01T00:00:00Z\n",
    "",
  ])("created %j", (created) => {
    const { code, message } = refusalOf(() =>
      parseKeyring(changed(({ keys: [key] }) => Object.assign(key ?? {}, { created }))),
    );
    expect(code).toBe("ERR_KEYRING_INVALID");
    expect(message).toContain("keys[0].created");
  });

  test.each<[what: string, text: string]>([
    ["no text", ""],
    ["no JSON", "keyring"],
    ["half a document", vectorText.slice(0, vectorText.length / 2)],
    ["a byte order mark", `\ufeff${vectorText}`],
    ["something after the end", `${vectorText}{}`],
    ["an array", "[]"],
    ["sequence 7.0", vectorText.replace('"sequence": 7,', '"sequence": 7.0,')],
    ["sequence 7e0", vectorText.replace('"sequence": 7,', '"sequence": 7e0,')],
    ["sequence 07", vectorText.replace('"sequence": 7,', '"sequence": 07,')],
    ["sequence twice", vectorText.replace('"sequence": 7,', '"sequence": 7, "sequence": 7,')],
    [
      "sequence twice, once escaped",
      vectorText.replace('"sequence": 7,', '"sequence": 7, "sequenc\\u0065": 7,'),
    ],
    ["a state twice", vectorText.replace('"state": "active",', '"state": "active", "state": "active",')],
    ["an entry of the KMS context twice", vectorText.replace('"team": ', '"team": "x", "team": ')],
    ["a lone surrogate", vectorText.replace("payments", "\\ud800")],
    ["null for a member", vectorText.replace('"keyring/1"', "null")],
    ["more than 4 MiB, if only of spaces", vectorText + " ".repeat(MAX_KEYRING_CHARACTERS)],
    ["brackets without end", "[".repeat(1_000_000)],
  ])("%s", (_, text) => {
    expect(codeOf(() => parseKeyring(text))).toBe("ERR_KEYRING_INVALID");
  });

  test("and the message holds no value of the document", () => {
    const { message, cause } = refusalOf(() =>
      parseKeyring(changed((document) => Object.assign(document.kmsContext, { hush: "s3cret".repeat(400) }))),
    );
    expect(message).not.toContain("s3cret");
    expect(String(cause)).not.toContain("s3cret");
  });
});

test("the longest document that there can be is well within the limit", () => {
  const document: KeyringDocument = {
    ...parseKeyring(vectorText),
    project: "\u0001".repeat(255),
    kmsContext: { a: "\u0001".repeat(1_700) },
    wraps: Array.from({ length: 16 }, (_, i) => ({
      masterKey: `${String.fromCharCode(65 + i)}${"\\".repeat(1_023)}`,
      ciphertext: new Uint8Array(65_535),
    })),
    keys: Array.from({ length: 4_096 }, (_, i) => {
      const id = new Uint8Array(16);
      new DataView(id.buffer).setUint16(0, i);
      return { id, created: 0, state: "retired" as const, sealed: new Uint8Array(60) };
    }),
  };
  const text = formatKeyring(document);
  expect(text.length).toBeGreaterThan(2 * 1024 * 1024);
  expect(text.length).toBeLessThan(3 * 1024 * 1024);
  expect(formatKeyring(parseKeyring(text))).toBe(text);
});
