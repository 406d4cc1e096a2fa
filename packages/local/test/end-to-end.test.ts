/** Each provider as the master key of a keyfold, with the package's public names alone. */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createKeyfold, type Keyfold, type MasterKeyProvider } from "@keyfold/core";
import * as local from "@keyfold/local";
import { describe, expect, onTestFinished, test } from "vitest";
import { rejectionOf } from "../../../test/support/refusal.ts";
import { masterBytes, setVariable, temporaryDirectory } from "./support/material.ts";

const { createLocalKeyFile, envKey, localKeyFile, passphraseKey, rotateLocalKeyFile } = local;

const NAME = "KEYFOLD_TEST_END_TO_END";
const context = { name: "db_password" };

/** For each: a way to make one master key, as two processes would. */
const makers: Readonly<Record<string, () => Promise<() => MasterKeyProvider>>> = {
  localKeyFile: async () => {
    const path = await newKeyFile();
    return () => localKeyFile(path);
  },
  envKey: async () => {
    setVariable(NAME, Buffer.from(masterBytes).toString("base64url"));
    return () => envKey(NAME);
  },
  passphraseKey: async () => () => passphraseKey("correct horse battery staple", { log2N: 15 }),
};

test("the package exports these names and no others", () => {
  expect(Object.keys(local).sort()).toEqual([
    "createLocalKeyFile",
    "envKey",
    "localKeyFile",
    "masterKeyFromUri",
    "passphraseKey",
    "rotateLocalKeyFile",
  ]);
});

describe.each(Object.entries(makers))("with %s", (_, prepare) => {
  test("what one process seals another opens", async () => {
    const make = await prepare();
    const sealer = keyfoldOf(make());
    const sealed = await sealer.sealText("hunter2", context);
    const opener = keyfoldOf(make());
    expect(await opener.openText(sealed, context)).toBe("hunter2");
    expect(opener.openTextSync(sealed, context)).toBe("hunter2");
    expect(sealer.inspect(sealed).masterKeys).toEqual(opener.inspect(sealed).masterKeys);
  });

  test("another project does not open it", async () => {
    const make = await prepare();
    const sealed = await keyfoldOf(make()).seal("hunter2", context);
    const other = keyfoldOf(make(), "billing/test");
    expect((await rejectionOf(other.open(sealed, context))).code).toBe("ERR_MASTER_KEY_REJECTED");
  });

  test("once the provider is closed, nothing new is sealed or opened", async () => {
    const make = await prepare();
    const sealed = await keyfoldOf(make()).seal("hunter2", context);
    const provider = make();
    await provider.close?.();
    expect((await rejectionOf(keyfoldOf(provider).seal("hunter2", context))).code).toBe("ERR_CLOSED");
    expect((await rejectionOf(keyfoldOf(provider).open(sealed, context))).code).toBe("ERR_CLOSED");
  });
});

test("a passphrase opens what a key file and it sealed together", async () => {
  const masterKeys = [localKeyFile(await newKeyFile()), passphraseKey("in the safe", { log2N: 15 })];
  const keyfold = createKeyfold({ project: "billing/prod", masterKeys });
  onTestFinished(() => keyfold.close());
  const sealed = await keyfold.seal("hunter2", context);
  expect(await keyfoldOf(passphraseKey("in the safe")).openText(sealed, context)).toBe("hunter2");
});

test("a key file and a variable that hold the same key open each other's envelopes", async () => {
  const path = await newKeyFile();
  const { keys } = JSON.parse(readFileSync(path, "utf8"));
  setVariable(NAME, keys[0].key);
  const sealed = await keyfoldOf(localKeyFile(path)).seal("hunter2", context);
  expect(await keyfoldOf(envKey(NAME)).openText(sealed, context)).toBe("hunter2");
});

test("another key file does not open it, and a missing one says so", async () => {
  const path = await newKeyFile();
  const sealed = await keyfoldOf(localKeyFile(path)).seal("hunter2", context);
  const other = keyfoldOf(localKeyFile(await newKeyFile()));
  expect((await rejectionOf(other.open(sealed, context))).code).toBe("ERR_NO_USABLE_WRAP");
  const missing = keyfoldOf(localKeyFile(`${path}.missing`));
  expect((await rejectionOf(missing.open(sealed, context))).code).toBe("ERR_KEY_FILE");
  expect((await rejectionOf(missing.seal("hunter2", context))).code).toBe("ERR_KEY_FILE");
});

test("after a rotation old envelopes open, new ones name the new key, and rewrap moves the old ones", async () => {
  const path = await newKeyFile();
  const running = keyfoldOf(localKeyFile(path));
  const sealed = await running.seal("hunter2", context);
  const uri = await rotateLocalKeyFile(path);
  expect(readdirSync(dirname(path))).toEqual(["master.key"]);

  const after = keyfoldOf(localKeyFile(path));
  expect(await after.openText(sealed, context)).toBe("hunter2");
  await after.ready();
  expect(after.needsRewrap(sealed)).toBe(true);
  const rewrapped = await after.rewrap(sealed);
  expect(after.needsRewrap(rewrapped)).toBe(false);
  expect(after.inspect(rewrapped).masterKeys).toEqual([uri]);
  expect(await keyfoldOf(localKeyFile(path)).openText(rewrapped, context)).toBe("hunter2");
});

function keyfoldOf(masterKey: MasterKeyProvider, project = "billing/prod"): Keyfold {
  const keyfold = createKeyfold({ project, masterKeys: masterKey });
  onTestFinished(() => keyfold.close());
  return keyfold;
}

async function newKeyFile(): Promise<string> {
  const path = join(temporaryDirectory(), "master.key");
  await createLocalKeyFile(path);
  return path;
}
