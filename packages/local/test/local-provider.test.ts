/** What every provider over local keys keeps, wherever the keys come from: the contract of `MasterKeyProvider`. */

import { KeyfoldError, type MasterKeyProvider, type WrappedKey } from "@keyfold/core";
import { describe, expect, test } from "vitest";
import { rejectionOf } from "../../../test/support/refusal.ts";
import { localProvider } from "../src/local-provider.ts";
import type { LocalKey } from "../src/wrap.ts";
import { entryOf, hex, kmsContext, operation, secret } from "./support/material.ts";

const [first, second, third] = [entryOf(1), entryOf(2), entryOf(3)];

describe("what is wrapped", () => {
  test("unwraps to the same bytes, of which nobody has another view", async () => {
    const provider = providerOf(first);
    const input = Uint8Array.from(secret);
    const wrapped = await provider.wrapKey(input, operation());
    expect(hex(input)).toBe(hex(secret));
    const ciphertext = hex(wrapped.ciphertext);
    const [one, other] = [
      await provider.unwrapKey(wrapped, operation()),
      await provider.unwrapKey(wrapped, operation()),
    ];
    one.fill(0);
    expect(hex(other)).toBe(hex(secret));
    expect(other.buffer.byteLength).toBe(32);
    expect(wrapped.ciphertext.buffer.byteLength).toBe(61);
    expect(hex(wrapped.ciphertext)).toBe(ciphertext);
  });

  test.each([0, 16, 31, 33, 64])("is never %i bytes", async (length) => {
    const refusal = await rejectionOf(providerOf(first).wrapKey(new Uint8Array(length), operation()));
    expect(refusal.code).toBe("ERR_INVALID_ARGUMENT");
  });

  test("is never text", async () => {
    // @ts-expect-error Not bytes.
    const refusal = await rejectionOf(providerOf(first).wrapKey("x".repeat(32), operation()));
    expect(refusal.code).toBe("ERR_INVALID_ARGUMENT");
  });

  test("is authenticated, and the provider says so", () => {
    expect(providerOf(first).authenticatesWraps).toBe(true);
  });

  test("a hundred at once do not disturb one another", async () => {
    const provider = providerOf(first);
    const keys = Array.from({ length: 100 }, (_, i) => new Uint8Array(32).fill(i));
    const wraps = await Promise.all(keys.map((key) => provider.wrapKey(key, operation())));
    const back = await Promise.all(wraps.map((wrap) => provider.unwrapKey(wrap, operation())));
    expect(back.map(hex)).toEqual(keys.map(hex));
  });
});

