/** The worked example of docs/spec/keyring-v1.md, computed again from its inputs and from nothing of keyfold's. */

import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { encodeMap, expand, gcm, inHex, lp, u16, u64, workedExample } from "./support/format.ts";

const root = new URL("../", import.meta.url);
const page = readFileSync(new URL("docs/spec/keyring-v1.md", root), "utf8");
const shown = workedExample(page);
const vectors = new URL("packages/core/test/vectors/wraps-and-keyring-v1.json", root);
const { keyring: vector } = JSON.parse(readFileSync(vectors, "utf8"));

/** The JSON block of the worked example. */
function documentShown(): string {
  return /^## Worked example\n.*?^```json\n(.*?)^```$/ms.exec(page)?.[1] ?? "";
}

describe("the worked example of the keyring's page", () => {
  test("every value on the page follows from its inputs, and no other value is there", () => {
    const { document, ...values } = computedExample(shown);
    expect(shown).toEqual(values);
    expect(documentShown()).toBe(document);
  });

  test("the inputs and the document are those of the vector", () => {
    expect(JSON.parse(documentShown())).toEqual(vector.document);
    expect(shown["keyringKey"]).toBe(vector.keyringKey);
    expect([shown["kdk1"], shown["kdk2"]]).toEqual(vector.kdks);
  });

  test("one changed digit on the page is noticed", () => {
    for (const name of ["keyringId", "sealKey", "macKey", "kdkId1", "sealed2", "macInput", "mac"]) {
      const value = shown[name] ?? "";
      const altered = { ...shown, [name]: (value.startsWith("0") ? "1" : "0") + value.slice(1) };
      const { document: _, ...values } = computedExample(altered);
      expect(altered, name).not.toEqual(values);
    }
  });
});

/** From the inputs among `shown`, all that the page shows. */
function computedExample(shown: Record<string, string>): Record<string, string> {
  const json = (name: string) => JSON.parse(shown[name] ?? "null");
  const hex = (name: string) => Buffer.from(shown[name] ?? "", "hex");
  const [keyringKey, wrapped, kdkId0] = [hex("keyringKey"), hex("wrapped"), hex("kdkId0")];
  const [kdk1, nonce1, kdk2, nonce2] = [hex("kdk1"), hex("nonce1"), hex("kdk2"), hex("nonce2")];
  const projectName = Buffer.from(json("project"));
  const project = lp(projectName);
  const [sequence, kmsContext, masterKey] = [json("sequence"), json("kmsContext"), json("masterKey")];
  const created = [json("created0"), json("created1"), json("created2")];

  const infoOf = (label: string) => Buffer.concat([Buffer.from(`keyfold/1/${label}\0`), project]);
  const idInfo = infoOf("keyring-id");
  const keyringId = expand(keyringKey, idInfo, 16);
  const sealKey = expand(keyringKey, infoOf("keyring-seal"), 32);
  const macKey = expand(keyringKey, infoOf("keyring-mac"), 32);
  const kdkId1 = expand(kdk1, infoOf("kdk-id"), 16);
  const kdkId2 = expand(kdk2, infoOf("kdk-id"), 16);
  const sealed1 = Buffer.concat([nonce1, gcm(sealKey, nonce1, kdk1, kdkId1)]);
  const sealed2 = Buffer.concat([nonce2, gcm(sealKey, nonce2, kdk2, kdkId2)]);
  const encodedContext = encodeMap(kmsContext);

  const keys = [
    { id: kdkId0, state: "destroyed", sealed: Buffer.alloc(0) },
    { id: kdkId1, state: "retired", sealed: sealed1 },
    { id: kdkId2, state: "active", sealed: sealed2 },
  ].map((key, i) => ({ ...key, created: String(created[i]) }));
  const stateByte: Record<string, number> = { active: 0, retired: 1, destroyed: 2 };
  const keyInputs = keys.map(({ id, created, state, sealed }) =>
    Buffer.concat([id, u64(Date.parse(created) / 1_000), Buffer.of(stateByte[state] ?? 9), lp(sealed)]),
  );
  const macInput = Buffer.concat([
    ...[Buffer.from("keyfold/1/keyring\0"), project, keyringId, u64(sequence), lp(encodedContext)],
    ...[u16(1), lp(Buffer.from(masterKey)), lp(wrapped), u16(keys.length), ...keyInputs],
  ]);
  const mac = createHmac("sha512", macKey).update(macInput).digest().subarray(0, 32);

  const text = (bytes: Buffer) => bytes.toString("base64url");
  const document = {
    keyfold: "keyring/1",
    project: json("project"),
    id: text(keyringId),
    sequence,
    kmsContext,
    wraps: [{ masterKey, wrapped: text(wrapped) }],
    keys: keys.map(({ id, created, state, sealed }) => ({
      id: text(id),
      created,
      state,
      sealed: text(sealed),
    })),
    mac: text(mac),
  };
  const asJson = { project: json("project"), sequence, kmsContext, masterKey };
  const times = { created0: created[0], created1: created[1], created2: created[2] };
  return {
    ...Object.fromEntries(
      Object.entries({ ...asJson, ...times }).map(([name, value]) => [name, JSON.stringify(value)]),
    ),
    ...inHex({ keyringKey, wrapped, kdkId0, kdk1, nonce1, kdk2, nonce2 }),
    ...inHex({ idInfo, keyringId, sealKey, macKey, kdkId1, sealed1, kdkId2, sealed2 }),
    ...inHex({ encodedContext, macInput, mac }),
    document: `${JSON.stringify(document, null, 2)}\n`,
  };
}
