/** Names of keys: what is read, what is refused, and which wraps are a key's own. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { kidOf, parseKeyId, uriOf, vaultKey, versionInKid, versionInUri } from "../src/key-id.ts";
import { refusalOf } from "./support/material.ts";

const VERSION = "0123456789abcdef0123456789abcdef";

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/);
const host = fc.array(label, { minLength: 2, maxLength: 5 }).map((labels) => labels.join("."));
const name = fc.stringMatching(/^[0-9a-zA-Z-]{1,127}$/);
const version = fc.stringMatching(/^[0-9a-f]{32}$/);

test("a key id and a wrap's URI are read back as they were made", () => {
  fc.assert(
    fc.property(host, name, version, (host, name, version) => {
      const key = { host, name };
      expect(parseKeyId(kidOf(key, version))).toEqual({ key, version });
      expect(parseKeyId(`https://${host}/keys/${name}`)).toEqual({ key });
      expect(versionInUri(key, uriOf(key, version))).toBe(version);
      expect(versionInKid(key, kidOf(key, version))).toBe(version);
      expect(uriOf(key, version)).toMatch(/^[!-~]{1,1024}$/);
    }),
  );
});

test("no other key's URI is a key's own", () => {
  fc.assert(
    fc.property(host, name, host, name, version, (host, name, otherHost, otherName, version) => {
      const [key, other] = [
        { host, name },
        { host: otherHost, name: otherName },
      ];
      const same = host === otherHost && name === otherName;
      expect(versionInUri(key, uriOf(other, version)) !== undefined).toBe(same);
    }),
  );
});

test("whatever an envelope holds, the URI is answered with a version or with nothing", () => {
  const key = { host: "a.vault.azure.net", name: "b" };
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((tail) => `${uriOf(key)}/${tail}`),
      ),
      (uri) => {
        expect(versionInUri(key, uri) ?? VERSION).toMatch(/^[0-9a-f]{32}$/);
      },
    ),
  );
});

describe("a vault's URL", () => {
  test.each([
    "https://Example.Vault.azure.NET",
    "HTTPS://example.vault.azure.net",
    "https://example.vault.azure.net/",
    "https://example.vault.azure.net:443",
    "https://example.vault.azure.net:443/",
  ])("%s is https and a host", (url) => {
    expect(vaultKey(url, "k").host).toBe("example.vault.azure.net");
  });

  test.each([
    ["plain http", "http://example.vault.azure.net"],
    ["another port", "https://example.vault.azure.net:8443"],
    ["a path", "https://example.vault.azure.net/keys"],
    ["two slashes", "https://example.vault.azure.net//"],
    ["a query", "https://example.vault.azure.net?x=y"],
    ["a fragment", "https://example.vault.azure.net#x"],
    ["a user", "https://user@example.vault.azure.net"],
    ["a user with a password", "https://user:pw@example.vault.azure.net"],
    ["a host without a domain", "https://localhost"],
    ["a backslash", "https://example.vault.azure.net\\@evil.example"],
    ["a percent", "https://example%2evault.azure.net"],
    ["white space", " https://example.vault.azure.net"],
    ["a line's end", "https://example.vault.azure.net\n"],
    ["a dot at its end", "https://example.vault.azure.net."],
    ["a letter that is not ASCII", "https://exämple.vault.azure.net"],
    ["a host that is too long", `https://${"a.".repeat(126)}net`],
    ["nothing", ""],
    ["no string", undefined],
  ])("with %s is refused", (_, url) => {
    expect(refusalOf(() => vaultKey(url, "k")).code).toBe("ERR_INVALID_ARGUMENT");
  });
});

describe("a key id", () => {
  test.each([
    ["no key", "https://example.vault.azure.net"],
    ["no name", "https://example.vault.azure.net/keys/"],
    ["another collection", "https://example.vault.azure.net/secrets/k"],
    ["a slash at its end", "https://example.vault.azure.net/keys/k/"],
    ["a short version", "https://example.vault.azure.net/keys/k/0123"],
    ["a version in no hex", `https://example.vault.azure.net/keys/k/${"g".repeat(32)}`],
    ["more than a version", `https://example.vault.azure.net/keys/k/${VERSION}/wrapkey`],
    ["a name of 128 characters", `https://example.vault.azure.net/keys/${"k".repeat(128)}`],
    ["an underscore in its name", "https://example.vault.azure.net/keys/a_b"],
    ["a query", "https://example.vault.azure.net/keys/k?api-version=7.4"],
    ["a user", "https://user@example.vault.azure.net/keys/k"],
    ["a line's end", "https://example.vault.azure.net/keys/k\n"],
    ["two slashes before its path", "https://example.vault.azure.net//keys/k"],
    ["a path before its own", "https://example.vault.azure.net/keys/a/keys/k"],
    ["another port", "https://example.vault.azure.net:8443/keys/k"],
    ["a dot after its host", "https://example.vault.azure.net./keys/k"],
    ["an address of IPv6", "https://[::1]/keys/k"],
    ["no string", 7],
  ])("with %s is refused", (_, keyId) => {
    expect(refusalOf(() => parseKeyId(keyId)).code).toBe("ERR_INVALID_ARGUMENT");
  });
});

test("a key may be called keys, with and without a version", () => {
  const key = { host: "example.vault.azure.net", name: "keys" };
  expect(parseKeyId("https://example.vault.azure.net/keys/keys")).toEqual({ key });
  expect(parseKeyId(kidOf(key, VERSION))).toEqual({ key, version: VERSION });
});

test("a wrap's URI is compared byte for byte, but for the version's case", () => {
  const key = { host: "example.vault.azure.net", name: "Billing" };
  expect(versionInUri(key, uriOf(key, VERSION.toUpperCase()))).toBe(VERSION);
  expect(versionInUri(key, uriOf({ ...key, name: "billing" }, VERSION))).toBeUndefined();
  expect(versionInUri(key, uriOf({ ...key, host: "EXAMPLE.vault.azure.net" }, VERSION))).toBeUndefined();
  expect(versionInUri(key, uriOf(key))).toBeUndefined();
});

test("the service may spell a key's name in another case, and no other key", () => {
  const key = { host: "example.vault.azure.net", name: "Billing" };
  expect(versionInKid(key, `https://example.vault.azure.net/keys/billing/${VERSION}`)).toBe(VERSION);
  expect(versionInKid(key, `https://other.vault.azure.net/keys/Billing/${VERSION}`)).toBeUndefined();
  expect(versionInKid(key, undefined)).toBeUndefined();
});
