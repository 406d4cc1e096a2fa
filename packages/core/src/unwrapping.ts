/**
 * A wrapped key, of an envelope or of a keyring, by whichever configured master key can unwrap it. "What an opener accepts"
 * in envelope-v1.
 */

import { createHash } from "node:crypto";
import { isUint8Array } from "node:util/types";
import { Budget, type BudgetLimits } from "./budget.ts";
import { copyOf, equalBytes, lengthPrefixed } from "./bytes.ts";
import type { Clock } from "./clock.ts";
import { type EncryptionContext, encodeContext } from "./context.ts";
import { KeyfoldError, type UnwrapAttempt } from "./errors.ts";
import { Flights } from "./flights.ts";
import { firstOf } from "./hedge.ts";
import { KEY_BYTES } from "./key-hierarchy.ts";
import type { KeyOperation, MasterKeyProvider, WrappedKey } from "./master-key.ts";
import { type Asker, isDeadline, type ProviderCalls } from "./provider-calls.ts";
import { asKeyfoldError } from "./retries.ts";

/** However many wraps of an envelope one master key recognizes, no more of them are tried. */
const MOST_WRAPS_TRIED = 3;
/** A master key that has been silent for this long is left running while the next is asked. */
const PATIENCE_MS = 1_000;
/** How many unwraps are remembered as having worked before, so that repeating them is free. */
const MOST_SEEN = 10_000;
/** How much of a URI that anybody may have written is repeated in a message. */
const SHOWN_CHARACTERS = 200;

/** A key that knows the id which its bytes give. */
export interface Identified {
  /** 16 bytes. */
  readonly id: Uint8Array;
}

/** A key, and the one wrap that gave it. */
export interface Unwrapped<K> {
  readonly key: K;
  readonly wrap: WrappedKey;
}

/** What unwrapping is bound to: a part of the settings of a keyfold, and of a keyring. */
export interface UnwrapSettings {
  /** In the order in which they are asked. */
  readonly unwrapWith: readonly MasterKeyProvider[];
  /** The present KMS context, then the older ones. */
  readonly kmsContexts: readonly [EncryptionContext, ...EncryptionContext[]];
  readonly acceptUnauthenticatedWraps: boolean;
  readonly unwrapBudget: BudgetLimits;
  readonly clock: Clock;
}

/** What becomes of the 32 bytes that a master key unwraps. */
export interface Import<K> {
  /** @param bytes 32 bytes, wiped when this has returned */
  readonly key: (bytes: Uint8Array) => K;
  /** What to fail with where the id is not the one that was wanted. */
  readonly mismatch: () => KeyfoldError;
}

/** A master key, with the wraps of an envelope that it will be asked to unwrap. */
interface Candidate {
  readonly provider: MasterKeyProvider;
  readonly wraps: readonly WrappedKey[];
}

/** What all the tries of one operation have in common. */
interface Search {
  readonly id: Uint8Array;
  readonly attempts: UnwrapAttempt[];
  /** Stands for the key and the wraps to be tried, so that repeating what once worked is free. */
  readonly digest: string;
  /** Whether its calls are covered by the unwrap budget: one token is for all of them. */
  paid: boolean;
}

export class Unwrapping<K extends Identified> {
  readonly #settings: UnwrapSettings;
  readonly #calls: ProviderCalls;
  readonly #import: Import<K>;
  readonly #flights = new Flights<K>();
  readonly #budget: Budget;
  readonly #seen = new Set<string>();

  constructor(settings: UnwrapSettings, calls: ProviderCalls, imported: Import<K>) {
    this.#settings = settings;
    this.#calls = calls;
    this.#import = imported;
    this.#budget = new Budget(settings.clock, settings.unwrapBudget);
  }

