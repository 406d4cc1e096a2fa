/** A passphrase as master key: what it binds, what it refuses before scrypt runs, and how it is aborted. */

import type { MasterKeyProvider, WrappedKey } from "@keyfold/core";
import fc from "fast-check";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { refusalOf, rejectionOf } from "../../../test/support/refusal.ts";
import { type PassphraseOptions, passphraseKey } from "../src/passphrase.ts";
import { hex, kmsContext, operation, secret } from "./support/material.ts";

/** How often scrypt was asked. It runs as ever. */
const derivations = vi.hoisted(() => ({ count: 0 }));

vi.mock("node:crypto", async (importOriginal) => {
  const crypto = await importOriginal<typeof import("node:crypto")>();
  const scrypt = (...args: Parameters<typeof crypto.scrypt>) => {
    derivations.count++;
    crypto.scrypt(...args);
  };
  return { ...crypto, scrypt };
});

const PASSPHRASE = "correct horse battery stäple";
const cheap: PassphraseOptions = { log2N: 15 };
const context = { ...kmsContext, team: "payments", région: "é", empty: "" };

let provider: MasterKeyProvider;
let wrapped: WrappedKey;

beforeAll(async () => {
  provider = passphraseKey(PASSPHRASE, cheap);
  wrapped = await provider.wrapKey(secret, operation(context));
});

describe("what is wrapped under a passphrase", () => {
  test("is 80 bytes that say how to derive the key, under the one URI", () => {
    expect(wrapped.masterKey).toBe("passphrase:");
    expect(wrapped.ciphertext).toHaveLength(80);
    expect([...wrapped.ciphertext.subarray(0, 4)]).toEqual([2, 15, 8, 1]);
    expect(provider.name).toBe("passphrase:");
    expect(provider.authenticatesWraps).toBe(true);
    expect(provider.recognizes("passphrase:")).toBe(true);
    expect(provider.recognizes("passphrase:x")).toBe(false);
    expect(provider.recognizes("local:00000000000000000000000000000000")).toBe(false);
  });

  test("by default costs log2N 17 and p 1", async () => {
    const { ciphertext } = await passphraseKey(PASSPHRASE).wrapKey(secret, operation());
    expect([...ciphertext.subarray(0, 4)]).toEqual([2, 17, 8, 1]);
  });

  test("twice gives two salts and two nonces, and both open", async () => {
    const other = await provider.wrapKey(secret, operation(context));
    expect(hex(other.ciphertext.subarray(4, 20))).not.toBe(hex(wrapped.ciphertext.subarray(4, 20)));
    expect(hex(other.ciphertext.subarray(20, 32))).not.toBe(hex(wrapped.ciphertext.subarray(20, 32)));
    expect(hex(await provider.unwrapKey(other, operation(context)))).toBe(hex(secret));
    expect(hex(await provider.unwrapKey(wrapped, operation(context)))).toBe(hex(secret));
  });

  test("opens with the same passphrase as bytes, of which the provider has a copy", async () => {
    const bytes = new TextEncoder().encode(PASSPHRASE);
    const other = passphraseKey(bytes, cheap);
    expect(hex(bytes)).toBe(hex(new TextEncoder().encode(PASSPHRASE)));
    bytes.fill(0);
    expect(hex(await other.unwrapKey(wrapped, operation(context)))).toBe(hex(secret));
  });

  test("does not depend on what the caller does to its buffers meanwhile", async () => {
    const key = Uint8Array.from(secret);
    const wrapping = provider.wrapKey(key, operation(context));
    key.fill(0);
    const made = await wrapping;
    const ciphertext = Uint8Array.from(made.ciphertext);
    const unwrapping = provider.unwrapKey({ ...made, ciphertext }, operation(context));
    ciphertext.fill(0);
    const back = await unwrapping;
    expect(hex(back)).toBe(hex(secret));
    expect(back.buffer.byteLength).toBe(32);
  });

  test.each([0, 31, 33])("is never %i bytes", async (length) => {
    const refusal = await rejectionOf(provider.wrapKey(new Uint8Array(length), operation()));
    expect(refusal.code).toBe("ERR_INVALID_ARGUMENT");
  });

  test("opens at a cost in p too, where that is allowed", async () => {
    const costly = passphraseKey(PASSPHRASE, { log2N: 15, p: 2 });
    const made = await costly.wrapKey(secret, operation());
    expect([...made.ciphertext.subarray(0, 4)]).toEqual([2, 15, 8, 2]);
    expect(hex(await costly.unwrapKey(made, operation()))).toBe(hex(secret));
  });
});

