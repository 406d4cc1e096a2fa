/** A master key in an environment variable: its spellings, and refusals that never show it. */

import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { refusalOf, rejectionOf } from "../../../test/support/refusal.ts";
import { envKey } from "../src/env-key.ts";
import { decodeKey, everySpelling } from "../src/key-text.ts";
import { localKey } from "../src/wrap.ts";
import { hex, masterBytes, operation, secret, setVariable } from "./support/material.ts";

const NAME = "KEYFOLD_TEST_KEY";
const uri = localKey(Uint8Array.from(masterBytes)).masterKey;
const key = Buffer.from(masterBytes);
const base64 = key.toString("base64");
const base64url = key.toString("base64url");
/** A key that has the form of a name. */
const letters = Buffer.alloc(32, 0x69).toString("base64url");

test("the key is one that the alphabets spell differently", () => {
  expect(base64).toMatch(/[+/]/);
  expect(base64url).toMatch(/[-_]/);
});

describe("a variable is read", () => {
  test.each([
    ["base64", base64],
    ["base64 without padding", base64.slice(0, -1)],
    ["base64url", base64url],
    ["base64url with padding", `${base64url}=`],
    ["hex", key.toString("hex")],
    ["hex in upper case", key.toString("hex").toUpperCase()],
  ])("in %s", async (_, text) => {
    setVariable(NAME, text);
    const provider = envKey(NAME);
    const wrapped = await provider.wrapKey(secret, operation());
    expect(wrapped.masterKey).toBe(uri);
    expect(hex(await provider.unwrapKey(wrapped, operation()))).toBe(hex(secret));
  });

  test("only when the key is needed", async () => {
    setVariable(NAME, undefined);
    const provider = envKey(NAME);
    setVariable(NAME, base64);
    expect((await provider.wrapKey(secret, operation())).masterKey).toBe(uri);
  });

  test("under a name as long as a key, which is in one case and so is none", () => {
    expect(envKey("THE_MASTER_KEY_OF_THE_BILLING_SERVICE_IN_PA").name).toHaveLength("env:".length + 43);
  });

  test("under a name that the provider carries", () => {
    expect(envKey("app.master-key_2").name).toBe("env:app.master-key_2");
  });
});

describe("a variable is refused", () => {
  const make = "Set it to 32 random bytes, as `openssl rand -base64 32` prints them.";

  test.each([
    ["not set", undefined],
    ["empty", ""],
  ])("that is %s", async (_, text) => {
    setVariable(NAME, text);
    const refusal = await rejectionOf(envKey(NAME).wrapKey(secret, operation()));
    expect(refusal.code).toBe("ERR_KEY_FILE");
    expect(refusal.message).toBe(`The environment variable ${NAME} is not set. ${make}`);
  });

  test.each([
    ["31 bytes in base64", key.subarray(1).toString("base64")],
    ["33 bytes in base64", Buffer.concat([key, key.subarray(0, 1)]).toString("base64")],
    ["31 bytes in hex", key.subarray(1).toString("hex")],
    ["33 bytes in hex", `${key.toString("hex")}00`],
    ["half a digit short", key.toString("hex").slice(1)],
    ["hex of 64 characters with one that is no digit", `${key.toString("hex").slice(1)}g`],
    ["followed by a line break", `${base64}\n`],
    ["preceded by a space", ` ${base64}`],
    ["in quotes", `"${base64}"`],
    ["padded twice", `${base64}=`],
    ["in two alphabets at once", Buffer.alloc(32, 0xfb).toString("base64").replace("+", "-")],
    ["of unused bits that are set", Buffer.alloc(32).toString("base64").replace(/A=$/, "B=")],
    ["prefixed", `base64:${base64}`],
    ["a passphrase", "correct horse battery staple"],
    ["of another script", "ключ".repeat(11)],
  ])("that is %s, and it is not shown", async (_, text) => {
    setVariable(NAME, text);
    const refusal = await rejectionOf(envKey(NAME).wrapKey(secret, operation()));
    expect(refusal.code).toBe("ERR_KEY_FILE");
    expect(refusal.message).toBe(
      `The environment variable ${NAME} is not 32 bytes in base64, base64url or hex, with no space or line break. ${make}`,
    );
    const shown = inspect(refusal, { showHidden: true, depth: Number.POSITIVE_INFINITY });
    expect(shown).not.toContain(text.trim());
  });

  test.each([
    [""],
    ["1KEY"],
    ["MY KEY"],
    ["KEY=1"],
    [base64],
    [key.toString("hex")],
    [letters],
    [undefined],
    [7],
  ])("by a name that is none: %j, and it is not shown", (name) => {
    // @ts-expect-error Some are no strings.
    const refusal = refusalOf(() => envKey(name));
    expect(refusal.code).toBe("ERR_INVALID_ARGUMENT");
    if (typeof name === "string" && name !== "") expect(refusal.message).not.toContain(name);
  });
});

describe("32 bytes as text", () => {
  const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 });

  test("are read in every spelling, into memory of their own", () => {
    fc.assert(
      fc.property(bytes, (given) => {
        const buffer = Buffer.from(given);
        const [padded, url] = [buffer.toString("base64"), buffer.toString("base64url")];
        const spellings = [padded, padded.slice(0, -1), url, `${url}=`, buffer.toString("hex")];
        for (const text of spellings) {
          const decoded = decodeKey(text, everySpelling);
          expect(decoded === undefined ? undefined : hex(decoded)).toBe(hex(given));
          expect(decoded?.buffer.byteLength).toBe(32);
        }
      }),
    );
  });

  test("are refused when a character is added, taken away, or is of no alphabet", () => {
    const stranger = fc.constantFrom(" ", "\n", "\t", "\0", ".", "~", "é", "=", "!");
    fc.assert(
      fc.property(bytes, fc.nat({ max: 42 }), stranger, (given, at, odd) => {
        const text = Buffer.from(given).toString("base64url");
        const altered = [
          text.slice(0, at) + odd + text.slice(at),
          text.slice(0, at) + text.slice(at + 1),
          text.slice(0, at) + odd + text.slice(at + 1),
        ];
        for (const wrong of altered) expect(decodeKey(wrong, everySpelling)).toBeUndefined();
      }),
    );
  });

  test("are read only as they may be spelled", () => {
    expect(decodeKey(base64url, ["base64url"])).toBeDefined();
    for (const text of [base64, `${base64url}=`, base64.slice(0, -1), key.toString("hex")]) {
      expect(decodeKey(text, ["base64url"])).toBeUndefined();
    }
  });
});
