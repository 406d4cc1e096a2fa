/** What is sealed opens again, whatever it is; and what cannot be sealed or opened is refused. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat } from "../src/bytes.ts";
import type { EncryptionContext } from "../src/context.ts";
import { createKeyfold, type Keyfold } from "../src/keyfold.ts";
import { context, keyfoldWith, rejection } from "./support/behaviour.ts";
import { MemoryKms } from "./support/memory-kms.ts";
import { codeOf } from "./support/refusal.ts";

/** 16,384 and twice that, where a chunk is full, and a byte to either side. */
const edges = [0, 1, 16_383, 16_384, 16_385, 32_767, 32_768, 32_769];

const length = fc.oneof(fc.constantFrom(...edges), fc.integer({ min: 0, max: 300 }));
const bytes = fc
  .tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), length)
  .map(([part, size]) => Uint8Array.from({ length: size }, (_, i) => part[i % part.length] ?? 0));
const character = fc.string({ unit: "binary", minLength: 1, maxLength: 1 });
const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.tuple(character, length).map(([one, times]) => one.repeat(times)),
);
const name = fc.string({ unit: "binary", maxLength: 60 });
const project = name.filter((given) => given !== "");
const contextKey = name.filter((key) => key !== "" && !key.startsWith("keyfold:"));
const anyContext: fc.Arbitrary<EncryptionContext> = fc.dictionary(contextKey, name, { maxKeys: 6 });

const someLoneSurrogates = ["\ud800", "\udfff", "a\ud83d", "\ude00b", "\ude00\ud83d", "kf1.\ud800"];

describe("what was sealed", () => {
  test.each(edges)("of %i bytes opens to the same bytes", async (size) => {
    const plaintext = Uint8Array.from({ length: size }, (_, i) => i % 251);
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    expect(
      Buffer.compare(await keyfold.open(await keyfold.seal(plaintext, context), context), plaintext),
    ).toBe(0);
  });

  test("as bytes opens to the same bytes in another process, through every door", async () => {
    await fc.assert(
      fc.asyncProperty(bytes, anyContext, project, name, async (plaintext, given, ofProject, scope) => {
        const [sealer, opener] = twoProcesses({ project: ofProject, scope });
        for (const envelope of await sealings(sealer, plaintext, given)) {
          expect(Buffer.compare(await opener.open(envelope, given), plaintext)).toBe(0);
          expect(Buffer.compare(opener.openSync(envelope, given), plaintext)).toBe(0);
        }
      }),
    );
  });

  test.each([
    ["a Buffer", Buffer.alloc(2_000)],
    ["a Uint8Array", new Uint8Array(2_000)],
  ])("opens out of memory that held another process's envelope before: %s", async (_name, memory) => {
    const masterKeys = new MemoryKms();
    const opener = keyfoldWith({ masterKeys });
    for (let i = 0; i < 6; i++) {
      const plaintext = new Uint8Array(100).fill(i);
      const envelope = await keyfoldWith({ masterKeys }).seal(plaintext, context);
      memory.set(envelope);
      const sealed = memory.subarray(0, envelope.length);
      const rewrapped = i % 2 === 0 ? sealed : await opener.rewrap(sealed);
      expect(await opener.open(rewrapped, context)).toEqual(plaintext);
      expect(opener.openSync(sealed, context)).toEqual(plaintext);
    }
  });

  test("as text opens to the same text in another process, through every door", async () => {
    await fc.assert(
      fc.asyncProperty(text, anyContext, project, name, async (plaintext, given, ofProject, scope) => {
        const [sealer, opener] = twoProcesses({ project: ofProject, scope });
        for (const envelope of await sealings(sealer, plaintext, given)) {
          expect(await opener.openText(envelope, given)).toBe(plaintext);
          expect(opener.openTextSync(envelope, given)).toBe(plaintext);
        }
      }),
    );
  });

  test("is 168 bytes longer than its plaintext, and what the wraps take, and 16 for each full chunk", async () => {
    const uri = "memory:of-24-characters!";
    const wraps = 2 + 1 + (2 + uri.length) + (2 + 12 + 32 + 16);
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms(uri) });
    await keyfold.ready();
    fc.assert(
      fc.property(length, (size) => {
        const sealed = keyfold.sealSync(new Uint8Array(size), context);
        expect(sealed.length).toBe(168 + wraps + size + 16 * Math.floor(size / 16_384));
      }),
    );
  });

  test("keeps a leading U+FEFF", async () => {
    const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
    const sealed = await keyfold.seal("\ufefftext", context);
    expect(await keyfold.openText(sealed, context)).toBe("\ufefftext");
    expect(keyfold.openTextSync(sealed, context)).toBe("\ufefftext");
  });

  test.each([[[0xff]], [[0xc0, 0x80]], [[0xed, 0xa0, 0x80]], [[0x61, 0xe2, 0x82]]])(
    "as bytes %j, which are not UTF-8, is ERR_NOT_TEXT as text, and opens as bytes",
    async (octets) => {
      const plaintext = Uint8Array.from(octets);
      const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
      const sealed = await keyfold.seal(plaintext, context);
      expect((await rejection(keyfold.openText(sealed, context))).code).toBe("ERR_NOT_TEXT");
      expect(codeOf(() => keyfold.openTextSync(sealed, context))).toBe("ERR_NOT_TEXT");
      expect(await keyfold.open(sealed, context)).toEqual(plaintext);
    },
  );
});

