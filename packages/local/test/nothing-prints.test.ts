/** No way of printing a provider or an error shows a key, a passphrase, or the text of either. */

import { createSecretKey } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import type { MasterKeyProvider } from "@keyfold/core";
import { describe, expect, test } from "vitest";
import { refusalOf, rejectionOf } from "../../../test/support/refusal.ts";
import { envKey } from "../src/env-key.ts";
import { localKeyFile } from "../src/file-key.ts";
import { formatKeyFile, parseKeyFile } from "../src/key-file.ts";
import { passphraseKey } from "../src/passphrase.ts";
import { localKey } from "../src/wrap.ts";
import {
  hex,
  masterBytes,
  operation,
  secret,
  secretKey,
  setVariable,
  temporaryDirectory,
} from "./support/material.ts";

const NAME = "KEYFOLD_TEST_PRINT";
const PASSPHRASE = "correct horse battery staple";
const secrets: readonly Uint8Array[] = [
  Uint8Array.from(masterBytes),
  secret,
  new TextEncoder().encode(PASSPHRASE),
];

const makers: Readonly<Record<string, () => MasterKeyProvider>> = {
  localKeyFile: () => {
    const path = join(temporaryDirectory(), "master.key");
    writeFileSync(path, fileOf(masterBytes), { mode: 0o600 });
    return localKeyFile(path);
  },
  envKey: () => {
    setVariable(NAME, Buffer.from(masterBytes).toString("base64"));
    return envKey(NAME);
  },
  passphraseKey: () => passphraseKey(PASSPHRASE, { log2N: 15 }),
};

describe.each(Object.entries(makers))("%s prints nothing", (_, make) => {
  test("before use, after it, and once closed", async () => {
    const provider = make();
    expect(leaks(provider)).toEqual([]);
    const wrapped = await provider.wrapKey(secret, operation());
    await provider.unwrapKey(wrapped, operation());
    expect(leaks(provider)).toEqual([]);
    expect(leaks(wrapped)).toEqual([]);
    await provider.close?.();
    expect(leaks(provider)).toEqual([]);
  });

  test("in its errors", async () => {
    const provider = make();
    const wrapped = await provider.wrapKey(secret, operation());
    const ciphertext = wrapped.ciphertext.map((byte, at) => (at === 60 ? byte ^ 1 : byte));
    const errors = [
      await rejectionOf(provider.unwrapKey({ ...wrapped, ciphertext }, operation())),
      await rejectionOf(provider.unwrapKey({ ...wrapped, ciphertext: new Uint8Array(3) }, operation())),
      await rejectionOf(provider.unwrapKey(wrapped, operation({}))),
      await rejectionOf(provider.wrapKey(secret.subarray(1), operation())),
      await rejectionOf(provider.wrapKey(secret, operation({}, AbortSignal.abort()))),
    ];
    expect(errors.map(({ code }) => code)).toEqual([
      "ERR_MASTER_KEY_REJECTED",
      "ERR_MASTER_KEY_REJECTED",
      "ERR_MASTER_KEY_REJECTED",
      "ERR_INVALID_ARGUMENT",
      "ERR_ABORTED",
    ]);
    for (const error of errors) expect(leaks(error)).toEqual([]);
  });
});

test("a malformed key file or variable is not shown either", async () => {
  const text = new TextDecoder().decode(fileOf(masterBytes));
  const damaged = [
    text.slice(0, -3),
    text.replace("key/1", "key/2"),
    text.replace('"key": "', '"key": x"'),
    text.replace('"created"', '"x"'),
    `${text}x`,
  ];
  for (const each of damaged) {
    const refusal = refusalOf(() => parseKeyFile(new TextEncoder().encode(each), "master.key"));
    expect(refusal.code).toBe("ERR_KEY_FILE");
    expect(leaks(refusal)).toEqual([]);
  }
  setVariable(NAME, `${Buffer.from(masterBytes).toString("base64")}\n`);
  const refusal = await rejectionOf(envKey(NAME).wrapKey(secret, operation()));
  expect(refusal.code).toBe("ERR_KEY_FILE");
  expect(leaks(refusal)).toEqual([]);
});

test("a key given for a name, and a passphrase with a wrong option, are not shown", () => {
  const asName = refusalOf(() => envKey(Buffer.from(masterBytes).toString("base64")));
  // @ts-expect-error No such option.
  const withOption = refusalOf(() => passphraseKey(PASSPHRASE, { cost: 1 }));
  expect([asName.code, withOption.code]).toEqual(["ERR_INVALID_ARGUMENT", "ERR_INVALID_ARGUMENT"]);
  expect(leaks(asName)).toEqual([]);
  expect(leaks(withOption)).toEqual([]);
});

describe("whatever does show a secret is noticed", () => {
  const key = Uint8Array.from(masterBytes);

  test.each<[string, unknown]>([
    ["bytes", { held: key }],
    ["a Buffer", { held: Buffer.from(key) }],
    ["a view of a larger buffer", { held: Uint8Array.of(9, ...key, 9) }],
    ["an array of numbers", { held: [...key] }],
    ["hex", { held: hex(key) }],
    ["base64", { held: Buffer.from(key).toString("base64") }],
    ["base64url", { held: Buffer.from(key).toString("base64url") }],
    ["a passphrase", { held: PASSPHRASE }],
    ["a message", new Error(`Bad key ${hex(key)}`)],
    ["a cause", new Error("Bad key", { cause: { key } })],
    ["a hidden member", Object.defineProperty({}, "held", { value: key, enumerable: false })],
    ["a map, deep down", { a: { b: { c: { d: new Map([["held", { key }]]) } } } }],
  ])("in %s", (_, value) => {
    expect(leaks(value)).not.toEqual([]);
  });

  test("and a KeyObject does not", () => {
    expect(leaks({ held: secretKey(), other: createSecretKey(Uint8Array.from(secret)) })).toEqual([]);
  });
});

/** The spellings of secrets that show in `value`, however it is printed. */
function leaks(value: unknown): string[] {
  const all = { showHidden: true, depth: Number.POSITIVE_INFINITY, breakLength: Number.POSITIVE_INFINITY };
  const unlimited = { ...all, maxArrayLength: null, maxStringLength: null };
  const printed = [inspect(value, unlimited), JSON.stringify(value), String(value)];
  if (value instanceof Error) printed.push(value.message, value.stack ?? "");
  // Numbers are printed in rows, which are padded.
  const shown = printed.join("\n").replaceAll(/\s+/g, " ");
  return secrets.flatMap(spellings).filter((spelling) => shown.includes(spelling));
}

function spellings(bytes: Uint8Array): string[] {
  const buffer = Buffer.from(bytes);
  const start = [...buffer.subarray(0, 6)];
  return [
    buffer.toString("latin1"),
    buffer.toString("hex").slice(0, 8),
    buffer.toString("base64").slice(0, 8),
    buffer.toString("base64url").slice(0, 8),
    start.join(", "),
    start.join(","),
    start.map((byte) => byte.toString(16).padStart(2, "0")).join(" "),
  ];
}

function fileOf(bytes: readonly number[]): Uint8Array {
  return formatKeyFile([{ ...localKey(Uint8Array.from(bytes)), created: "2026-01-31T12:00:00Z" }]);
}
