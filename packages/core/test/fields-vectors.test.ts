/** The vectors of docs/spec/fields-v1.md: made again to the byte, opened through every door, and by a program that is not keyfold. */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { encodeHeaderPrefix } from "../src/envelope.ts";
import { findFields, parsePaths, pathOfElement, pathOfKey } from "../src/field-paths.ts";
import { decodeFieldValue, encodeFieldValue, type FieldValue } from "../src/field-values.ts";
import { encodeFieldContext, openFieldsNow, sealFieldWith } from "../src/fields.ts";
import type { KeyfoldErrorCode } from "../src/index.ts";
import { KeyCache } from "../src/key-cache.ts";
import { Operations } from "../src/operations.ts";
import { resolveOptions } from "../src/options.ts";
import { sealEnvelopeWith } from "../src/sealing.ts";
import { hex, unhex } from "./support/hex.ts";
import { refusalOf } from "./support/refusal.ts";
import { type EnvelopeVector, keysOf, masterKeyWith } from "./support/vectors.ts";

type Keys = Pick<EnvelopeVector, "project" | "scope" | "context" | "kdk">;

interface FieldVector {
  readonly path: string;
  readonly type: string;
  readonly value: unknown;
  readonly encoded: string;
  readonly encodedContext: string;
  readonly messageSalt: string;
  readonly envelope: string;
}

interface RecordVector
  extends Keys,
    Pick<EnvelopeVector, "name" | "wraps" | "salt" | "nonce" | "dek" | "kdkId"> {
  readonly header: string;
  readonly fields: readonly FieldVector[];
}

interface InvalidField extends Keys {
  readonly name: string;
  readonly path: string;
  readonly code: KeyfoldErrorCode;
  readonly envelope: string;
}

interface Vectors {
  readonly paths: readonly { readonly place: readonly (string | number)[]; readonly path: string }[];
  readonly records: readonly RecordVector[];
  readonly invalid: readonly InvalidField[];
}

const file = fileURLToPath(new URL("./vectors/fields-v1.json", import.meta.url));
const vectors: Vectors = JSON.parse(readFileSync(file, "utf8"));

const read: Readonly<Record<string, (shown: never) => FieldValue>> = {
  null: () => null,
  boolean: (shown: boolean) => shown,
  number: (shown: string) => Number(shown),
  bigint: (shown: string) => BigInt(shown),
  string: (shown: string) => shown,
  bytes: (shown: string) => unhex(shown),
  date: (shown: number) => new Date(shown),
  json: (shown: string) => JSON.parse(shown),
};

function heldBy({ type, value }: FieldVector): FieldValue {
  const reader = read[type];
  if (reader === undefined) throw new Error(`The type ${type} is not known.`);
  return reader(value as never);
}

test("the file has what this test counts on", () => {
  expect(vectors.records.map(({ fields }) => fields.length)).toEqual([21, 11, 12, 4, 1]);
  expect(new Set(vectors.records.flatMap(({ fields }) => fields.map(({ type }) => type)))).toEqual(
    new Set(Object.keys(read)),
  );
  expect([vectors.invalid.length, vectors.paths.length]).toEqual([27, 13]);
});

describe.each(vectors.records)("$name", (record) => {
  test("has this header from its inputs", () => {
    expect(hex(headerOf(record))).toBe(record.header);
  });

  test.each(record.fields)("$path: the value, the context and the envelope are made again", (field) => {
    const value = heldBy(field);
    const encoded = encodeFieldValue(value, field.path);
    const context = encodeFieldContext(record.context, field.path);
    expect([hex(encoded), hex(context)]).toEqual([field.encoded, field.encodedContext]);
    expect(decodeFieldValue(unhex(field.encoded), field.path)).toStrictEqual(value);
    const key = { header: unhex(record.header), dek: unhex(record.dek) };
    expect(sealFieldWith(key, unhex(field.messageSalt), context, encoded)).toBe(field.envelope);
  });

  test("opens from its envelopes, each in its place", async () => {
    const operations = await operationsWith(record, record.fields[0]?.envelope ?? "");
    for (const field of record.fields) {
      const place = placeOf(field.path);
      const opened = openFieldsNow(
        operations,
        recordWith(place, field.envelope),
        [pathTo(place)],
        record.context,
      );
      expect(opened).toStrictEqual(recordWith(place, heldBy(field)));
    }
  });
});

