/** A new key under the master keys: all of them, or as many as the policy asks for. */

import { isUint8Array } from "node:util/types";
import { copyOf } from "./bytes.ts";
import { type Clock, idleTimer } from "./clock.ts";
import type { EncryptionContext } from "./context.ts";
import { requireWrap } from "./envelope.ts";
import { KeyfoldError, requireArgument } from "./errors.ts";
import type { MasterKeyProvider, WrappedKey } from "./master-key.ts";
import type { ProviderCalls } from "./provider-calls.ts";
import { asKeyfoldError } from "./retries.ts";

/** What wrapping is bound to: a part of the settings of a keyfold, and of a keyring. */
export interface WrapSettings {
  /** The master keys that wrap. */
  readonly wrapWith: readonly MasterKeyProvider[];
  /** How many of them must succeed. */
  readonly wrapsNeeded: number;
  /** The present KMS context, then older ones, which wrap nothing. */
  readonly kmsContexts: readonly [EncryptionContext, ...EncryptionContext[]];
  readonly acceptUnauthenticatedWraps: boolean;
  readonly clock: Clock;
}

/** How long the others are waited for once enough master keys have wrapped. */
const PATIENCE_MS = 1_000;

/**
 * Wraps a key under the master keys that seal. Ends early, with that key's own error, once so many have failed that the
 * policy cannot be met.
 *
 * @param key 32 bytes, the caller's; each provider is lent a copy of its own
 * @returns the wraps, in the order in which the master keys were configured
 * @throws a failing master key's own code; `ERR_UNAUTHENTICATED_WRAP` where no wrap would be authenticated;
 * `ERR_INVALID_ARGUMENT` where two master keys answer with one URI
 */
export async function wrapKey(
  key: Uint8Array,
  settings: WrapSettings,
  calls: ProviderCalls,
  outer: AbortSignal,
): Promise<readonly WrappedKey[]> {
  const { wrapWith, wrapsNeeded, clock } = settings;
  requireAuthenticated(wrapWith, settings);
  const stop = new AbortController();
  const signal = AbortSignal.any([outer, stop.signal]);
  const wraps = new Map<MasterKeyProvider, WrappedKey>();
  let failures = 0;
  let timer: unknown;
  await Promise.all(
    wrapWith.map(async (provider) => {
      try {
        wraps.set(provider, await wrapUnder(provider, key, settings, calls, signal));
        if (wraps.size === wrapsNeeded) timer = idleTimer(clock, PATIENCE_MS, () => stop.abort());
      } catch (error) {
        if (++failures > wrapWith.length - wrapsNeeded) stop.abort(asKeyfoldError(error));
      }
    }),
  );
  clock.clearTimeout(timer);
  if (wraps.size < wrapsNeeded) throw stop.signal.reason;
  requireAuthenticated([...wraps.keys()], settings);
  requireArgument(
    new Set([...wraps.values()].map(({ masterKey }) => masterKey)).size === wraps.size,
    "Two of masterKeys answered with one URI: they are the same master key.",
  );
  return wrapWith.flatMap((provider) => wraps.get(provider) ?? []);
}

async function wrapUnder(
  provider: MasterKeyProvider,
  key: Uint8Array,
  { kmsContexts: [context] }: WrapSettings,
  calls: ProviderCalls,
  signal: AbortSignal,
): Promise<WrappedKey> {
  const wrap = await calls.call(provider, "wrap", signal, async () => {
    const lent = copyOf(key);
    try {
      return await provider.wrapKey(lent, { context, signal });
    } finally {
      lent.fill(0);
    }
  });
  return checked(provider, wrap);
}

/** A wrap that could not be stored, or that its own maker would not take back, is no answer. */
function checked(provider: MasterKeyProvider, { masterKey, ciphertext }: WrappedKey): WrappedKey {
  try {
    requireArgument(
      typeof masterKey === "string" && isUint8Array(ciphertext),
      "A wrap is a string and bytes.",
    );
    requireWrap({ masterKey, ciphertext });
  } catch (cause) {
    throw new KeyfoldError(
      "ERR_MASTER_KEY_BAD_REPLY",
      `${provider.name} gave a wrap that no envelope can hold.`,
      { cause },
    );
  }
  if (!provider.recognizes(masterKey)) {
    throw new KeyfoldError(
      "ERR_MASTER_KEY_BAD_REPLY",
      `${provider.name} gave a wrap that it would not recognize.`,
    );
  }
  return { masterKey, ciphertext: copyOf(ciphertext) };
}

function requireAuthenticated(providers: readonly MasterKeyProvider[], settings: WrapSettings): void {
  if (settings.acceptUnauthenticatedWraps || providers.some((provider) => provider.authenticatesWraps))
    return;
  throw new KeyfoldError(
    "ERR_UNAUTHENTICATED_WRAP",
    "No master key authenticates its wraps, so no reader would accept them.",
  );
}