describe("ill-formed text is refused", () => {
  const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
  const illFormed = fc
    .tuple(fc.constantFrom(...someLoneSurrogates), name)
    .map(([lone, rest]) => `${rest}x${lone}`);

  test("as a plaintext, with ERR_INVALID_ARGUMENT", async () => {
    await everySealRefuses((lone) => [lone, context]);
  });

  test("as a key of the context, with ERR_INVALID_ARGUMENT, by whoever seals or opens", async () => {
    await everySealRefuses((lone) => ["secret", { ...context, [lone]: "value" }]);
    await everyOpenRefuses((lone) => ({ ...context, [lone]: "value" }));
  });

  test("as a value of the context, with ERR_INVALID_ARGUMENT, by whoever seals or opens", async () => {
    await everySealRefuses((lone) => ["secret", { ...context, key: lone }]);
    await everyOpenRefuses((lone) => ({ ...context, key: lone }));
  });

  test("as a project or a scope, with ERR_INVALID_ARGUMENT", () => {
    const masterKeys = new MemoryKms();
    fc.assert(
      fc.property(illFormed, (lone) => {
        expect(codeOf(() => createKeyfold({ project: lone, masterKeys }))).toBe("ERR_INVALID_ARGUMENT");
        expect(codeOf(() => keyfoldWith({ scope: lone, masterKeys }))).toBe("ERR_INVALID_ARGUMENT");
        expect(codeOf(() => keyfold.scoped(lone))).toBe("ERR_INVALID_ARGUMENT");
      }),
    );
  });

  test("as an entry of a KMS context, with ERR_INVALID_ARGUMENT", () => {
    const masterKeys = new MemoryKms();
    fc.assert(
      fc.property(illFormed, (lone) => {
        for (const own of [{ [lone]: "value" }, { key: lone }]) {
          expect(codeOf(() => keyfoldWith({ kmsContext: own, masterKeys }))).toBe("ERR_INVALID_ARGUMENT");
          expect(codeOf(() => keyfoldWith({ openKmsContexts: [own], masterKeys }))).toBe(
            "ERR_INVALID_ARGUMENT",
          );
        }
      }),
    );
  });

  test("as an envelope, with ERR_NOT_AN_ENVELOPE, wherever in it the lone surrogate stands", async () => {
    const sealed = await keyfold.sealText("secret", context);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...someLoneSurrogates), fc.nat(sealed.length), async (lone, at) => {
        const envelope = sealed.slice(0, at) + lone + sealed.slice(at);
        expect((await rejection(keyfold.open(envelope, context))).code).toBe("ERR_NOT_AN_ENVELOPE");
        expect(codeOf(() => keyfold.openTextSync(envelope, context))).toBe("ERR_NOT_AN_ENVELOPE");
        expect(codeOf(() => keyfold.inspect(envelope))).toBe("ERR_NOT_AN_ENVELOPE");
        expect(keyfold.isSealed(envelope)).toBe(false);
      }),
    );
  });

  async function everySealRefuses(given: (lone: string) => [string, EncryptionContext]): Promise<void> {
    await keyfold.ready();
    await fc.assert(
      fc.asyncProperty(illFormed, async (lone) => {
        const [plaintext, under] = given(lone);
        expect((await rejection(keyfold.seal(plaintext, under))).code).toBe("ERR_INVALID_ARGUMENT");
        expect((await rejection(keyfold.sealText(plaintext, under))).code).toBe("ERR_INVALID_ARGUMENT");
        expect(codeOf(() => keyfold.sealSync(plaintext, under))).toBe("ERR_INVALID_ARGUMENT");
        expect(codeOf(() => keyfold.sealTextSync(plaintext, under))).toBe("ERR_INVALID_ARGUMENT");
      }),
    );
  }

  async function everyOpenRefuses(given: (lone: string) => EncryptionContext): Promise<void> {
    const sealed = await keyfold.seal("secret", context);
    await fc.assert(
      fc.asyncProperty(illFormed, async (lone) => {
        const under = given(lone);
        expect((await rejection(keyfold.open(sealed, under))).code).toBe("ERR_INVALID_ARGUMENT");
        expect((await rejection(keyfold.openText(sealed, under))).code).toBe("ERR_INVALID_ARGUMENT");
        expect(codeOf(() => keyfold.openSync(sealed, under))).toBe("ERR_INVALID_ARGUMENT");
        expect(codeOf(() => keyfold.openTextSync(sealed, under))).toBe("ERR_INVALID_ARGUMENT");
      }),
    );
  }
});