  /**
   * Unwraps the key of this id. Asks the configured master keys in their order, each for at most three wraps.
   *
   * @param id 16 bytes
   * @param wraps in their order; copied before anything is awaited
   * @throws `ERR_NO_USABLE_WRAP`, `ERR_UNAUTHENTICATED_WRAP`, `ERR_BUDGET`, `ERR_ABORTED`; the code of the one wrap that
   * was tried, or `ERR_UNWRAP_FAILED` for several, with `attempts`
   */
  async unwrap(id: Uint8Array, wraps: readonly WrappedKey[], asker: Asker): Promise<Unwrapped<K>> {
    const candidates = this.#candidates(wraps);
    const search = this.#search(id, candidates, asker);
    if (asker.waitsForBudget === true) await this.#waitForBudget(search, asker);
    const providers = candidates.map(({ provider }) => provider);
    const unwrapped = await this.#calls.within(providers, asker, async (signal) => {
      const ways = candidates.map(
        (candidate) => (either: AbortSignal) => this.#try(candidate, search, either),
      );
      const first = await firstOf(this.#settings.clock, ways, PATIENCE_MS, signal);
      if (first === undefined && signal.aborted && !isDeadline(signal.reason)) throw signal.reason;
      return first;
    });
    if (unwrapped === undefined) throw this.#failed(search);
    this.#remember(search.digest);
    return unwrapped;
  }

  #search(id: Uint8Array, candidates: readonly Candidate[], { background }: Asker): Search {
    const digest = createHash("sha256").update(id);
    for (const { provider, wraps } of candidates) {
      for (const wrap of wraps) digest.update(this.#digest(provider, wrap));
    }
    const name = digest.digest("base64url");
    return {
      id: copyOf(id),
      attempts: [],
      digest: name,
      paid: background === true || this.#seen.has(name),
    };
  }

  #failed({ attempts, digest }: Search): KeyfoldError {
    const error = failure(attempts);
    if (!error.retryable) this.#seen.delete(digest);
    return error;
  }

  #candidates(wraps: readonly WrappedKey[]): readonly Candidate[] {
    const { unwrapWith, acceptUnauthenticatedWraps } = this.#settings;
    const recognized = unwrapWith
      .map((provider) => ({
        provider,
        wraps: wraps.filter(({ masterKey }) => provider.recognizes(masterKey)),
      }))
      .filter((candidate) => candidate.wraps.length > 0);
    if (recognized.length === 0) throw noUsableWrap(wraps, unwrapWith);
    const usable = recognized.filter(
      ({ provider }) => provider.authenticatesWraps || acceptUnauthenticatedWraps,
    );
    if (usable.length === 0) throw new KeyfoldError("ERR_UNAUTHENTICATED_WRAP");
    return usable.map(({ provider, wraps }) => ({
      provider,
      wraps: wraps.slice(0, MOST_WRAPS_TRIED).map(ownWrap),
    }));
  }

  /** One master key's turn: its wraps one after the other. */
  async #try(
    { provider, wraps }: Candidate,
    search: Search,
    signal: AbortSignal,
  ): Promise<Unwrapped<K> | undefined> {
    for (const wrap of wraps) {
      try {
        return { key: await this.#unwrapAs(search, provider, wrap, signal), wrap };
      } catch (thrown) {
        const error = asKeyfoldError(this.#calls.explain(thrown, provider, signal));
        search.attempts.push({ provider: provider.name, masterKey: wrap.masterKey, error });
        if (signal.aborted) break;
      }
    }
    return undefined;
  }

  /** Under the present KMS context; where the answer is that it is not right, under the older ones. */
  async #unwrapAs(
    search: Search,
    provider: MasterKeyProvider,
    wrap: WrappedKey,
    signal: AbortSignal,
  ): Promise<K> {
    let rejected: unknown;
    for (const context of this.#settings.kmsContexts) {
      try {
        const key = await this.#unwrapUnder(context, provider, wrap, search, signal);
        if (!equalBytes(key.id, search.id)) throw this.#import.mismatch();
        return key;
      } catch (error) {
        if (asKeyfoldError(error).code !== "ERR_MASTER_KEY_REJECTED") throw error;
        rejected ??= error;
      }
    }
    throw rejected;
  }

  #unwrapUnder(
    context: EncryptionContext,
    provider: MasterKeyProvider,
    wrap: WrappedKey,
    search: Search,
    signal: AbortSignal,
  ): Promise<K> {
    const name = this.#digest(provider, wrap, context).toString("base64url");
    return this.#flights.join(name, signal, async (flight) => {
      this.#charge(search);
      return this.#calls.call(provider, "unwrap", flight, () =>
        unwrapOnce(provider, wrap, { context, signal: flight }, this.#import.key),
      );
    });
  }

  #charge(search: Search): void {
    if (!search.paid) this.#budget.take();
    search.paid = true;
  }

  #digest(
    provider: MasterKeyProvider,
    { masterKey, ciphertext }: WrappedKey,
    context?: EncryptionContext,
  ): Buffer {
    return createHash("sha256")
      .update(`${this.#settings.unwrapWith.indexOf(provider)} ${masterKey}\n`)
      .update(lengthPrefixed(ciphertext))
      .update(context === undefined ? "" : encodeContext(context))
      .digest();
  }

  async #waitForBudget(search: Search, { signals }: Asker): Promise<void> {
    if (!search.paid) await this.#budget.wait(AbortSignal.any([...signals]));
    search.paid = true;
  }

  /** A set keeps its order, so the first is the oldest. */
  #remember(digest: string): void {
    this.#seen.add(digest);
    const [oldest] = this.#seen;
    if (this.#seen.size > MOST_SEEN && oldest !== undefined) this.#seen.delete(oldest);
  }
}

