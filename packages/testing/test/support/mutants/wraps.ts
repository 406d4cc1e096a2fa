/** Mutants that treat bytes wrongly: lengths, wraps, contexts, memory. */

import { encodeContext, KeyfoldError, type WrappedKey } from "@keyfold/core";
import { type Bytes, concat, copyOf, KEY_BYTES } from "@keyfold/core/provider";
import { ONE } from "../cloud.ts";
import { altered, alteredAlike, inverted, type Mutant, rebound, schemed, WRAP_BYTES } from "./mutant.ts";

export const mutantsOfWraps: readonly Mutant[] = [
  {
    rule: "round-trip",
    what: "asks the service before it looks at the length",
    because: /keys of other lengths: the service was asked/,
    options: altered((provider, cloud) => ({
      wrapKey: async (key, operation) => {
        if (key instanceof Uint8Array && key.length !== KEY_BYTES && !operation?.signal?.aborted) {
          await cloud.key(ONE).wrapKey(new Uint8Array(KEY_BYTES), operation);
        }
        return provider.wrapKey(key, operation);
      },
    })),
  },
  {
    rule: "round-trip",
    what: "asks twice",
    because: /requests after one wrap/,
    options: altered((provider) => ({
      wrapKey: async (key, operation) => {
        await provider.wrapKey(key, operation);
        return provider.wrapKey(key, operation);
      },
    })),
  },
  {
    rule: "round-trip",
    what: "takes a key of zeros for none",
    because: /There is no key/,
    options: altered((provider) => ({
      wrapKey: async (key, operation) => {
        const isNone =
          key instanceof Uint8Array && key.length === KEY_BYTES && key.every((byte) => byte === 0);
        if (isNone) throw new KeyfoldError("ERR_INVALID_ARGUMENT", "There is no key.");
        return provider.wrapKey(key, operation);
      },
    })),
  },
  {
    rule: "wrap-is-randomized",
    what: "gives the same wrap again for the same key",
    because: /the two ciphertexts are the same/,
    options: altered((provider) => {
      const known = new Map<string, WrappedKey>();
      return {
        wrapKey: async (key, operation) => {
          const wrapped = await provider.wrapKey(key, operation);
          const id = Buffer.concat([key, encodeContext(operation.context)]).toString("hex");
          const first = known.get(id) ?? wrapped;
          known.set(id, first);
          return { ...first, ciphertext: copyOf(first.ciphertext) };
        },
      };
    }),
  },
  {
    rule: "wrap-is-as-specified",
    what: "writes another scheme byte, and reads it",
    because: /the scheme byte/,
    options: alteredAlike((provider) => ({
      wrapKey: async (key, operation) => schemed(await provider.wrapKey(key, operation), 1, 2),
      unwrapKey: async (wrapped, operation) =>
        provider.unwrapKey(schemed(schemed(wrapped, 1, 9), 2, 1), operation),
    })),
  },
  {
    rule: "wrap-is-as-specified",
    what: "encrypts something else than the key, and undoes that",
    because: /unwrapped by the specification/,
    options: alteredAlike((provider) => ({
      wrapKey: async (key, operation) =>
        provider.wrapKey(key instanceof Uint8Array ? inverted(key) : key, operation),
      unwrapKey: async (wrapped, operation) => inverted(await provider.unwrapKey(wrapped, operation)),
    })),
  },
  {
    rule: "damage-is-refused",
    what: "ignores what stands behind the wrap",
    because: /added at its end: nothing refused it/,
    options: altered((provider) => ({
      unwrapKey: async ({ masterKey, ciphertext }, operation) =>
        provider.unwrapKey({ masterKey, ciphertext: ciphertext.subarray(0, 61) }, operation),
    })),
  },
  {
    rule: "damage-is-refused",
    what: "does not look at the scheme byte",
    because: /byte 0 changed by 1: nothing refused it/,
    options: altered((provider) => ({
      unwrapKey: async ({ masterKey, ciphertext }, operation) => {
        const copy = copyOf(ciphertext);
        if (copy.length === 61) copy[0] = 1;
        return provider.unwrapKey({ masterKey, ciphertext: copy }, operation);
      },
    })),
  },
  {
    rule: "damage-is-refused",
    what: "lets the SDK's error about a cut wrap through",
    because: /RangeError: Invalid ciphertext is no KeyfoldError/,
    options: altered((provider) => ({
      unwrapKey: async (wrapped, operation) => {
        if (wrapped.ciphertext?.length === WRAP_BYTES - 2) throw new RangeError("Invalid ciphertext");
        return provider.unwrapKey(wrapped, operation);
      },
    })),
  },
  {
    rule: "context-is-bound",
    what: "takes an empty value for no entry",
    because: /an empty value: nothing refused it/,
    options: rebound((context) =>
      Object.fromEntries(Object.entries(context).filter(([, value]) => value !== "")),
    ),
  },
  {
    rule: "context-is-bound",
    what: "loses the entry named __proto__",
    because: /__proto__.*: nothing refused it/,
    options: rebound((context) => {
      const copy: Record<string, string> = {};
      for (const [name, value] of Object.entries(context)) copy[name] = value;
      return copy;
    }),
  },
  {
    rule: "context-is-bound",
    what: "does not know where a key ends",
    because: /the border between key and value moved: nothing refused it/,
    options: rebound((context) => {
      const [entry, ...others] = Object.entries(context);
      return entry === undefined || others.length > 0 ? context : { all: entry.join("") };
    }),
  },
  {
    rule: "context-is-bound",
    what: "minds the order",
    because: /REJECTED|does not authenticate/,
    options: rebound((context) => {
      const names = Object.keys(context);
      return names[0] === "region" ? { ...context, order: "reversed" } : context;
    }),
  },
  {
    rule: "context-is-bound",
    what: "compares text in a normal form",
    because: /a composed letter for a decomposed one: nothing refused it/,
    options: rebound((context) =>
      Object.fromEntries(Object.entries(context).map(([name, value]) => [name, value.normalize()])),
    ),
  },
  {
    rule: "bytes-are-not-shared",
    what: "gives views of larger memory",
    because: /the unwrapped key begins in the middle of its memory/,
    options: altered((provider) => ({
      unwrapKey: async (wrapped, operation) => {
        const key = await provider.unwrapKey(wrapped, operation);
        return concat(new Uint8Array(8), key).subarray(8);
      },
    })),
  },
  {
    rule: "bytes-are-not-shared",
    what: "gives the same memory for the same wrap",
    because: /the same wrap, unwrapped once more: other bytes/,
    options: altered((provider) => {
      const known = new Map<string, Bytes>();
      return {
        unwrapKey: async (wrapped, operation) => {
          const key = await provider.unwrapKey(wrapped, operation);
          const id = Buffer.from(wrapped.ciphertext).toString("hex");
          const first = known.get(id) ?? key;
          known.set(id, first);
          return first;
        },
      };
    }),
  },
  {
    rule: "bytes-are-not-shared",
    what: "wipes the wrap that it was given",
    because: /the wrap that was unwrapped: other bytes/,
    options: altered((provider) => ({
      unwrapKey: async (wrapped, operation) => {
        const key = await provider.unwrapKey(wrapped, operation);
        // Cases of other rules look at no wrap of this context again.
        if (operation.context["tenant"] === "acme") wrapped.ciphertext.fill(0);
        return key;
      },
    })),
  },
  {
    rule: "bytes-are-not-shared",
    what: "takes the whole memory behind a view",
    because: /view|bytes/,
    options: altered((provider) => ({
      unwrapKey: async (wrapped, operation) => {
        const { ciphertext } = wrapped;
        if (!(ciphertext instanceof Uint8Array)) return provider.unwrapKey(wrapped, operation);
        return provider.unwrapKey({ ...wrapped, ciphertext: new Uint8Array(ciphertext.buffer) }, operation);
      },
    })),
  },
];