describe("memory", () => {
  test.each([0, 24, 16_384, 40_000])(
    "what is returned over %i bytes is a plain Uint8Array over all of an ArrayBuffer of its own",
    async (size) => {
      const [sealer, opener] = twoProcesses({});
      const plaintext = new Uint8Array(size).fill(7);
      const sealed = await sealer.seal(plaintext, context);
      const opened = await opener.open(sealed, context);
      const returned = [
        sealed,
        sealer.sealSync(plaintext, context),
        opened,
        opener.openSync(sealed, context),
      ];
      returned.push(await sealer.rewrap(sealed));
      for (const result of returned) {
        expect(Object.getPrototypeOf(result)).toBe(Uint8Array.prototype);
        expect(Object.getPrototypeOf(result.buffer)).toBe(ArrayBuffer.prototype);
        expect([result.byteOffset, result.byteLength]).toEqual([0, result.buffer.byteLength]);
      }
      expect(new Set(returned.map(({ buffer }) => buffer)).size).toBe(returned.length);
    },
  );

  const kinds = [
    { kind: "Uint8Array", make: (bytes: Uint8Array) => new Uint8Array(bytes) },
    { kind: "Buffer", make: (bytes: Uint8Array) => Buffer.from(bytes) },
    {
      kind: "view amid other bytes",
      make: (bytes: Uint8Array) => concat(bytes, bytes, bytes).subarray(bytes.length, 2 * bytes.length),
    },
  ];

  describe.each(kinds)("a $kind that is lent", ({ make }) => {
    const original = Uint8Array.from({ length: 16_400 }, (_, i) => i % 251);

    test.each(["cold", "warm"])("stays as it was, by a %s seal or open", async (state) => {
      const [sealer, opener] = twoProcesses({});
      const plaintext = make(original);
      if (state === "warm") await sealer.ready();
      const sealed = await sealer.seal(plaintext, context);
      const envelope = make(sealed);
      if (state === "warm") await opener.ready([envelope]);
      await opener.open(envelope, context);
      await opener.rewrap(envelope);
      expect(Buffer.compare(plaintext, original)).toBe(0);
      expect(Buffer.compare(envelope, sealed)).toBe(0);
    });

    test("stays as it was, by what is synchronous", async () => {
      const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
      await keyfold.ready();
      const plaintext = make(original);
      const sealed = keyfold.sealSync(plaintext, context);
      const envelope = make(sealed);
      keyfold.openSync(envelope, context);
      keyfold.inspect(envelope);
      keyfold.needsRewrap(envelope);
      expect(Buffer.compare(plaintext, original)).toBe(0);
      expect(Buffer.compare(envelope, sealed)).toBe(0);
    });

    test.each(["cold", "warm"])("may be overwritten as soon as a %s seal has returned", async (state) => {
      const keyfold = keyfoldWith({ masterKeys: new MemoryKms() });
      if (state === "warm") await keyfold.ready();
      const plaintext = make(original);
      const sealing = [keyfold.seal(plaintext, context), keyfold.sealText(plaintext, context)];
      plaintext.fill(0);
      for (const sealed of await Promise.all<string | Uint8Array>(sealing))
        expect(Buffer.compare(await keyfold.open(sealed, context), original)).toBe(0);
    });
  });

  test.each(["cold", "warm"])(
    "a context may be changed as soon as a %s seal or open returned its promise",
    async (state) => {
      const [sealer, opener] = twoProcesses({});
      if (state === "warm") await sealer.ready();
      const given = { name: "db_password" };
      const sealing = sealer.seal("secret", given);
      given.name = "another";
      const sealed = await sealing;
      if (state === "warm") await opener.ready([sealed]);
      given.name = "db_password";
      const opening = opener.openText(sealed, given);
      given.name = "another";
      expect(await opening).toBe("secret");
    },
  );
});

/** Two keyfolds with the same master key, each with keys of its own in memory. */
function twoProcesses(names: { project?: string; scope?: string }): [Keyfold, Keyfold] {
  const masterKeys = new MemoryKms();
  return [keyfoldWith({ masterKeys, ...names }), keyfoldWith({ masterKeys, ...names })];
}

/** The envelopes that the four ways of sealing give. */
async function sealings(keyfold: Keyfold, plaintext: string | Uint8Array, given: EncryptionContext) {
  return [
    await keyfold.seal(plaintext, given),
    await keyfold.sealText(plaintext, given),
    keyfold.sealSync(plaintext, given),
    keyfold.sealTextSync(plaintext, given),
  ];
}