describe("a wrap is refused with ERR_MASTER_KEY_REJECTED", () => {
  test.each([
    ["another passphrase", "correct horse battery staple"],
    ["another Unicode form", PASSPHRASE.normalize("NFD")],
    ["a space behind it", `${PASSPHRASE} `],
  ])("with %s", async (_, passphrase) => {
    const other = passphraseKey(passphrase, cheap);
    expect(await codeOfUnwrap(wrapped, other)).toBe("ERR_MASTER_KEY_REJECTED");
  });

  test.each([...Array(4).keys(), 4, 19, 20, 31, 32, 63, 64, 79])("with byte %i changed", async (at) => {
    const ciphertext = Uint8Array.from(wrapped.ciphertext);
    ciphertext[at] = (ciphertext[at] ?? 0) ^ 0x01;
    expect(await codeOfUnwrap({ ...wrapped, ciphertext })).toBe("ERR_MASTER_KEY_REJECTED");
  });

  test("with any byte behind the parameters changed in any way (a sample)", async () => {
    const change = fc.tuple(fc.integer({ min: 4, max: 79 }), fc.integer({ min: 1, max: 255 }));
    await fc.assert(
      fc.asyncProperty(change, async ([at, mask]) => {
        const ciphertext = Uint8Array.from(wrapped.ciphertext);
        ciphertext[at] = (ciphertext[at] ?? 0) ^ mask;
        expect(await codeOfUnwrap({ ...wrapped, ciphertext })).toBe("ERR_MASTER_KEY_REJECTED");
      }),
      { numRuns: 25 },
    );
  });

  test("cut or extended to any other length, without scrypt", async () => {
    const before = derivations.count;
    const longer = Uint8Array.of(...wrapped.ciphertext, 0);
    const shorter = Array.from({ length: 80 }, (_, length) => wrapped.ciphertext.slice(0, length));
    for (const ciphertext of [longer, ...shorter]) {
      expect(await codeOfUnwrap({ ...wrapped, ciphertext })).toBe("ERR_MASTER_KEY_REJECTED");
    }
    expect(derivations.count).toBe(before);
  });

  test("under another URI, without scrypt", async () => {
    const before = derivations.count;
    expect(await codeOfUnwrap({ ...wrapped, masterKey: "passphrase:x" })).toBe("ERR_MASTER_KEY_REJECTED");
    expect(derivations.count).toBe(before);
  });
});

describe("what a wrap asks of scrypt is bounded", () => {
  type Bound = readonly [
    name: string,
    options: PassphraseOptions | undefined,
    log2N: number,
    r: number,
    p: number,
  ];

  test.each<Bound>([
    ["the default", undefined, 20, 8, 1],
    ["the default", undefined, 18, 8, 1],
    ["the default", undefined, 17, 8, 2],
    ["log2N 15", cheap, 16, 8, 1],
    ["log2N 20 and p 3", { log2N: 20, p: 3 }, 15, 8, 4],
    ["log2N 20 and p 4", { log2N: 20, p: 4 }, 21, 8, 1],
    ["log2N 20 and p 4", { log2N: 20, p: 4 }, 255, 8, 1],
    ["log2N 20 and p 4", { log2N: 20, p: 4 }, 15, 8, 5],
    ["log2N 20 and p 4", { log2N: 20, p: 4 }, 14, 8, 1],
    ["log2N 20 and p 4", { log2N: 20, p: 4 }, 0, 8, 1],
    ["log2N 20 and p 4", { log2N: 20, p: 4 }, 15, 8, 0],
    ["log2N 20 and p 4", { log2N: 20, p: 4 }, 15, 9, 1],
    ["log2N 20 and p 4", { log2N: 20, p: 4 }, 15, 0, 1],
  ])("%s refuses log2N %3$i, r %4$i and p %5$i, without scrypt", async (_, options, ...parameters) => {
    const ciphertext = Uint8Array.from(wrapped.ciphertext);
    ciphertext.set(parameters, 1);
    const before = derivations.count;
    const opener = passphraseKey(PASSPHRASE, options);
    expect(await codeOfUnwrap({ ...wrapped, ciphertext }, opener)).toBe("ERR_MASTER_KEY_REJECTED");
    expect(derivations.count).toBe(before);
  });

  test("and the refusal says what to do for a wrap that one trusts", async () => {
    const ciphertext = Uint8Array.from(wrapped.ciphertext);
    ciphertext[1] = 20;
    const opener = passphraseKey(PASSPHRASE);
    const refusal = await rejectionOf(opener.unwrapKey({ ...wrapped, ciphertext }, operation(context)));
    expect(refusal.message).toContain(
      "The wrap asks for scrypt with log2N 20 and p 1, and this provider allows log2N 17 and p 1 at most: give passphraseKey higher ones if you trust the wrap.",
    );
  });

  test("and the count of derivations is one that counts", async () => {
    const before = derivations.count;
    await provider.unwrapKey(wrapped, operation(context));
    expect(derivations.count).toBe(before + 1);
  });
});

