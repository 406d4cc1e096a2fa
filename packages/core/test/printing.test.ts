/** Nothing that holds a key prints it, whatever prints it. */

import { randomBytes } from "node:crypto";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import type { Keyfold } from "../src/index.ts";
import { causes, context, keyfoldWith, MINUTE, rejection, SpyKms } from "./support/behaviour.ts";
import { FakeClock, settled } from "./support/fake-clock.ts";
import { MemoryKms } from "./support/memory-kms.ts";
import { refusalOf } from "./support/refusal.ts";

/** So many bytes of a key in a row are a leak. */
const WINDOW = 9;

/** What a person, a logger or an error tracker would make of a value. */
const printers: readonly (readonly [string, (value: unknown) => string])[] = [
  [
    "util.inspect",
    (value) => inspect(value, { showHidden: true, depth: Number.POSITIVE_INFINITY, getters: true }),
  ],
  ["JSON.stringify", (value) => JSON.stringify(value) ?? ""],
  ["JSON.stringify of all properties", (value) => JSON.stringify(value, allProperties) ?? ""],
  ["String", (value) => String(value)],
  ["a stack trace", (value) => (value instanceof Error ? (value.stack ?? "") : "")],
];

describe("the search for a key in a text", () => {
  const planted = randomBytes(32);
  const plain = new Uint8Array(planted);

  test.each([
    ["hex", { key: planted.toString("hex") }],
    ["upper-case hex", { key: planted.toString("hex").toUpperCase() }],
    ["base64", { key: planted.toString("base64") }],
    ["base64url", { key: planted.toString("base64url") }],
    ["a list of decimals", { key: [...planted] }],
    ["a Uint8Array", { key: plain }],
    ["a Buffer", { key: Buffer.from(plain) }],
    ["an ArrayBuffer", { key: plain.buffer }],
    ["a half of it", { key: plain.subarray(12, 24) }],
    ["a getter", Object.defineProperty({}, "key", { get: () => plain, enumerable: false })],
    ["a message's cause", new Error("A failure.", { cause: { key: plain } })],
    ["an error's property", Object.assign(new Error("A failure."), { attempts: [{ key: plain }] })],
  ])("finds one that util.inspect prints as %s", (_, value) => {
    const [first] = printers;
    expect(shows(first?.[1](value) ?? "", planted)).toBe(true);
  });

  test.each([
    ["util.inspect", { key: plain }],
    ["JSON.stringify", { key: plain }],
    ["JSON.stringify of all properties", new Error("A failure.", { cause: { key: plain } })],
    ["String", [plain]],
    ["a stack trace", new Error(`A failure of ${planted.toString("hex")}`)],
  ])("finds one that %s prints", (name, value) => {
    const print = printers.find(([printer]) => printer === name)?.[1];
    expect(shows(print?.(value) ?? "", planted)).toBe(true);
  });

  test("finds no other", () => {
    for (const [, print] of printers) expect(shows(print({ key: plain }), randomBytes(32))).toBe(false);
  });
});

describe.each(printers)("%s", (_, print) => {
  test("of a keyfold that seals and opens shows no key", async () => {
    const { keyfold, kms } = await inUse();
    expect(kms.keys.length).toBe(2);
    for (const key of kms.keys) expect(shows(print(keyfold), key)).toBe(false);
    for (const key of kms.keys) expect(shows(print(keyfold.scoped("tenant")), key)).toBe(false);
    for (const key of kms.keys) expect(shows(print(keyfold.stats()), key)).toBe(false);
  });

  test("of a keyfold that waits for a master key shows no key", async () => {
    const { keyfold, kms } = await inUse();
    const printed: string[] = [];
    kms.before = () => {
      printed.push(print(keyfold));
    };
    const stranger = await keyfoldWith({ masterKeys: kms }).seal("secret", context);
    await keyfold.open(stranger, context);
    expect(printed.length).toBe(2);
    expect(kms.keys.length).toBe(4);
    for (const key of kms.keys) for (const text of printed) expect(shows(text, key)).toBe(false);
  });

  test("of an error shows no key, nor do its attempts and causes", async () => {
    const { errors, keys } = await failures();
    const codes = errors.map(({ code }) => code).sort();
    expect(codes).toEqual([
      "ERR_CLOSED",
      "ERR_CONTEXT_MISMATCH",
      "ERR_HEADER_REJECTED",
      "ERR_KEY_MISMATCH",
      "ERR_MASTER_KEY_BAD_REPLY",
      "ERR_MASTER_KEY_BAD_REPLY",
      "ERR_MESSAGE_ALTERED",
      "ERR_NOT_READY",
      "ERR_UNWRAP_FAILED",
    ]);
    const values = errors.flatMap((error) => [
      ...causes(error),
      ...(error.attempts ?? []).flatMap((attempt) => [attempt, ...causes(attempt.error)]),
    ]);
    expect(values.length).toBeGreaterThan(errors.length + 3);
    for (const key of keys)
      for (const value of values) expect(shows(print(value), key), print(value)).toBe(false);
  });
});

