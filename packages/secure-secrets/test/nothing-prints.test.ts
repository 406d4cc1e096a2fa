/** No way of printing a key, a key management or an error shows a key, the master secret, or a secret. */

import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { refusalOf, rejectionOf } from "../../../test/support/refusal.ts";
import { fernet, newFernet } from "../src/fernet.ts";
import { createKeyManagement } from "../src/key-management.ts";
import { createMigration } from "../src/migration.ts";
import {
  collect,
  keyBytes,
  keyManagement,
  keyText,
  MASTER_SECRET,
  newKeyfold,
  recordsOf,
} from "./support/material.ts";

const SECRET = "hunter2 in the database";
const secrets = [Buffer.from(keyBytes), Buffer.from(MASTER_SECRET), Buffer.from(SECRET)];

describe("nothing prints a secret:", () => {
  test("a key, before and after use", () => {
    const box = fernet(keyText);
    expect(leaks(box)).toEqual([]);
    box.decrypt(box.encrypt(SECRET));
    expect(leaks(box)).toEqual([]);
  });

  test("a key management, with a master secret of any kind", async () => {
    for (const masterSecret of [MASTER_SECRET, Buffer.from(MASTER_SECRET)]) {
      const keys = createKeyManagement({ project: "shop", masterSecret });
      const { kek, salt } = await keys.generateKek();
      expect(leaks([keys, kek, salt])).toEqual([]);
      expect(leaks([keys], Buffer.from(kek.exportKey(), "base64url"))).toEqual([]);
      await keys.close();
      expect(leaks(keys)).toEqual([]);
    }
  });

  test("a migration, and its results", async () => {
    const migration = createMigration({ from: keyManagement(), to: newKeyfold().keyfold });
    const results = await collect(migration.migrateMany(await recordsOf([SECRET])));
    expect(leaks([migration, results])).toEqual([]);
  });

  test("errors", async () => {
    const box = fernet(keyText);
    const token = box.encrypt(SECRET);
    const [record] = await recordsOf([SECRET]);
    const migration = createMigration({ from: keyManagement(), to: newKeyfold().keyfold });
    const masterSecret = Buffer.concat([Buffer.from(MASTER_SECRET), Buffer.of(0xff)]);
    const errors = [
      refusalOf(() => newFernet().decrypt(token)),
      refusalOf(() => box.decrypt(token, { timeToLive: 0, now: Date.now() + 9_000 })),
      refusalOf(() => box.decryptText(box.encrypt(Buffer.concat([Buffer.from(SECRET), Buffer.of(0xff)])))),
      refusalOf(() => fernet(`${keyText}=`)),
      refusalOf(() => box.encrypt(`${SECRET}\ud800`)),
      refusalOf(() => keyManagement().decryptDek(token, box)),
      refusalOf(() => createKeyManagement({ project: "shop", masterSecret })),
      await rejectionOf(migration.migrate({ ...record, encryptedDek: token } as never)),
      await rejectionOf(migration.migrate({ ...record, context: 1 } as never)),
    ];
    expect(errors.map(({ code }) => code)).toEqual([
      "ERR_FERNET_INVALID",
      "ERR_FERNET_EXPIRED",
      "ERR_NOT_TEXT",
      "ERR_INVALID_ARGUMENT",
      "ERR_INVALID_ARGUMENT",
      "ERR_FERNET_INVALID",
      "ERR_INVALID_ARGUMENT",
      "ERR_FERNET_INVALID",
      "ERR_INVALID_ARGUMENT",
    ]);
    for (const error of errors) expect(leaks(error)).toEqual([]);
  });
});

test("what does show one is noticed", () => {
  for (const bytes of secrets) {
    for (const shown of [
      bytes,
      [...bytes],
      bytes.toString("hex"),
      bytes.toString("base64"),
      bytes.toString("base64url"),
    ]) {
      expect(leaks({ a: { b: new Map([["held", shown]]) } })).not.toEqual([]);
    }
  }
  expect(leaks(new Error("no", { cause: { MASTER_SECRET } }))).not.toEqual([]);
  expect(leaks({ key: keyText })).not.toEqual([]);
});

/** The spellings of secrets that show in `value`, however it is printed. */
function leaks(value: unknown, ...more: readonly Buffer[]): string[] {
  const printed = inspect(value, {
    showHidden: true,
    depth: Number.POSITIVE_INFINITY,
    breakLength: Number.POSITIVE_INFINITY,
    maxArrayLength: null,
    maxStringLength: null,
  });
  const messages = value instanceof Error ? [value.message, value.stack] : [];
  const shown = [printed, JSON.stringify(value), String(value), ...messages]
    .join("\n")
    .replaceAll(/\s+/g, " ");
  return [...secrets, ...more].flatMap(spellings).filter((spelling) => shown.includes(spelling));
}

function spellings(bytes: Buffer): string[] {
  const start = [...bytes.subarray(0, 6)];
  return [
    bytes.toString("latin1").replaceAll(/\s+/g, " "),
    bytes.toString("hex").slice(0, 10),
    bytes.toString("base64").slice(0, 8),
    bytes.toString("base64url").slice(0, 8),
    start.join(", "),
    start.join(","),
    start.map((byte) => byte.toString(16).padStart(2, "0")).join(" "),
  ];
}
