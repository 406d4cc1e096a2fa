import { setTimeout as sleep } from "node:timers/promises";
import type { KeyfoldError } from "@keyfold/core";
import { describe, expect, expectTypeOf, test } from "vitest";
import { refusalOf, rejectionOf } from "../../../test/support/refusal.ts";
import {
  createMigration,
  type Migration,
  type MigrationResult,
  type SecretRecord,
} from "../src/migration.ts";
import { cryptoCalls } from "./support/crypto-spies.ts";
import { collect, keyManagement, newKeyfold, recordOf, recordsOf } from "./support/material.ts";

function newMigration() {
  const { keyfold, masterKey } = newKeyfold();
  return { migration: createMigration({ from: keyManagement(), to: keyfold }), keyfold, masterKey };
}

const texts = (count: number) => Array.from({ length: count }, (_, i) => `secret ${i} ü`);

describe("migrate", () => {
  test("gives an envelope of the same bytes, bound to the record's context", async () => {
    const { migration, keyfold } = newMigration();
    for (const secret of ["hunter2", "", "\ufeffü\0", Uint8Array.of(0xff, 0)]) {
      const record = await recordOf(secret);
      const envelope = await migration.migrate(record);
      expect(envelope).toMatch(/^kf1\./);
      const bytes = typeof secret === "string" ? new TextEncoder().encode(secret) : secret;
      expect(await keyfold.open(envelope, record.context)).toEqual(bytes);
      expect((await rejectionOf(keyfold.open(envelope, { id: "1" }))).code).toBe("ERR_CONTEXT_MISMATCH");
    }
  });

  test("takes tokens and salts as bytes and as texts", async () => {
    const { migration, keyfold } = newMigration();
    const record = await recordOf("hunter2");
    const salt = Buffer.from(record.salt as Uint8Array);
    const salts = [
      salt,
      salt.toString("base64"),
      salt.toString("base64").replace("==", ""),
      salt.toString("base64url"),
      `${salt.toString("base64url")}==`,
      salt.toString("hex"),
      salt.toString("hex").toUpperCase(),
    ];
    const ascii = {
      encryptedDek: Buffer.from(record.encryptedDek as string),
      encryptedSecret: Buffer.from(record.encryptedSecret as string),
    };
    for (const each of salts) {
      const envelope = await migration.migrate({ ...record, ...ascii, salt: each });
      expect(await keyfold.openText(envelope, record.context)).toBe("hunter2");
    }
  });

  test("refuses a record with any byte of any column altered", async () => {
    const { migration } = newMigration();
    const record = await recordOf("hunter2");
    for (const column of ["encryptedDek", "encryptedSecret", "salt"] as const) {
      const bytes = Buffer.from(record[column]);
      for (let at = 0; at < bytes.length; at++) {
        const altered = Uint8Array.from(bytes);
        altered[at] = (altered[at] ?? 0) ^ 1;
        const { code } = await rejectionOf(migration.migrate({ ...record, [column]: altered }));
        expect(code, `${column}, byte ${at}`).toBe("ERR_FERNET_INVALID");
      }
    }
  });

  test("says which token was refused", async () => {
    const { migration } = newMigration();
    const [record, other] = await recordsOf(["a", "b"]);
    const [foreign] = await recordsOf(["c"]);
    if (record === undefined || other === undefined || foreign === undefined) throw new Error("no records");
    const wrongSecret = await rejectionOf(
      migration.migrate({ ...record, encryptedSecret: foreign.encryptedSecret }),
    );
    const wrongDek = await rejectionOf(migration.migrate({ ...record, encryptedDek: foreign.encryptedDek }));
    expect(wrongSecret.message).toContain("encrypted secret");
    expect(wrongDek.message).toContain("encrypted DEK");
    for (const each of [wrongSecret, wrongDek]) {
      expect([each.code, (each.cause as KeyfoldError).code]).toEqual([
        "ERR_FERNET_INVALID",
        "ERR_FERNET_INVALID",
      ]);
    }
  });

  test("refuses what is no record", async () => {
    const { migration, masterKey } = newMigration();
    const record = await recordOf("hunter2");
    const wrong: unknown[] = [
      null,
      "text",
      {},
      { ...record, salt: undefined },
      { ...record, salt: "AAAA" },
      { ...record, salt: `${"A".repeat(21)}B==` },
      { ...record, encryptedDek: 1 },
      { ...record, encryptedSecret: undefined },
      { ...record, context: undefined },
      { ...record, context: { id: 1 } },
    ];
    for (const each of wrong) {
      const { code } = await rejectionOf(migration.migrate(each as SecretRecord));
      expect(code).toBe("ERR_INVALID_ARGUMENT");
    }
    expect(masterKey.calls.wraps).toBe(0);
  });

  test("ends with its signal", async () => {
    const { migration } = newMigration();
    const record = await recordOf("hunter2");
    const reason = new Error("enough");
    const { code, cause } = await rejectionOf(
      migration.migrate(record, { signal: AbortSignal.abort(reason) }),
    );
    expect([code, cause]).toEqual(["ERR_ABORTED", reason]);
  });

  test("belongs to a key management and a keyfold", () => {
    const { keyfold } = newKeyfold();
    // @ts-expect-error They are not to be mixed up.
    const mixedUp = () => createMigration({ from: keyfold, to: keyManagement() });
    // @ts-expect-error Both are needed.
    const incomplete = () => createMigration({ to: keyfold });
    expect(refusalOf(mixedUp).code).toBe("ERR_INVALID_ARGUMENT");
    expect(refusalOf(incomplete).code).toBe("ERR_INVALID_ARGUMENT");
  });
});

