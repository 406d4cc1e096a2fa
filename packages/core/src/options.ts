/** What `createKeyfold` takes: the options with their defaults, and what becomes of them. */

import type { BudgetLimits } from "./budget.ts";
import type { Bytes } from "./bytes.ts";
import type { Clock } from "./clock.ts";
import { type EncryptionContext, kmsContext } from "./context.ts";
import { MAX_WRAPS } from "./envelope.ts";
import { KeyfoldError, requireArgument } from "./errors.ts";
import { encodeName } from "./key-hierarchy.ts";
import { Keyring } from "./keyring.ts";
import type { KeyringKeys } from "./keyring-keys.ts";
import type { MasterKeyProvider } from "./master-key.ts";
import { duration, HOUR, providerList, type Times, times } from "./option-checks.ts";
import type { UnwrapSettings } from "./unwrapping.ts";
import type { WrapSettings } from "./wrapping.ts";

/** Times are in milliseconds. `masterKeys` or `openWith` must be given. */
export interface KeyfoldOptions {
  /** What the secrets belong to, "billing" or "billing/prod": 1 to 255 bytes of UTF-8. Whoever opens names the same. */
  readonly project: string;
  /** The master keys that wrap; any one of them opens. Left out, sealing is refused (`ERR_NOT_CONFIGURED`). */
  readonly masterKeys?: MasterKeyProvider | readonly MasterKeyProvider[] | undefined;
  /** More that unwrap and never wrap: the old cloud, the old alias target. Asked after `masterKeys`. */
  readonly openWith?: MasterKeyProvider | readonly MasterKeyProvider[] | undefined;
  /**
   * An opened keyring of the same project: it seals with the active KDK and opens with any. `masterKeys` are then needed only
   * for embedded wraps.
   */
  readonly keyring?: Keyring | undefined;
  /** With a keyring, what becomes of the wraps that an envelope carries. Default "ignore". */
  readonly embedded?: "ignore" | "accept" | undefined;
  /** A finer division of the project, a tenant for example, with a KEK of its own: 0 to 255 bytes. Default "". */
  readonly scope?: string | undefined;
  /** Bound to every wrap, and visible to the KMS and in its logs: at most 2,048 bytes encoded. Default {}. */
  readonly kmsContext?: EncryptionContext | undefined;
  /** Older KMS contexts, tried after the present one when opening. Default none. */
  readonly openKmsContexts?: readonly EncryptionContext[] | undefined;
  /** Keys that every encryption context must have. Default none. */
  readonly requireContext?: readonly string[] | undefined;
  /** How many master keys must wrap a new key. Default "all". */
  readonly wrapPolicy?: "all" | { readonly atLeast: number } | undefined;
  /** Whether wraps count that anyone with a public key can make. Default false. */
  readonly acceptUnauthenticatedWraps?: boolean | undefined;
  /** For a program that may wrap and not unwrap: opening is refused, and a refresh is a new key. Default false. */
  readonly sealOnly?: boolean | undefined;
  /** Unwraps of keys never seen before: so many at once, so many a second after that. Default 100 and 10. */
  readonly unwrapBudget?: { readonly burst?: number; readonly perSecond?: number } | undefined;
  /** How long one KDK seals. Its successor is made in the background in the last hour of it. Default 24 hours. */
  readonly kdkLifetime?: number | undefined;
  /** How long one KEK seals: at most an hour, which is the default. */
  readonly kekLifetime?: number | undefined;
  /** When a key in memory is confirmed with the KMS again, in the background. Default 15 minutes. */
  readonly refreshAfter?: number | undefined;
  /** When a key that the KMS has not confirmed is gone from memory. Default 24 hours. */
  readonly expireAfter?: number | undefined;
  /** How many KDKs, and how many KEKs, are kept in memory. Default 1,000. */
  readonly maxKeys?: number | undefined;
  /** For all the calls of one operation together; when it passes, `ERR_MASTER_KEY_UNAVAILABLE`. Default 5 seconds. */
  readonly deadline?: number | undefined;
  /** The time, for tests. Default the system's. */
  readonly clock?: Clock | undefined;
}

/** The options, validated and complete. */
export interface Settings extends Times, WrapSettings, UnwrapSettings {
  /** `lp(project)`. */
  readonly project: Bytes;
  readonly scope: string;
  readonly keyring: KeyringKeys | undefined;
  /** Whether a KDK that is not in the keyring may come from an envelope. */
  readonly acceptEmbedded: boolean;
  readonly requireContext: readonly string[];
  readonly sealOnly: boolean;
  readonly kdkLifetime: number;
  readonly kekLifetime: number;
  readonly maxKeys: number;
}

const known: Readonly<Record<keyof KeyfoldOptions, true>> = {
  project: true,
  masterKeys: true,
  openWith: true,
  keyring: true,
  embedded: true,
  scope: true,
  kmsContext: true,
  openKmsContexts: true,
  requireContext: true,
  wrapPolicy: true,
  acceptUnauthenticatedWraps: true,
  sealOnly: true,
  unwrapBudget: true,
  kdkLifetime: true,
  kekLifetime: true,
  refreshAfter: true,
  expireAfter: true,
  maxKeys: true,
  deadline: true,
  clock: true,
};