describe("a field that must be refused", () => {
  test.each(vectors.invalid)("$name: $code", async (vector) => {
    const operations = await operationsWith(vector, vector.envelope);
    const place = placeOf(vector.path);
    const error = refusalOf(() =>
      openFieldsNow(operations, recordWith(place, vector.envelope), [pathTo(place)], vector.context),
    );
    expect(error.code).toBe(vector.code);
    expect(error.message).toContain(`The field ${JSON.stringify(vector.path)}`);
  });
});

describe("a path", () => {
  test.each(vectors.paths)("$path is that of its place", ({ place, path }) => {
    const written = place.reduce<string>(
      (above, step) => (typeof step === "string" ? pathOfKey(above, step) : pathOfElement(above, step)),
      "",
    );
    expect(written).toBe(path);
    const { found } = findFields(recordWith(place, "the value"), parsePaths([pathTo(place)]));
    expect(found.map(({ path, value }) => [path, value])).toEqual([[path, "the value"]]);
  });
});

describe("a program that is not keyfold", () => {
  const { status, stderr } = spawnSync("python3", ["-c", "import cryptography"], { encoding: "utf8" });
  const required = process.env["KEYFOLD_REQUIRE"] === "1";
  const absent =
    status === 0 ? "" : `python3 has no cryptography (${(stderr ?? "").trim().split("\n").at(-1)})`;

  test.skipIf(absent !== "" && !required)(
    `opens them all, and refuses what must be refused ${absent}`,
    () => {
      const script = fileURLToPath(new URL("./support/fields.py", import.meta.url));
      const { stdout, stderr } = spawnSync("python3", [script, file], { encoding: "utf8" });
      expect(stderr).toBe("");
      expect(JSON.parse(stdout)).toEqual({
        fields: vectors.records.reduce((sum, { fields }) => sum + fields.length, 0),
        refusals: vectors.invalid.length,
        paths: vectors.paths.length,
      });
    },
  );
});

/** The header of a record's fields, by the function that random sealing calls. */
function headerOf(record: RecordVector): Uint8Array {
  const { id, kek } = keysOf(record);
  const wraps = record.wraps.map(({ masterKey, wrapped }) => ({ masterKey, ciphertext: unhex(wrapped) }));
  const prefix = encodeHeaderPrefix({ kdkId: id, salt: unhex(record.salt), wraps });
  const draws = { nonce: unhex(record.nonce), dek: unhex(record.dek), messageSalt: new Uint8Array(24) };
  const empty = new Uint8Array(0);
  return sealEnvelopeWith({ kek, prefix }, draws, empty, empty).subarray(0, prefix.length + 60);
}

/** A keyfold's operations with the KDK of these envelopes in memory, as a keyring would give it. */
async function operationsWith({ project, scope, kdk }: Keys, envelope: string): Promise<Operations> {
  const settings = resolveOptions({ project, openWith: masterKeyWith(kdk) });
  const keys = new KeyCache(settings);
  const operations = new Operations({ settings, keys, counts: { seals: 0, opens: 0, rewraps: 0 } }, scope);
  const { header } = operations.admit(envelope);
  const wraps = [{ masterKey: "test:in-hand", ciphertext: new Uint8Array(1) }];
  await keys.obtainDek({ ...header, wraps }, operations.scope, { signals: [] });
  return operations;
}

/** The keys and indexes of a place, from its text. */
function placeOf(path: string): readonly (string | number)[] {
  const steps = path.matchAll(/\[(\d+)\]|((?:[^\\.[\]?]|\\[\\.[\]?])+)/g);
  return [...steps].map(([, index, key]) =>
    key === undefined ? Number(index) : key.replaceAll(/\\(.)/g, "$1"),
  );
}

/** The path that leads there, and to the other elements of arrays if there are any. */
function pathTo(place: readonly (string | number)[]): string {
  const path = place.reduce<string>(
    (above, step) => (typeof step === "string" ? pathOfKey(above, step) : `${above}[]`),
    "",
  );
  return `${path}?`;
}

/** A record that has nothing but a value in a place. */
function recordWith(place: readonly (string | number)[], value: unknown): object {
  return place.reduceRight<unknown>((below, step) => {
    if (typeof step === "string") return Object.fromEntries([[step, below]]);
    return Object.assign([], { [step]: below });
  }, value) as object;
}
