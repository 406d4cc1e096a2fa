import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { masterKeysFromUri } from "../src/index.ts";
import { parseMasterKeyUri, percentDecoded } from "../src/provider.ts";
import { importPackage, type ProviderModule } from "../src/uri.ts";
import { MemoryKms } from "./support/memory-kms.ts";
import { codeOf, refusalOf } from "./support/refusal.ts";

/** A provider of somebody else's, which takes every URI. */
const memory: ProviderModule = { masterKeyFromUri: (uri) => new MemoryKms(uri) };
const providers = { memory: () => memory, late: async () => memory };

async function refusal(text: string | undefined): Promise<unknown> {
  return masterKeysFromUri(text, { providers }).then(
    () => "accepted",
    (error: unknown) => error,
  );
}

describe("masterKeysFromUri", () => {
  test("gives a provider for each URI, in order", async () => {
    const keys = await masterKeysFromUri("memory:b late:a  memory:c ", { providers });
    expect(keys.map(({ name }) => name)).toEqual(["memory:b", "late:a", "memory:c"]);
  });

  test.each([undefined, "", "   "])("refuses %j with what to set", async (text) => {
    const error = await refusal(text);
    expect(error).toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
    expect(String(error)).toContain("Set the variable");
  });

  test("refuses what is no text", async () => {
    const error = await refusal(7 as unknown as string);
    expect(error).toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
  });

  test.each([
    "memory:a\nmemory:b",
    "memory:a\tb",
    "memory:ä",
    "memory:a#b",
    "MEMORY:a",
    "memory",
    ":a",
    "7z:a",
  ])("refuses %j", async (text) => {
    expect(await refusal(text)).toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
  });

  test("does not repeat a text without a scheme: it may be the key itself", async () => {
    const key = "wyJNGbWYmBxkmGkVhTcOzCpjMG3FbY0pgFO5PKNO4i8=";
    expect(String(await refusal(key))).not.toContain(key.slice(0, 8));
  });

  test("names an unknown scheme, and those that are known", async () => {
    const error = await refusal("vault:transit/key");
    expect(error).toMatchObject({ code: "ERR_UNKNOWN_SCHEME" });
    expect(String(error)).toContain('"vault:"');
    expect(String(error)).toContain("aws-kms:");
  });

  test.each(["__proto__:a", "constructor:a", "tostring:a"])("takes %s for no provider", async (text) => {
    expect(await refusal(text)).toMatchObject({
      code: text.startsWith("_") ? "ERR_INVALID_ARGUMENT" : "ERR_UNKNOWN_SCHEME",
    });
  });

  test("asks given providers before its own packages", async () => {
    const own = { "aws-kms": () => memory };
    const [key] = await masterKeysFromUri("aws-kms://alias/mine", { providers: own });
    expect(key?.name).toBe("aws-kms://alias/mine");
  });

  test("refuses a provider that is no function, and a module without masterKeyFromUri", async () => {
    const none = { memory: "module" } as unknown as Record<string, () => ProviderModule>;
    const empty = { memory: () => ({}) as ProviderModule };
    for (const wrong of [none, empty]) {
      await expect(masterKeysFromUri("memory:a", { providers: wrong })).rejects.toMatchObject({
        code: "ERR_INVALID_ARGUMENT",
      });
    }
  });

  test("loads nothing where one URI of several cannot be read", async () => {
    let loads = 0;
    const counting = { memory: () => ({ ...memory, loads: loads++ }) };
    await expect(masterKeysFromUri("memory:a b#c", { providers: counting })).rejects.toMatchObject({
      code: "ERR_INVALID_ARGUMENT",
    });
    expect(loads).toBe(0);
  });
});

describe("importPackage", () => {
  test("says which package to install", async () => {
    const name = "@keyfold/not-there";
    const error = await importPackage(name, () => import(name)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "ERR_PROVIDER_NOT_INSTALLED",
      cause: { code: "ERR_MODULE_NOT_FOUND" },
    });
    expect(String(error)).toContain(`npm install ${name}`);
  });

  test("leaves the error of a package that is there and fails to load", async () => {
    const broken = Object.assign(new Error("Cannot find package 'of-its-own' imported from /x/index.js"), {
      code: "ERR_MODULE_NOT_FOUND",
    });
    await expect(importPackage("@keyfold/there", () => Promise.reject(broken))).rejects.toBe(broken);
  });
});

describe("parseMasterKeyUri", () => {
  test("gives location and parameters", () => {
    expect(
      parseMasterKeyUri("x://a:b/c?region=eu-1&algorithm=A%2B", "x://", ["region", "algorithm"]),
    ).toEqual({
      location: "a:b/c",
      parameters: new Map([
        ["region", "eu-1"],
        ["algorithm", "A+"],
      ]),
    });
  });

  test.each([
    ["another scheme", "y://a"],
    ["no location", "x://"],
    ["no location but a query", "x://?region=a"],
    ["user-info", "x://user@host/keys"],
    ["a password", "x://user:word@host"],
    ["a fragment", "x://a#b"],
    ["an unknown parameter", "x://a?zone=b"],
    ["an empty query", "x://a?"],
    ["a parameter twice", "x://a?region=b&region=b"],
    ["a parameter without a value", "x://a?region"],
    ["a parameter with an empty value", "x://a?region="],
    ["a parameter with two values", "x://a?region=b=c"],
    ["a second query", "x://a?region=b?region=c"],
    ["bad percent-encoding", "x://a?region=%E4"],
    ["a space", "x://a b"],
    ["a line break", "x://a\n"],
    ["a character that is not ASCII", "x://ä"],
  ])("refuses %s", (_, uri) => {
    expect(codeOf(() => parseMasterKeyUri(uri, "x://", ["region"]))).toBe("ERR_INVALID_ARGUMENT");
  });

  test("never repeats a parameter's value, which may be a secret put in the wrong place", () => {
    const error = refusalOf(() => parseMasterKeyUri("x://a?token=hunter2", "x://", ["region"]));
    expect(String(error)).not.toContain("hunter2");
  });

  test("reads back every location and parameter", () => {
    const location = fc.stringMatching(/^[a-z0-9][!$-.0->A-Z[-~]*$/);
    const value = fc.string({ unit: "grapheme", minLength: 1 });
    fc.assert(
      fc.property(location, value, (location, region) => {
        const uri = `x://${location}?region=${encodeURIComponent(region)}`;
        expect(parseMasterKeyUri(uri, "x://", ["region"])).toEqual({
          location,
          parameters: new Map([["region", region]]),
        });
      }),
    );
  });

  test("takes a location without a query exactly where it is ASCII without user-info or fragment", () => {
    const rest = fc.string({ unit: "grapheme", minLength: 1 }).filter((text) => !text.includes("?"));
    fc.assert(
      fc.property(rest, (rest) => {
        const parse = () => parseMasterKeyUri(`x://${rest}`, "x://", ["region"]);
        if (/^[!-~]+$/.test(rest) && !/^[^/]*@|#/.test(rest)) expect(parse().location).toBe(rest);
        else expect(codeOf(parse)).toBe("ERR_INVALID_ARGUMENT");
      }),
    );
  });
});

test("percentDecoded refuses what is badly encoded", () => {
  expect(percentDecoded("a%20b")).toBe("a b");
  expect(codeOf(() => percentDecoded("a%2"))).toBe("ERR_INVALID_ARGUMENT");
});
