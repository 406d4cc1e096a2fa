/** Mutants that take one key for another: names, aliases, versions, forged wraps. */

import { concat, copyOf, KEY_BYTES } from "@keyfold/core/provider";
import { ALIAS, ONE } from "../cloud.ts";
import { altered, altering, forgetful, inverted, type Mutant, WRAP_BYTES } from "./mutant.ts";

export const mutantsOfKeys: readonly Mutant[] = [
  {
    rule: "names-the-key-that-answered",
    what: "names what it was configured with, and reads that",
    because: /memory:eu\/one\?configured/,
    options: altered((provider) => ({
      recognizes: (masterKey) => provider.recognizes(unnamed(masterKey)),
      wrapKey: async (key, operation) => {
        const wrapped = await provider.wrapKey(key, operation);
        return { ...wrapped, masterKey: `${wrapped.masterKey}?configured` };
      },
      unwrapKey: async (wrapped, operation) =>
        provider.unwrapKey({ ...wrapped, masterKey: unnamed(wrapped.masterKey) }, operation),
    })),
  },
  {
    rule: "other-keys-are-not-mine",
    what: "recognizes every key of the service",
    because: /it recognizes another key/,
    options: altered(() => ({ recognizes: (masterKey) => `${masterKey}`.startsWith("memory:") })),
  },
  {
    rule: "other-keys-are-not-mine",
    what: "asks the service about another key's wrap",
    because: /another key: the service was asked/,
    options: altered((provider) => ({
      unwrapKey: async (wrapped, operation) => provider.unwrapKey({ ...wrapped, masterKey: ONE }, operation),
    })),
  },
  {
    rule: "other-keys-are-not-mine",
    what: "recognizes every key once it has wrapped",
    because: /once it has wrapped, it recognizes another key/,
    options: altered((provider) => {
      let isWarm = false;
      return {
        recognizes: (masterKey) => isWarm || provider.recognizes(masterKey),
        wrapKey: async (key, operation) => {
          const wrapped = await provider.wrapKey(key, operation);
          isWarm = true;
          return wrapped;
        },
      };
    }),
  },
  {
    rule: "reply-is-checked",
    what: "believes every reply",
    because: /a reply to .* that names another key: nothing refused it/,
    options: { cloudKeyOptions: { checksReplies: false } },
  },
  {
    rule: "authenticity-is-declared",
    what: "says that its wraps may be forged",
    because: /authenticatesWraps, and whether a wrap can be forged/,
    options: altered(() => ({ authenticatesWraps: false })),
  },
  {
    rule: "authenticity-is-declared",
    what: "opens what anybody could have made",
    because: /a forged wrap: nothing refused it/,
    options: {
      ...altered((provider) => ({
        unwrapKey: async (wrapped, operation) =>
          wrapped.ciphertext?.[0] === 7 && wrapped.ciphertext.length === 1 + KEY_BYTES
            ? copyOf(wrapped.ciphertext.subarray(1))
            : provider.unwrapKey(wrapped, operation),
      })),
      running: {
        forge: async (key) => ({ masterKey: ONE, ciphertext: concat(Uint8Array.of(7), key) }),
      },
    },
  },
  {
    rule: "authenticity-is-declared",
    what: "refuses what its kind of key cannot tell from its own",
    because: /does not authenticate/,
    options: { ...altered(() => ({ authenticatesWraps: false })), subject: { forgeable: true } },
  },
  {
    rule: "alias-chooses-only",
    what: "calls the key that the wrap names",
    because: /an old wrap, by the alias: nothing refused it/,
    options: {
      alias: (provider, cloud) =>
        altering(provider, {
          unwrapKey: (wrapped, operation) => cloud.key(wrapped.masterKey).unwrapKey(wrapped, operation),
        }),
    },
  },
  {
    rule: "alias-chooses-only",
    what: "stores the alias",
    because: /the URI is not that of the key behind the alias/,
    options: {
      alias: (provider) =>
        altering(provider, {
          recognizes: (masterKey) => masterKey === ALIAS,
          wrapKey: async (key, operation) => ({
            ...(await provider.wrapKey(key, operation)),
            masterKey: ALIAS,
          }),
          unwrapKey: (wrapped, operation) => provider.unwrapKey({ ...wrapped, masterKey: ONE }, operation),
        }),
    },
  },
  {
    rule: "alias-chooses-only",
    what: "keeps the first key that the alias stood for",
    because: /a new wrap does not name the new key/,
    options: {
      alias: (provider, cloud) =>
        altering(provider, { wrapKey: (key, operation) => cloud.key(ONE).wrapKey(key, operation) }),
    },
  },
  {
    rule: "rotation-keeps-old-keys",
    what: "opens with the newest version alone",
    because: /the version is gone/,
    options: forgetful(() => true),
  },
  {
    rule: "rotation-keeps-old-keys",
    what: "opens what is older only where it was wrapped",
    because: /the version is gone/,
    options: forgetful((wrappedHere) => !wrappedHere),
  },
  {
    rule: "rotation-keeps-old-keys",
    what: "wraps after a rotation so that nothing unwraps it",
    because: /does not authenticate/,
    options: altered((provider, cloud) => {
      const { rotations } = cloud;
      return {
        wrapKey: async (key, operation) => {
          const { masterKey, ciphertext } = await provider.wrapKey(key, operation);
          const lost = ciphertext.length === WRAP_BYTES && cloud.rotations > rotations;
          return { masterKey, ciphertext: lost ? inverted(ciphertext, WRAP_BYTES - 1) : ciphertext };
        },
      };
    }),
  },
];

function unnamed(masterKey: string): string {
  return `${masterKey}`.replace("?configured", "");
}
