/** The wraps of the specification's vectors, both ways and byte for byte, through every door. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeContext } from "@keyfold/core";
import { describe, expect, test } from "vitest";
import { envKey } from "../src/env-key.ts";
import { localKeyFile } from "../src/file-key.ts";
import { formatKeyFile } from "../src/key-file.ts";
import { passphraseKey } from "../src/passphrase.ts";
import { wrapPassphraseWith } from "../src/passphrase-wrap.ts";
import { localKey, unwrapLocal, wrapLocalWith } from "../src/wrap.ts";
import { hex, operation, secretKey, setVariable, temporaryDirectory, unhex } from "./support/material.ts";

interface Vector {
  readonly name: string;
  readonly project: string;
  readonly purpose: string;
  readonly kmsContext: Readonly<Record<string, string>>;
  readonly encoded: string;
  readonly secret: string;
  readonly nonce: string;
  readonly masterKey: string;
  readonly wrapped: string;
}

interface LocalVector extends Vector {
  readonly key: string;
}

interface PassphraseVector extends Vector {
  readonly passphrase: string;
  readonly salt: string;
  readonly log2N: number;
  readonly r: number;
  readonly p: number;
}

const file = new URL("../../core/test/vectors/wraps-and-keyring-v1.json", import.meta.url);
const { wraps }: { wraps: readonly (LocalVector | PassphraseVector)[] } = JSON.parse(
  readFileSync(file, "utf8"),
);
const locals = wraps.filter((vector) => "key" in vector);
const passphrases = wraps.filter((vector) => "passphrase" in vector);

test("both kinds are there, and no other", () => {
  expect(locals.length).toBeGreaterThan(0);
  expect(passphrases.length).toBeGreaterThan(0);
  expect(locals.length + passphrases.length).toBe(wraps.length);
});

test.each(wraps)("the context of $name encodes as the vector says", (vector) => {
  expect(hex(encodeContext(contextOf(vector)))).toBe(vector.encoded);
});

describe.each(locals)("$name", (vector) => {
  const ciphertext = unhex(vector.wrapped);
  const encoded = unhex(vector.encoded);

  test("has the URI of its key", () => {
    expect(localKey(unhex(vector.key)).masterKey).toBe(vector.masterKey);
  });

  test("wraps to these bytes, and unwraps from them", () => {
    const key = secretKey(unhex(vector.key));
    expect(hex(wrapLocalWith(key, unhex(vector.secret), encoded, unhex(vector.nonce)))).toBe(vector.wrapped);
    expect(hex(unwrapLocal(key, ciphertext, encoded))).toBe(vector.secret);
  });

  test("unwraps with a key file", async () => {
    const path = join(temporaryDirectory(), "master.key");
    const entry = { ...localKey(unhex(vector.key)), created: "2026-01-31T12:00:00Z" };
    writeFileSync(path, formatKeyFile([entry]), { mode: 0o600 });
    const provider = localKeyFile(path);
    expect(provider.recognizes(vector.masterKey)).toBe(true);
    const wrapped = { masterKey: vector.masterKey, ciphertext };
    expect(hex(await provider.unwrapKey(wrapped, operation(contextOf(vector))))).toBe(vector.secret);
  });

  test("unwraps with a variable", async () => {
    setVariable("KEYFOLD_TEST_VECTOR", vector.key);
    const provider = envKey("KEYFOLD_TEST_VECTOR");
    expect(provider.recognizes(vector.masterKey)).toBe(true);
    const wrapped = { masterKey: vector.masterKey, ciphertext };
    expect(hex(await provider.unwrapKey(wrapped, operation(contextOf(vector))))).toBe(vector.secret);
  });
});

describe.each(passphrases)("$name", (vector) => {
  const { signal } = new AbortController();

  test("wraps to these bytes", async () => {
    const { log2N, p, r } = vector;
    expect(r).toBe(8);
    const passphrase = secretKey(new TextEncoder().encode(vector.passphrase));
    const derivation = { log2N, p, salt: unhex(vector.salt) };
    const [secret, encoded, nonce] = [unhex(vector.secret), unhex(vector.encoded), unhex(vector.nonce)];
    const wrap = await wrapPassphraseWith(passphrase, secret, encoded, derivation, nonce, signal);
    expect(hex(wrap)).toBe(vector.wrapped);
  });

  test.each([
    ["text", vector.passphrase],
    ["bytes", new TextEncoder().encode(vector.passphrase)],
  ])("unwraps with the passphrase as %s", async (_, passphrase) => {
    const provider = passphraseKey(passphrase);
    const wrapped = { masterKey: vector.masterKey, ciphertext: unhex(vector.wrapped) };
    expect(provider.recognizes(vector.masterKey)).toBe(true);
    expect(hex(await provider.unwrapKey(wrapped, operation(contextOf(vector))))).toBe(vector.secret);
  });
});

function contextOf({ project, purpose, kmsContext }: Vector): Record<string, string> {
  return { ...kmsContext, "keyfold:purpose": purpose, "keyfold:project": project };
}
