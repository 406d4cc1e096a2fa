/** The search for secrets in what is printed finds them in every spelling, and nothing else. */

import { createSecretKey } from "node:crypto";
import { describe, expect, test } from "vitest";
import { printed, shownIn } from "../src/contract/spellings.ts";

const key = Uint8Array.from({ length: 32 }, (_, i) => (i * 7 + 0xfb) % 256);
const PASSPHRASE = "correct horse battery staple";
const buffer = Buffer.from(key);

describe("a secret is found", () => {
  test.each<[string, unknown]>([
    ["as bytes", { held: key }],
    ["as a Buffer", { held: buffer }],
    ["in the middle of other bytes", { held: Uint8Array.of(9, ...key, 9) }],
    ["as an array of numbers", { held: [...key] }],
    ["as hex", { held: buffer.toString("hex") }],
    ["as upper-case hex", { held: buffer.toString("hex").toUpperCase() }],
    ["as base64", { held: buffer.toString("base64") }],
    ["as base64url", { held: buffer.toString("base64url") }],
    ["as latin1", `key ${buffer.toString("latin1")}`],
    ["as text", { held: PASSPHRASE }],
    ["in a message", new Error(`Bad key ${buffer.toString("hex")}`)],
    ["in a cause", new Error("Bad key", { cause: { key } })],
    ["in a hidden member", Object.defineProperty({}, "held", { value: key, enumerable: false })],
    ["behind a proxy", new Proxy({}, { held: key } as ProxyHandler<object>)],
    ["in a map, deep down", { a: { b: { c: { d: new Map([["held", { key }]]) } } } }],
    ["in what only JSON shows", { toJSON: () => PASSPHRASE }],
    ["in a cycle", cycle({ held: key })],
  ])("%s", (_, value) => {
    expect(shownIn(printed(value, true), [key, PASSPHRASE])).not.toEqual([]);
  });
});

test("a KeyObject, a private field and a closure show nothing", () => {
  class Holder {
    readonly #key = key;
    readonly length: number = this.#key.length;
  }
  const value = { held: createSecretKey(key), holder: new Holder(), get: () => key };
  expect(shownIn(printed(value, true), [key, PASSPHRASE])).toEqual([]);
});

test("hidden members count only where they are asked for", () => {
  const hidden = Object.defineProperty(new Error("Bad request"), "request", {
    value: { key },
    enumerable: false,
  });
  expect(shownIn(printed(hidden, false), [key])).toEqual([]);
  expect(shownIn(printed(hidden, true), [key])).not.toEqual([]);
});

function cycle(value: object): object {
  return Object.assign(value, { self: value });
}
