/** What gcpKms and masterKeyFromUri take, and what they refuse at once. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { refusalOf } from "../../../test/support/refusal.ts";
import * as gcp from "../src/index.ts";
import { keyName, ScriptedClient } from "./support/scripted-client.ts";

const { gcpKms, masterKeyFromUri } = gcp;

test("the package exports these names and no others", () => {
  expect(Object.keys(gcp).sort()).toEqual(["gcpKms", "masterKeyFromUri"]);
});

test("a provider is named by its URI, and recognizes nothing else", () => {
  const provider = gcpKms({ keyName });
  expect(provider.name).toBe(`gcp-kms://${keyName}`);
  expect(provider.authenticatesWraps).toBe(true);
  expect(provider.recognizes(`gcp-kms://${keyName}`)).toBe(true);
  const others = [
    keyName,
    `gcp-kms://${keyName}/cryptoKeyVersions/1`,
    `gcp-kms://${keyName}2`,
    `gcp-kms://${keyName.slice(0, -1)}`,
    `gcp-kms://${keyName.replace("global", "europe-west3")}`,
    `gcp-kms://${keyName.replace("p-1", "p-2")}`,
    `GCP-KMS://${keyName}`,
    `aws-kms://${keyName}`,
    "",
  ];
  expect(others.filter((other) => provider.recognizes(other))).toEqual([]);
});

describe("options", () => {
  test.each([
    ["undefined", undefined],
    ["null", null],
    ["a key's name alone", keyName],
    ["none", {}],
    ["another name", { keyName, region: "global" }],
    ["a misspelt name", { keyname: keyName }],
    ["a client that is none", { keyName, client: {} }],
    ["a client that is a string", { keyName, client: "client" }],
    ["a client that is null", { keyName, client: null }],
  ])("are refused: %s", (_, options) => {
    // @ts-expect-error None is of the type.
    expect(refusalOf(() => gcpKms(options)).code).toBe("ERR_INVALID_ARGUMENT");
  });

  test("a client that is undefined is none", () => {
    // @ts-expect-error With exactOptionalPropertyTypes; without them it is a usual thing to write.
    expect(gcpKms({ keyName, client: undefined }).name).toBe(`gcp-kms://${keyName}`);
    expect(gcpKms({ keyName, client: new ScriptedClient() }).name).toBe(`gcp-kms://${keyName}`);
  });
});

describe("the name of a key", () => {
  const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"];
  const label = fc.string({ unit: fc.constantFrom(...letters), minLength: 1, maxLength: 63 });
  const lower = fc.stringMatching(/^[a-z][a-z0-9-]{4,28}[a-z0-9]$/);
  const project = fc.oneof(
    lower,
    fc.stringMatching(/^[1-9][0-9]{5,11}$/),
    lower.map((id) => `example.com:${id}`),
  );
  const location = fc.constantFrom("global", "us", "eur4", "europe-west3", "us-east1", "nam-eur-asia1");
  const names = fc
    .tuple(project, location, label, label)
    .map(([p, l, r, k]) => `projects/${p}/locations/${l}/keyRings/${r}/cryptoKeys/${k}`);

  test("is taken in every form that the service gives it, also by URI", () => {
    fc.assert(
      fc.property(names, (name) => {
        const provider = masterKeyFromUri(`gcp-kms://${name}`);
        expect(provider.name).toBe(`gcp-kms://${name}`);
        expect(gcpKms({ keyName: name }).recognizes(provider.name)).toBe(true);
        expect(provider.name).toMatch(/^[!-~]{1,1024}$/);
      }),
    );
  });

  test("is refused with anything before, after or between", () => {
    const stray = fc.constantFrom(" ", "/", "\n", "?", "#", "%20", "é", "\0", "..", "//", "@");
    fc.assert(
      fc.property(names, stray, fc.double({ min: 0, max: 1, noNaN: true }), (name, text, where) => {
        const at = Math.round(where * name.length);
        const altered = name.slice(0, at) + text + name.slice(at);
        // Dots belong into the domain of a project alone.
        fc.pre(!(text === ".." && /^projects\/[^/]*:/.test(altered)));
        expect(refusalOf(() => gcpKms({ keyName: altered })).code).toBe("ERR_INVALID_ARGUMENT");
      }),
    );
  });

  test.each([
    ["a version", `${keyName}/cryptoKeyVersions/1`, /leave out \/cryptoKeyVersions/],
    ["a key ring", keyName.replace(/\/cryptoKeys.*/, ""), /key's whole name/],
    ["a key's last name", "k", /key's whole name/],
    ["a URI", `gcp-kms://${keyName}`, /key's whole name/],
    ["a URL of the API", `https://cloudkms.googleapis.com/v1/${keyName}`, /key's whole name/],
    ["an empty part", keyName.replace("p-1", ""), /key's whole name/],
    ["a key of 64 characters", keyName.replace(/k$/, "k".repeat(64)), /key's whole name/],
    ["a project of 1,000 characters", keyName.replace("p-1", "p".repeat(1_000)), /key's whole name/],
    ["nothing", "", /key's whole name/],
    ["a number", 7, /must be a string/],
  ])("is not that of %s", (_, name, message) => {
    // @ts-expect-error One of them is no string.
    const refusal = refusalOf(() => gcpKms({ keyName: name }));
    expect(refusal.code).toBe("ERR_INVALID_ARGUMENT");
    expect(refusal.message).toMatch(message);
  });
});

describe("a URI is refused", () => {
  test.each([
    ["with a query", `gcp-kms://${keyName}?region=global`],
    ["with an empty query", `gcp-kms://${keyName}?`],
    ["with a fragment", `gcp-kms://${keyName}#1`],
    ["with user-info", `gcp-kms://user:password@${keyName}`],
    ["with white space", `gcp-kms://${keyName} `],
    ["with a version", `gcp-kms://${keyName}/cryptoKeyVersions/1`],
    ["of another scheme", `aws-kms://${keyName}`],
    ["without its slashes", `gcp-kms:${keyName}`],
    ["with one slash more", `gcp-kms:///${keyName}`],
    ["without a key", "gcp-kms://"],
  ])("%s", (_, uri) => {
    expect(refusalOf(() => masterKeyFromUri(uri)).code).toBe("ERR_INVALID_ARGUMENT");
  });
});