describe("migrateMany", () => {
  test("migrates 10,000 records under one salt with one PBKDF2 and one call to the KMS", async () => {
    const { migration, keyfold, masterKey } = newMigration();
    const secrets = texts(10_000);
    const records = await recordsOf(secrets);
    const calls = cryptoCalls("pbkdf2");
    const started = performance.now();
    const results = await collect(migration.migrateMany(records));
    const seconds = (performance.now() - started) / 1_000;
    console.log(`10,000 records in ${seconds.toFixed(2)} s: ${Math.round(10_000 / seconds)} a second`);
    expect(calls).toEqual(["pbkdf2"]);
    expect([masterKey.calls.wraps, masterKey.calls.unwraps]).toEqual([1, 0]);
    const opened = results.map(({ record, ...result }) =>
      result.ok ? keyfold.openTextSync(result.value, record.context) : result.error.code,
    );
    expect(opened).toEqual(secrets);
    expect([masterKey.calls.wraps, masterKey.calls.unwraps]).toEqual([1, 0]);
  });

  test("gives a result for each record, in their order, and none stands in another's way", async () => {
    const { migration, keyfold } = newMigration();
    const [first, second, third] = await recordsOf(["a", "b", "c"]);
    if (first === undefined || second === undefined || third === undefined) throw new Error("no records");
    // The first has to wait for a key of its own.
    const slow = await recordOf("d");
    const bad = { ...second, encryptedSecret: third.encryptedDek };
    const input = [slow, first, bad, third];
    async function* records() {
      yield* input;
    }
    const results = await collect(migration.migrateMany(records()));
    expect(results.map(({ record }) => record)).toEqual(input);
    expect(
      results.map((result) =>
        result.ok ? keyfold.openTextSync(result.value, result.record.context) : result.error.code,
      ),
    ).toEqual(["d", "a", "ERR_FERNET_INVALID", "c"]);
  });

  test("goes on where it was left: results stay valid, and skip leaves out what has one", async () => {
    const { migration, keyfold } = newMigration();
    const records = await recordsOf(texts(50));
    const done = new Map<number, string>();
    for await (const result of migration.migrateMany(records)) {
      if (result.ok) done.set(result.record.id, result.value);
      if (done.size === 20) break;
    }
    const again: number[] = [];
    for await (const result of migration.migrateMany(records, { skip: ({ id }) => done.has(id) })) {
      again.push(result.record.id);
      if (result.ok) done.set(result.record.id, result.value);
    }
    expect(again).toEqual(records.slice(20).map(({ id }) => id));
    expect(records.map(({ id, context }) => keyfold.openTextSync(done.get(id) ?? "", context))).toEqual(
      texts(50),
    );
  });

  test("reads no further ahead than its concurrency, and closes an input that is not wanted any more", async () => {
    const { migration } = newMigration();
    const records = await recordsOf(texts(30));
    let read = 0;
    let isClosed = false;
    function* input() {
      try {
        for (const record of records) {
          read++;
          yield record;
        }
      } finally {
        isClosed = true;
      }
    }
    for await (const _ of migration.migrateMany(input(), { concurrency: 3 })) {
      await sleep(5);
      break;
    }
    expect(read).toBeLessThanOrEqual(5);
    await sleep(0);
    expect(isClosed).toBe(true);
  });

  test("gives a result as soon as it is there, though the next record is not", async () => {
    const { migration } = newMigration();
    const record = await recordOf("a");
    const last = Promise.withResolvers<void>();
    async function* input() {
      yield record;
      await last.promise;
    }
    const results = migration.migrateMany(input());
    expect((await results.next()).value).toMatchObject({ ok: true, record });
    last.resolve();
    expect((await results.next()).done).toBe(true);
  });

  test("ends with its signal, though the input never answers", async () => {
    const { migration } = newMigration();
    const record = await recordOf("a");
    async function* input() {
      yield record;
      await new Promise(() => {});
    }
    const stop = new AbortController();
    const results = migration.migrateMany(input(), { signal: stop.signal });
    await results.next();
    const pending = results.next();
    stop.abort();
    expect((await rejectionOf(pending)).code).toBe("ERR_ABORTED");
    const late = migration.migrateMany([record], { signal: stop.signal });
    expect((await rejectionOf(late.next())).code).toBe("ERR_ABORTED");
  });

  test("ends with the error of its input, after the results before it", async () => {
    const { migration } = newMigration();
    const record = await recordOf("a");
    const failure = new Error("the database went away");
    async function* input() {
      yield record;
      throw failure;
    }
    const results: unknown[] = [];
    const collecting = (async () => {
      for await (const { ok } of migration.migrateMany(input())) results.push(ok);
    })();
    await expect(collecting).rejects.toBe(failure);
    expect(results).toEqual([true]);
  });

  test("gives each record the failure of the master key, where that fails", async () => {
    const { migration, masterKey } = newMigration();
    masterKey.deny();
    const results = await collect(migration.migrateMany(await recordsOf(texts(3))));
    expect(results.map((result) => (result.ok ? "" : result.error.code))).toEqual(
      Array.from({ length: 3 }, () => "ERR_MASTER_KEY_DENIED"),
    );
  });

  test("refuses wrong options", async () => {
    const { migration } = newMigration();
    const wrong = [{ concurrency: 0 }, { concurrency: 1_001 }, { skip: 1 }, { signal: {} }, { from: 3 }];
    for (const options of wrong) {
      const results = migration.migrateMany([], options as object);
      expect((await rejectionOf(results.next())).code).toBe("ERR_INVALID_ARGUMENT");
    }
  });
});

test("types", () => {
  type Row = SecretRecord & { readonly id: number };
  const many = (migration: Migration, rows: AsyncIterable<Row>) => migration.migrateMany(rows);
  expectTypeOf(many).returns.toEqualTypeOf<AsyncGenerator<MigrationResult<Row>, void, undefined>>();
  expectTypeOf<MigrationResult<Row>["record"]>().toEqualTypeOf<Row>();
  expectTypeOf<Migration["migrate"]>().returns.resolves.toBeString();
});
