/** What a mutant is, and how the reference provider is altered. */

import {
  type EncryptionContext,
  encodeContext,
  KeyfoldError,
  type KeyOperation,
  type MasterKeyProvider,
  type WrappedKey,
} from "@keyfold/core";
import { type Bytes, copyOf, rejected } from "@keyfold/core/provider";
import type { RuleId } from "../../../src/subject.ts";
import type { MemoryCloud } from "../cloud.ts";
import type { Mutation, ReferenceOptions } from "../reference.ts";

/** A provider that breaks one rule, as quietly as it can. */
export interface Mutant {
  /** The rule that it breaks, and the only one. */
  readonly rule: RuleId;
  readonly what: string;
  /** What the case that catches it says. */
  readonly because: RegExp;
  readonly options: ReferenceOptions;
}

type Overrides = Partial<MasterKeyProvider>;

export const WRAP_BYTES = 61;

/** Overrides of members of every provider but those that are configured with the alias. */
export function altered(
  overrides: (provider: MasterKeyProvider, cloud: MemoryCloud) => Overrides,
): ReferenceOptions {
  return { key: (provider, cloud) => altering(provider, overrides(provider, cloud)) };
}

/** Overrides of members of every provider: what one wraps, the other has to open. */
export function alteredAlike(overrides: (provider: MasterKeyProvider) => Overrides): ReferenceOptions {
  const mutation: Mutation = (provider) => altering(provider, overrides(provider));
  return { key: mutation, alias: mutation };
}

/** The provider with some members replaced. */
export function altering(provider: MasterKeyProvider, overrides: Overrides): MasterKeyProvider {
  const { name, authenticatesWraps } = provider;
  return {
    name,
    authenticatesWraps,
    recognizes: (masterKey) => provider.recognizes(masterKey),
    wrapKey: (key, operation) => provider.wrapKey(key, operation),
    unwrapKey: (wrapped, operation) => provider.unwrapKey(wrapped, operation),
    close: async () => provider.close?.(),
    ...overrides,
  };
}

/** Binds something else than the context. What is no context is refused as it is. */
export function rebound(bound: (context: EncryptionContext) => EncryptionContext): ReferenceOptions {
  const operationOf = (operation: KeyOperation): KeyOperation => {
    encodeContext(operation.context);
    return { ...operation, context: bound(operation.context) };
  };
  return altered((provider) => ({
    wrapKey: async (key, operation) => provider.wrapKey(key, operationOf(operation)),
    unwrapKey: async (wrapped, operation) => provider.unwrapKey(wrapped, operationOf(operation)),
  }));
}

/** Turns the failures of `wrapKey` into others; told the key that was to be wrapped. */
export function failing(turned: (error: KeyfoldError, key: Uint8Array) => KeyfoldError): ReferenceOptions {
  return altered((provider) => ({
    wrapKey: async (key, operation) => {
      try {
        return await provider.wrapKey(key, operation);
      } catch (error) {
        throw error instanceof KeyfoldError ? turned(error, key) : error;
      }
    },
  }));
}

/** Refuses, where `isGone`, what was wrapped before the latest rotation; told whether the same provider wrapped it. */
export function forgetful(isGone: (wrappedHere: boolean) => boolean): ReferenceOptions {
  const made = new Map<string, { readonly rotations: number; readonly by: object }>();
  return altered((provider, cloud) => {
    const by = {};
    return {
      wrapKey: async (key, operation) => {
        const wrapped = await provider.wrapKey(key, operation);
        made.set(hex(wrapped.ciphertext), { rotations: cloud.rotations, by });
        return wrapped;
      },
      unwrapKey: async (wrapped, operation) => {
        const key = await provider.unwrapKey(wrapped, operation);
        const origin = made.get(hex(wrapped.ciphertext));
        const isOld = origin !== undefined && origin.rotations < cloud.rotations;
        if (isOld && isGone(origin.by === by)) throw rejected("the version is gone");
        return key;
      },
    };
  });
}

/** A signal that is never aborted. */
export function unstoppable(operation: KeyOperation): KeyOperation {
  return { ...operation, signal: new AbortController().signal };
}

/** A copy with every bit of the bytes from `start` inverted. */
export function inverted(bytes: Uint8Array, start = 0): Bytes {
  return copyOf(bytes).map((byte, at) => (at < start ? byte : byte ^ 0xff));
}

/** The wrap with the scheme byte `to`, if it has `from`. */
export function schemed(wrapped: WrappedKey, from: number, to: number): WrappedKey {
  const ciphertext = copyOf(wrapped.ciphertext);
  if (ciphertext[0] === from) ciphertext[0] = to;
  return { ...wrapped, ciphertext };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