/** @throws `ERR_INVALID_ARGUMENT`, saying which option and why; also for an option that does not exist */
export function resolveOptions(options: KeyfoldOptions): Settings {
  requireArgument(
    typeof options === "object" && options !== null,
    "createKeyfold takes an object of options.",
  );
  for (const name of Object.keys(options)) {
    requireArgument(Object.hasOwn(known, name), `There is no option "${name}".`);
  }
  const wrapWith = providerList("masterKeys", options.masterKeys);
  const openWith = providerList("openWith", options.openWith);
  const keyring = keyringOf(options);
  requireArgument(
    keyring !== undefined || wrapWith.length + openWith.length > 0,
    "Give at least one master key, as masterKeys or openWith, or a keyring.",
  );
  requireArgument(
    wrapWith.length <= MAX_WRAPS,
    `masterKeys holds more than the ${MAX_WRAPS} that an envelope can embed wraps of.`,
  );
  return {
    project: encodeName("project", options.project),
    scope: scopeName(options.scope ?? ""),
    keyring,
    acceptEmbedded: acceptEmbedded(options),
    wrapWith,
    unwrapWith: [...new Set([...wrapWith, ...openWith])],
    kmsContexts: [
      kdkContext("kmsContext", options.project, options.kmsContext ?? {}),
      ...list("openKmsContexts", options.openKmsContexts).map((own) =>
        kdkContext("openKmsContexts", options.project, own),
      ),
    ],
    requireContext: contextKeys(options.requireContext),
    wrapsNeeded: wrapsNeeded(options.wrapPolicy, wrapWith.length),
    acceptUnauthenticatedWraps: flag("acceptUnauthenticatedWraps", options.acceptUnauthenticatedWraps),
    sealOnly: flag("sealOnly", options.sealOnly),
    unwrapBudget: budget(options.unwrapBudget),
    kdkLifetime: duration("kdkLifetime", options.kdkLifetime, 24 * HOUR),
    kekLifetime: duration("kekLifetime", options.kekLifetime, HOUR, HOUR),
    maxKeys: count("maxKeys", options.maxKeys ?? 1_000),
    ...times(options),
  };
}

function keyringOf({ keyring, project }: KeyfoldOptions): KeyringKeys | undefined {
  if (keyring === undefined) return undefined;
  const keys = Keyring.keysOf(keyring);
  requireArgument(keys !== undefined, 'keyring must come from openKeyring (was an "await" forgotten?).');
  requireArgument(
    keys.settings.project === project,
    `The keyring is of the project "${keys.settings.project}", and this keyfold of another one.`,
  );
  return keys;
}

function acceptEmbedded({ embedded, keyring }: KeyfoldOptions): boolean {
  requireArgument(
    embedded === undefined || embedded === "ignore" || embedded === "accept",
    'embedded must be "ignore" or "accept".',
  );
  requireArgument(embedded === undefined || keyring !== undefined, "embedded goes with a keyring.");
  return embedded === "accept";
}

/** @throws `ERR_INVALID_ARGUMENT` for what cannot be a scope */
export function scopeName(scope: string): string {
  encodeName("scope", scope);
  return scope;
}

function kdkContext(option: string, project: string, own: EncryptionContext): EncryptionContext {
  try {
    return kmsContext(project, "kdk", own);
  } catch (cause) {
    throw new KeyfoldError(
      "ERR_INVALID_ARGUMENT",
      `${option} is no KMS context: ${cause instanceof KeyfoldError ? cause.message : "see cause."}`,
      {
        cause,
        remedy: "",
      },
    );
  }
}

function contextKeys(given: readonly string[] | undefined): readonly string[] {
  const keys = list("requireContext", given);
  requireArgument(
    keys.every((key) => typeof key === "string" && key !== ""),
    "requireContext holds something that is no context key.",
  );
  return keys;
}

function wrapsNeeded(policy: KeyfoldOptions["wrapPolicy"], masterKeys: number): number {
  if (policy === undefined || policy === "all") return masterKeys;
  const atLeast = typeof policy === "object" && policy !== null ? policy.atLeast : Number.NaN;
  requireArgument(
    Number.isInteger(atLeast) && atLeast >= 1 && atLeast <= masterKeys,
    `wrapPolicy must be "all" or { atLeast: 1 to ${masterKeys} }.`,
  );
  return atLeast;
}

function budget(given: KeyfoldOptions["unwrapBudget"]): BudgetLimits {
  requireArgument(
    given === undefined || (typeof given === "object" && given !== null),
    "unwrapBudget must be an object.",
  );
  const { burst = 100, perSecond = 10 } = given ?? {};
  requireArgument(
    typeof burst === "number" && burst >= 1,
    "unwrapBudget.burst must be a number of 1 or more.",
  );
  requireArgument(
    typeof perSecond === "number" && perSecond > 0,
    "unwrapBudget.perSecond must be a number above 0.",
  );
  return { burst, perSecond };
}

function list<T>(name: string, given: readonly T[] | undefined): readonly T[] {
  requireArgument(given === undefined || Array.isArray(given), `${name} must be an array.`);
  return [...(given ?? [])];
}

function flag(name: string, given: boolean | undefined): boolean {
  requireArgument(given === undefined || typeof given === "boolean", `${name} must be true or false.`);
  return given ?? false;
}

function count(name: string, given: number): number {
  requireArgument(Number.isSafeInteger(given) && given >= 1, `${name} must be a whole number of 1 or more.`);
  return given;
}