/**
 * One request. The bytes of the key are wiped here, also where the answer comes so late that nobody waits for it.
 *
 * @param use is given the 32 bytes, which it does not keep
 * @throws what the provider fails with; `ERR_MASTER_KEY_BAD_REPLY` for an answer that is not 32 bytes
 */
export async function unwrapOnce<T>(
  provider: MasterKeyProvider,
  wrap: WrappedKey,
  operation: KeyOperation,
  use: (key: Uint8Array) => T,
): Promise<T> {
  const key = await provider.unwrapKey(ownWrap(wrap), operation);
  if (!isUint8Array(key)) throw badReply(provider);
  try {
    if (key.length !== KEY_BYTES) throw badReply(provider);
    return use(key);
  } finally {
    key.fill(0);
  }
}

function ownWrap({ masterKey, ciphertext }: WrappedKey): WrappedKey {
  return { masterKey, ciphertext: copyOf(ciphertext) };
}

function noUsableWrap(wraps: readonly WrappedKey[], providers: readonly MasterKeyProvider[]): KeyfoldError {
  const wrapped =
    wraps.length === 0
      ? "The envelope carries no wrapped key"
      : `The envelope's key is wrapped under ${wraps.map(({ masterKey }) => shown(masterKey)).join(", ")}`;
  const configured = providers.map(({ name }) => name).join(", ");
  return new KeyfoldError("ERR_NO_USABLE_WRAP", `${wrapped}; configured to open: ${configured}.`);
}

function shown(uri: string): string {
  return uri.length > SHOWN_CHARACTERS ? `${uri.slice(0, SHOWN_CHARACTERS)}…` : uri;
}

/** One wrap that was tried gives its own code; several give a common one. A budget that was used up is no answer of a key. */
function failure(attempts: readonly UnwrapAttempt[]): KeyfoldError {
  const reasons = attempts.map(({ provider, error }) => `${provider}: ${error.code}: ${error.message}`);
  const [first] = attempts;
  const alone = attempts.length === 1 || attempts.every(({ error }) => error.code === "ERR_BUDGET");
  if (first !== undefined && alone) {
    return new KeyfoldError(
      first.error.code,
      `${first.provider} did not unwrap the key: ${first.error.message}`,
      {
        cause: first.error,
        attempts,
        remedy: "",
      },
    );
  }
  return new KeyfoldError(
    "ERR_UNWRAP_FAILED",
    `${attempts.length} wraps were tried, and none gave the key. ${reasons.join(" ")}`,
    { attempts },
  );
}

function badReply(provider: MasterKeyProvider): KeyfoldError {
  return new KeyfoldError(
    "ERR_MASTER_KEY_BAD_REPLY",
    `${provider.name} unwrapped something that is not ${KEY_BYTES} bytes.`,
  );
}