describe("a wrap is refused with ERR_MASTER_KEY_REJECTED", () => {
  test("with any one bit of it changed", async () => {
    const { provider, wrapped } = await wrapping();
    for (let bit = 0; bit < wrapped.ciphertext.length * 8; bit++) {
      const ciphertext = Uint8Array.from(wrapped.ciphertext);
      ciphertext[bit >> 3] = (ciphertext[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(await codeOfUnwrap(provider, { ...wrapped, ciphertext }), `bit ${bit}`).toBe(
        "ERR_MASTER_KEY_REJECTED",
      );
    }
  });

  test("with any one byte taken out, or one put in", async () => {
    const { provider, wrapped } = await wrapping();
    const bytes = [...wrapped.ciphertext];
    for (let at = 0; at <= bytes.length; at++) {
      const longer = Uint8Array.from(bytes.toSpliced(at, 0, 0));
      expect(await codeOfUnwrap(provider, { ...wrapped, ciphertext: longer }), `added at ${at}`).toBe(
        "ERR_MASTER_KEY_REJECTED",
      );
      if (at === bytes.length) break;
      const shorter = Uint8Array.from(bytes.toSpliced(at, 1));
      expect(await codeOfUnwrap(provider, { ...wrapped, ciphertext: shorter }), `cut at ${at}`).toBe(
        "ERR_MASTER_KEY_REJECTED",
      );
    }
  });

  test("cut to any length", async () => {
    const { provider, wrapped } = await wrapping();
    for (let length = 0; length < wrapped.ciphertext.length; length++) {
      const ciphertext = wrapped.ciphertext.slice(0, length);
      expect(await codeOfUnwrap(provider, { ...wrapped, ciphertext }), `of ${length} bytes`).toBe(
        "ERR_MASTER_KEY_REJECTED",
      );
    }
  });

  test("that names a key of the provider which did not make it", async () => {
    const { wrapped } = await wrapping();
    const both = providerOf(first, second);
    expect(await codeOfUnwrap(both, { ...wrapped, masterKey: second.masterKey })).toBe(
      "ERR_MASTER_KEY_REJECTED",
    );
  });

  test.each(["passphrase:", "local:", third.masterKey, first.masterKey.toUpperCase(), ` ${first.masterKey}`])(
    "that names %j, which is none of its keys",
    async (masterKey) => {
      const { provider, wrapped } = await wrapping();
      expect(provider.recognizes(masterKey)).toBe(false);
      expect(await codeOfUnwrap(provider, { ...wrapped, masterKey })).toBe("ERR_MASTER_KEY_REJECTED");
    },
  );
});

describe("the KMS context is bound", () => {
  const context = { ...kmsContext, team: "payments", région: "é", empty: "" };

  test.each<[string, Record<string, string>]>([
    ["a changed value", { ...context, team: "payment" }],
    ["a changed key", { ...kmsContext, teams: "payments", région: "é", empty: "" }],
    ["a missing entry", { ...kmsContext, région: "é", empty: "" }],
    ["a missing empty entry", { ...kmsContext, team: "payments", région: "é" }],
    ["an extra entry", { ...context, stage: "prod" }],
    ["an extra empty entry", { ...context, stage: "" }],
    ["another project", { ...context, "keyfold:project": "billing/test" }],
    ["another purpose", { ...context, "keyfold:purpose": "keyring" }],
    ["another Unicode form", { ...context, région: "e\u0301" }],
    ["no entry at all", {}],
  ])("%s is refused", async (_, other) => {
    const provider = providerOf(first);
    const wrapped = await provider.wrapKey(secret, operation(context));
    expect(hex(await provider.unwrapKey(wrapped, operation(context)))).toBe(hex(secret));
    const refusal = await rejectionOf(provider.unwrapKey(wrapped, operation(other)));
    expect(refusal.code).toBe("ERR_MASTER_KEY_REJECTED");
  });

  test("the order of its entries does not matter", async () => {
    const provider = providerOf(first);
    const reversed = Object.fromEntries(Object.entries(context).toReversed());
    expect(Object.keys(reversed)).not.toEqual(Object.keys(context));
    const wrapped = await provider.wrapKey(secret, operation(context));
    expect(hex(await provider.unwrapKey(wrapped, operation(reversed)))).toBe(hex(secret));
  });
});

describe("an aborted signal rejects with ERR_ABORTED", () => {
  const reason = new Error("the caller's reason");

  test.each(["wrapKey", "unwrapKey"] as const)("before %s reads anything", async (method) => {
    const { provider, reads } = counting([first]);
    const given = operation(kmsContext, AbortSignal.abort(reason));
    const call =
      method === "wrapKey"
        ? provider.wrapKey(secret, given)
        : provider.unwrapKey({ masterKey: first.masterKey, ciphertext: new Uint8Array(61) }, given);
    const refusal = await rejectionOf(call);
    expect(refusal.code).toBe("ERR_ABORTED");
    expect(refusal.cause).toBe(reason);
    expect(reads()).toBe(0);
  });
});

describe("close", () => {
  test("is fine twice, and every call after it fails with ERR_CLOSED", async () => {
    const { provider, wrapped } = await wrapping();
    await provider.close?.();
    await provider.close?.();
    expect(await codeOfUnwrap(provider, wrapped)).toBe("ERR_CLOSED");
    const refusal = await rejectionOf(provider.wrapKey(secret, operation()));
    expect(refusal.code).toBe("ERR_CLOSED");
    expect(refusal.message).toContain("The master key test was closed.");
  });

  test("reads nothing, and leaves local URIs recognised, so that the answer is ERR_CLOSED", async () => {
    const { provider, reads } = counting([first]);
    await provider.close?.();
    expect(provider.recognizes(third.masterKey)).toBe(true);
    expect(provider.recognizes("passphrase:")).toBe(false);
    expect(reads()).toBe(0);
  });
});

describe("the keys are read", () => {
  test("not before they are needed, and then once", async () => {
    const { provider, reads } = counting([first, second]);
    expect(reads()).toBe(0);
    const wrapped = await provider.wrapKey(secret, operation());
    await provider.unwrapKey(wrapped, operation());
    expect(provider.recognizes(second.masterKey)).toBe(true);
    expect(reads()).toBe(1);
  });

  test("never for a URI that is not local", () => {
    const { provider, reads } = counting([first]);
    for (const uri of ["passphrase:", "aws-kms://arn", "Local:", "x"]) {
      expect(provider.recognizes(uri)).toBe(false);
    }
    expect(reads()).toBe(0);
  });

  test("at most once a second, however many unknown URIs are met", async () => {
    const { provider, reads, clock } = counting([first]);
    for (let i = 0; i < 1_000; i++) expect(provider.recognizes(unknown(i))).toBe(false);
    expect(reads()).toBe(1);
    clock.now += 999;
    expect(provider.recognizes(unknown(0))).toBe(false);
    expect(await codeOfUnwrap(provider, strange(unknown(1)))).toBe("ERR_MASTER_KEY_REJECTED");
    expect(reads()).toBe(1);
    clock.now += 1;
    expect(provider.recognizes(unknown(0))).toBe(false);
    expect(await codeOfUnwrap(provider, strange(unknown(1)))).toBe("ERR_MASTER_KEY_REJECTED");
    expect(reads()).toBe(2);
  });

  test("again when a new key is met, which then wraps too", async () => {
    const { provider, reads, clock, source } = counting([first]);
    const old = await provider.wrapKey(secret, operation());
    source.keys = [second, first];
    const wrapped = await providerOf(second).wrapKey(secret, operation());
    expect((await provider.wrapKey(secret, operation())).masterKey).toBe(first.masterKey);
    clock.now += 1_000;
    expect(provider.recognizes(second.masterKey)).toBe(true);
    expect(hex(await provider.unwrapKey(wrapped, operation()))).toBe(hex(secret));
    expect(hex(await provider.unwrapKey(old, operation()))).toBe(hex(secret));
    expect((await provider.wrapKey(secret, operation())).masterKey).toBe(second.masterKey);
    expect(reads()).toBe(2);
  });

  test("and each good read replaces them all", async () => {
    const { provider, clock, source } = counting([first]);
    const old = await provider.wrapKey(secret, operation());
    source.keys = [second];
    clock.now += 1_000;
    expect(provider.recognizes(second.masterKey)).toBe(true);
    expect(provider.recognizes(first.masterKey)).toBe(false);
    expect(await codeOfUnwrap(provider, old)).toBe("ERR_MASTER_KEY_REJECTED");
  });

  test("and while that fails, the earlier ones stay, and of others the failure is the answer", async () => {
    const { provider, clock, source } = counting([first]);
    const old = await provider.wrapKey(secret, operation());
    source.failure = new KeyfoldError("ERR_KEY_FILE", "It is gone.", { remedy: "" });
    clock.now += 1_000;
    expect(provider.recognizes(second.masterKey)).toBe(true);
    expect(provider.recognizes("passphrase:")).toBe(false);
    expect(await rejectionOf(provider.unwrapKey(strange(second.masterKey), operation()))).toBe(
      source.failure,
    );
    expect(hex(await provider.unwrapKey(old, operation()))).toBe(hex(secret));
    expect((await provider.wrapKey(secret, operation())).masterKey).toBe(first.masterKey);
    source.failure = undefined;
    clock.now += 1_000;
    expect(provider.recognizes(second.masterKey)).toBe(false);
  });

  test("each time to wrap, while there is none", async () => {
    const { provider, reads, source } = counting([first]);
    source.failure = new KeyfoldError("ERR_KEY_FILE");
    for (let i = 1; i <= 3; i++) {
      expect((await rejectionOf(provider.wrapKey(secret, operation()))).code).toBe("ERR_KEY_FILE");
      expect(reads()).toBe(i);
    }
    source.failure = undefined;
    expect((await provider.wrapKey(secret, operation())).masterKey).toBe(first.masterKey);
  });

  test("and a failure that is no KeyfoldError becomes one, with its cause", async () => {
    const { provider, source } = counting([first]);
    source.failure = new TypeError("a bug");
    expect(provider.recognizes(first.masterKey)).toBe(true);
    const refusal = await rejectionOf(provider.wrapKey(secret, operation()));
    expect(refusal.code).toBe("ERR_KEY_FILE");
    expect(refusal.cause).toBe(source.failure);
  });
});

function providerOf(...keys: readonly LocalKey[]): MasterKeyProvider {
  return localProvider("test", () => keys);
}

async function wrapping(): Promise<{ provider: MasterKeyProvider; wrapped: WrappedKey }> {
  const provider = providerOf(first, second);
  return { provider, wrapped: await provider.wrapKey(secret, operation()) };
}

async function codeOfUnwrap(provider: MasterKeyProvider, wrapped: WrappedKey): Promise<string> {
  return (await rejectionOf(provider.unwrapKey(wrapped, operation()))).code;
}

/** A provider whose source and clock are the test's, and how often the source was read. */
function counting(keys: readonly LocalKey[]) {
  const source: { keys: readonly LocalKey[]; failure?: Error | undefined } = { keys };
  const clock = { now: 5_000 };
  let count = 0;
  const read = () => {
    count++;
    if (source.failure !== undefined) throw source.failure;
    return source.keys;
  };
  return { provider: localProvider("test", read, () => clock.now), reads: () => count, clock, source };
}

function unknown(i: number): string {
  return `local:${i.toString(16).padStart(32, "0")}`;
}

function strange(masterKey: string): WrappedKey {
  return { masterKey, ciphertext: new Uint8Array(61) };
}