describe("the KMS context is bound", () => {
  test.each<[string, Record<string, string>]>([
    ["a changed value", { ...context, team: "payment" }],
    ["a missing entry", { ...kmsContext, team: "payments", région: "é" }],
    ["an extra entry", { ...context, stage: "prod" }],
    ["another Unicode form", { ...context, région: "e\u0301" }],
  ])("%s is refused", async (_, other) => {
    const refusal = await rejectionOf(provider.unwrapKey(wrapped, operation(other)));
    expect(refusal.code).toBe("ERR_MASTER_KEY_REJECTED");
  });

  test("the order of its entries does not matter", async () => {
    const reversed = Object.fromEntries(Object.entries(context).toReversed());
    expect(Object.keys(reversed)).not.toEqual(Object.keys(context));
    expect(hex(await provider.unwrapKey(wrapped, operation(reversed)))).toBe(hex(secret));
  });
});

describe("an aborted signal", () => {
  const reason = new Error("the caller's reason");
  const calls = {
    wrapKey: (signal: AbortSignal) => provider.wrapKey(secret, operation(context, signal)),
    unwrapKey: (signal: AbortSignal) => provider.unwrapKey(wrapped, operation(context, signal)),
  };

  test.each(["wrapKey", "unwrapKey"] as const)("rejects %s before scrypt runs", async (method) => {
    const before = derivations.count;
    const refusal = await rejectionOf(calls[method](AbortSignal.abort(reason)));
    expect(refusal.code).toBe("ERR_ABORTED");
    expect(refusal.cause).toBe(reason);
    expect(derivations.count).toBe(before);
  });

  test.each(["wrapKey", "unwrapKey"] as const)("rejects %s at once while scrypt runs", async (method) => {
    const before = derivations.count;
    const controller = new AbortController();
    const call = calls[method](controller.signal);
    const settled = rejectionOf(call);
    expect(derivations.count).toBe(before + 1);
    controller.abort(reason);
    // No timer, no I/O: the end of scrypt comes by the event loop, and the loop does not turn for microtasks.
    let refusal: Awaited<typeof settled> | undefined;
    void settled.then((error) => {
      refusal = error;
    });
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    expect(refusal?.code).toBe("ERR_ABORTED");
    expect(refusal?.cause).toBe(reason);
  });
});

describe("close", () => {
  test("is fine twice, and every call after it fails with ERR_CLOSED; one in flight ends as it would", async () => {
    const closing = passphraseKey(PASSPHRASE, cheap);
    const inFlight = closing.unwrapKey(wrapped, operation(context));
    await closing.close?.();
    await closing.close?.();
    expect(await codeOfUnwrap(wrapped, closing)).toBe("ERR_CLOSED");
    expect((await rejectionOf(closing.wrapKey(secret, operation()))).code).toBe("ERR_CLOSED");
    expect(closing.recognizes("passphrase:")).toBe(true);
    expect(hex(await inFlight)).toBe(hex(secret));
  });
});

describe("passphraseKey refuses at once", () => {
  test.each([
    [""],
    [new Uint8Array()],
    ["\ud800"],
    ["a\udc00b"],
    [undefined],
    [null],
    [7],
    [[1, 2]],
    [new ArrayBuffer(8)],
  ])("the passphrase %j", (passphrase) => {
    // @ts-expect-error Some are neither text nor bytes.
    expect(refusalOf(() => passphraseKey(passphrase)).code).toBe("ERR_INVALID_ARGUMENT");
  });

  test.each([
    [{ log2N: 14 }],
    [{ log2N: 21 }],
    [{ log2N: 15.5 }],
    [{ log2N: Number.NaN }],
    [{ log2N: "17" }],
    [{ p: 0 }],
    [{ p: 5 }],
    [{ N: 131_072 }],
    [null],
    [17],
  ])("the options %j", (options) => {
    // @ts-expect-error Some are of another type.
    expect(refusalOf(() => passphraseKey(PASSPHRASE, options)).code).toBe("ERR_INVALID_ARGUMENT");
  });

  test.each([[{ log2N: 15, p: 1 }], [{ log2N: 20, p: 4 }], [{}]])("but not the options %j", (options) => {
    expect(passphraseKey(PASSPHRASE, options).name).toBe("passphrase:");
  });
});

async function codeOfUnwrap(wrap: WrappedKey, opener: MasterKeyProvider = provider): Promise<string> {
  return (await rejectionOf(opener.unwrapKey(wrap, operation(context)))).code;
}
