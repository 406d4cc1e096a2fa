import { join } from "node:path";
import { createKeyfold, masterKeysFromUri } from "@keyfold/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as local from "../src/index.ts";
import { temporaryDirectory } from "./support/material.ts";

const providers = { file: () => local, env: () => local };

describe("a file: URI", () => {
  test.each([
    ["file:master.key", "file:master.key"],
    ["file:./keys/master.key", "file:./keys/master.key"],
    ["file:/etc/keyfold/master.key", "file:/etc/keyfold/master.key"],
    ["file:///etc/keyfold/master.key", "file:/etc/keyfold/master.key"],
    ["file:my%20key", "file:my key"],
    ["file:100%25%3F%23", "file:100%?#"],
    ["file:/user@host", "file:/user@host"],
  ])("%s names %s", (uri, name) => {
    expect(local.masterKeyFromUri(uri).name).toBe(name);
  });

  test.each([
    "file:",
    "file://",
    "file://host/path",
    "file:a?mode=1",
    "file:a?",
    "file:a#b",
    "file:a b",
    "file:%E4",
    "file:a%00b",
    "file:ä",
    "path",
    "env",
    "",
  ])("%j is refused", (uri) => {
    expect(() => local.masterKeyFromUri(uri)).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }),
    );
  });

  test("names any path that is percent-encoded", () => {
    const path = fc.string({ unit: "grapheme", minLength: 1 }).filter((path) => !path.includes("\0"));
    fc.assert(
      fc.property(path, (path) => {
        expect(local.masterKeyFromUri(`file:${encodeURIComponent(path)}`).name).toBe(`file:${path}`);
      }),
    );
  });
});

describe("an env: URI", () => {
  test("names a variable", () => {
    expect(local.masterKeyFromUri("env:MASTER_KEY").name).toBe("env:MASTER_KEY");
  });

  test.each(["env:", "env:7", "env:A=B", "env:A?b=c", "env:A#b", "env:A%20B", "env://A"])(
    "%j is refused",
    (uri) => {
      expect(() => local.masterKeyFromUri(uri)).toThrow(
        expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }),
      );
    },
  );
});

test("what is sealed under one of two URIs' keys opens with either", async () => {
  const path = join(temporaryDirectory(), "a key.json");
  await local.createLocalKeyFile(path);
  process.env["KEYFOLD_TEST_URI_KEY"] = Buffer.alloc(32, 7).toString("base64");
  const uris = [`file:${encodeURIComponent(path)}`, "env:KEYFOLD_TEST_URI_KEY"];
  const both = await masterKeysFromUri(uris.join(" "), { providers });
  await using sealer = createKeyfold({ project: "uri", masterKeys: both });
  const sealed = await sealer.seal("a secret", {});
  for (const uri of uris) {
    await using opener = createKeyfold({
      project: "uri",
      openWith: await masterKeysFromUri(uri, { providers }),
    });
    expect(await opener.openText(sealed, {})).toBe("a secret");
  }
});