/** A keyfold that sealed under one KDK and opened under another. */
async function inUse(): Promise<{ keyfold: Keyfold; kms: SpyKms }> {
  const kms = new SpyKms();
  const foreign = await keyfoldWith({ masterKeys: new MemoryKms(kms.uri, { key: kms.key }) }).seal(
    "a",
    context,
  );
  const keyfold = keyfoldWith({ masterKeys: kms });
  await keyfold.seal("secret", context);
  await keyfold.open(foreign, context);
  return { keyfold, kms };
}

/** Errors of every layer that had a key in its hands, and the keys. */
async function failures() {
  const kms = new SpyKms("memory:one");
  const other = new SpyKms("memory:two");
  const clock = new FakeClock();
  const masterKeys = [kms, other];
  const keyfold = keyfoldWith({ masterKeys, clock });
  const sealed = await keyfold.seal("secret", context);
  const altered = sealed.with(-1, (sealed.at(-1) ?? 0) ^ 1);
  const errors = [
    await rejection(keyfold.open(sealed, { name: "another" })),
    await rejection(keyfold.open(altered, context)),
    await rejection(keyfold.scoped("another").open(sealed, context)),
    await rejection(keyfoldWith({ masterKeys: kms, project: "test" }).open(withOtherId(sealed), context)),
    await rejection(
      keyfoldWith({ masterKeys: new LeakyKms(kms.uri, { key: kms.key }) }).open(sealed, context),
    ),
    await rejection(
      keyfoldWith({ masterKeys: new LongKms(kms.uri, { key: kms.key }) }).open(sealed, context),
    ),
  ];
  kms.failing = "ERR_MASTER_KEY_DISABLED";
  other.failing = "ERR_MASTER_KEY_DENIED";
  errors.push(await rejection(keyfoldWith({ masterKeys }).open(sealed, context)));
  await clock.advance(16 * MINUTE);
  keyfold.openSync(sealed, context);
  await settled();
  errors.push(refusalOf(() => keyfold.openSync(sealed, context)));
  await keyfold.close();
  errors.push(await rejection(keyfold.open(sealed, context)));
  return { errors, keys: [...kms.keys, ...other.keys] };
}

function withOtherId(envelope: Uint8Array): Uint8Array {
  const copy = envelope.slice();
  copy[4] = (copy[4] ?? 0) ^ 1;
  return copy;
}

/** Fails where it had the key in its hands. */
class LeakyKms extends MemoryKms {
  override async unwrapKey(...args: Parameters<MemoryKms["unwrapKey"]>): Promise<Uint8Array<ArrayBuffer>> {
    await super.unwrapKey(...args);
    throw new TypeError("The client broke down.");
  }
}

/** Gives a key and a byte too many. */
class LongKms extends MemoryKms {
  override async unwrapKey(...args: Parameters<MemoryKms["unwrapKey"]>): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array([...(await super.unwrapKey(...args)), 0]);
  }
}

/** For JSON: the properties of an error too, which are not enumerable. */
function allProperties(_: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  return Object.fromEntries(
    Object.getOwnPropertyNames(value).map((name) => [name, Reflect.get(value, name)]),
  );
}

/** Whether the text holds `WINDOW` bytes of the key in a row: in hex, base64, base64url, or as decimals one after the other. */
function shows(text: string, key: Uint8Array): boolean {
  const squeezed = text.replaceAll(/\s/g, "");
  const hexDigits = squeezed.toLowerCase();
  const base64 = squeezed.replaceAll("-", "+").replaceAll("_", "/");
  const decimals = `,${text.replaceAll(/"\d+":/g, "").replaceAll(/[\s,[\]{}]+/g, ",")},`;
  for (let start = 0; start + WINDOW <= key.length; start++) {
    const window = Buffer.from(key.subarray(start, start + WINDOW));
    if (hexDigits.includes(window.toString("hex"))) return true;
    if (decimals.includes(`,${window.join(",")},`)) return true;
    if (start % 3 === 0 && base64.includes(window.toString("base64"))) return true;
  }
  return false;
}
