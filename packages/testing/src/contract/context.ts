/** context-is-bound. */

import type { EncryptionContext } from "@keyfold/core";
import { type ContractCase, serviceCase } from "./case.ts";
import { drawKey, inBatches, kmsContext, opens, operation, refusal } from "./tools.ts";

interface Pair {
  readonly what: string;
  readonly wrap: EncryptionContext;
  readonly unwrap: EncryptionContext;
}

/** An own entry of that name, where a literal would set the prototype. */
const protoEntry = JSON.parse('{"__proto__":"x"}') as EncryptionContext;
const tenant = { ...kmsContext, tenant: "acme", region: "eu" };

const differing: readonly Pair[] = [
  { what: "a changed value", wrap: tenant, unwrap: { ...tenant, tenant: "acmf" } },
  { what: "a value in another case", wrap: tenant, unwrap: { ...tenant, tenant: "Acme" } },
  { what: "a value with a space behind it", wrap: tenant, unwrap: { ...tenant, tenant: "acme " } },
  { what: "another purpose", wrap: tenant, unwrap: { ...tenant, "keyfold:purpose": "keyring" } },
  { what: "a missing entry", wrap: tenant, unwrap: { ...kmsContext, tenant: "acme" } },
  { what: "an added entry", wrap: kmsContext, unwrap: { ...kmsContext, tenant: "acme" } },
  { what: "an added entry with an empty value", wrap: kmsContext, unwrap: { ...kmsContext, tenant: "" } },
  { what: "a missing entry with an empty value", wrap: { ...kmsContext, tenant: "" }, unwrap: kmsContext },
  {
    what: "an entry under another key",
    wrap: tenant,
    unwrap: { ...kmsContext, tenanT: "acme", region: "eu" },
  },
  { what: "values exchanged", wrap: tenant, unwrap: { ...tenant, tenant: "eu", region: "acme" } },
  { what: "key and value exchanged", wrap: { acme: "eu" }, unwrap: { eu: "acme" } },
  { what: "the border between key and value moved", wrap: { a: "bc" }, unwrap: { ab: "c" } },
  { what: "two entries for one", wrap: { a: "b", c: "d" }, unwrap: { a: "b,c=d" } },
  { what: "a composed letter for a decomposed one", wrap: { name: "\u00e9" }, unwrap: { name: "e\u0301" } },
  { what: "nothing for an entry", wrap: { a: "b" }, unwrap: {} },
  { what: "an entry for nothing", wrap: {}, unwrap: { a: "b" } },
  { what: "nothing for an entry named __proto__", wrap: protoEntry, unwrap: {} },
  { what: "an entry named __proto__ for nothing", wrap: {}, unwrap: protoEntry },
];

const alike: readonly Pair[] = [
  { what: "another order", wrap: tenant, unwrap: Object.fromEntries(Object.entries(tenant).reverse()) },
  {
    what: "keys that sort like numbers",
    wrap: { b: "1", "10": "2", "9": "3" },
    unwrap: { "9": "3", "10": "2", b: "1" },
  },
  same("no entries", {}),
  same("empty values", { a: "", b: "" }),
  same("Unicode", { schlüssel: "ключ", 鍵: "🔑", "e\u0301": "\u00e9", tab: "\t\n\0" }),
  same("an entry named __proto__", protoEntry),
  same("names that every object has", { constructor: "a", toString: "b", hasOwnProperty: "c", length: "d" }),
  same("no prototype", Object.assign(Object.create(null), { a: "b" })),
  same("as long as may be", { a: "x".repeat(2_048 - 2 - 2 - 1 - 2) }),
];

export const context: readonly ContractCase[] = [
  serviceCase("context-is-bound", "another context is refused", async (running) => {
    const provider = running.provider();
    await inBatches(differing, async ({ what, wrap, unwrap }) => {
      const wrapped = await provider.wrapKey(drawKey(), operation(Object.freeze(wrap)));
      await refusal(what, "ERR_MASTER_KEY_REJECTED", () =>
        provider.unwrapKey(wrapped, operation(Object.freeze(unwrap))),
      );
    });
  }),

  serviceCase("context-is-bound", "the same context opens, whatever its order and text", async (running) => {
    const provider = running.provider();
    await inBatches(alike, async ({ what, wrap, unwrap }) => {
      const key = drawKey();
      const wrapped = await provider.wrapKey(key, operation(Object.freeze(wrap)));
      await opens(running.provider(), wrapped, key, what, Object.freeze(unwrap));
    });
  }),
];

function same(what: string, both: EncryptionContext): Pair {
  return { what, wrap: both, unwrap: both };
}
