/** What the contract suite needs to know of a provider and of the service behind it. Types only. */

import type { EncryptionContext, KeyfoldErrorCode, MasterKeyProvider, WrappedKey } from "@keyfold/core";

/** The rules of a master-key provider, each a case of the suite under this id. */
export type RuleId =
  | "round-trip"
  | "wrap-is-randomized"
  | "wrap-is-as-specified"
  | "names-the-key-that-answered"
  | "other-keys-are-not-mine"
  | "reply-is-checked"
  | "damage-is-refused"
  | "context-is-bound"
  | "authenticity-is-declared"
  | "alias-chooses-only"
  | "rotation-keeps-old-keys"
  | "failures-have-codes"
  | "abort-is-prompt"
  | "rejects-never-throws"
  | "bytes-are-not-shared"
  | "calls-are-independent"
  | "nothing-prints"
  | "import-is-light"
  | "close-is-idempotent";

/** A provider to be proven. */
export interface ProviderSubject {
  /** For titles: `aws-kms`, `azure-keyvault with A256KW`. */
  readonly name: string;
  /** Rules that the service cannot be held to, each with the reason, which its title then shows. */
  readonly inapplicable?: Partial<Readonly<Record<RuleId, string>>>;
  /** Failures that the service does not have, each with the reason. */
  readonly withoutFailures?: Partial<Readonly<Record<FailureKind, string>>>;
  /**
   * Why it makes no request, if it makes none: "the key is in memory". Then `requests` stays at 0, and the levers `delay`
   * and `injected` are not needed: a call settles at once, or is aborted in flight as any other.
   */
  readonly withoutRequests?: string;
  /** Whether whoever has no permission at the service, but all that is public, can make a wrap that opens. */
  readonly forgeable: boolean;
  /** What importing the package loads. */
  readonly module: ProviderModuleSubject;
  /** A service of its own for one case, with one enabled key that providers are configured with. */
  start(): Promise<RunningSubject>;
}

/** How `import-is-light` looks at a package, in a process of its own. */
export interface ProviderModuleSubject {
  /** The file or package to import, as an absolute `file:` URL. */
  readonly url: string;
  /** Names of packages that the import must not load, and that the first call does load; none for a provider without an SDK. */
  readonly sdks: readonly string[];
  /** Names of packages that the import may load beside keyfold's own: dependencies that are no SDK. None by default. */
  readonly dependencies?: readonly string[];
  /**
   * Code of an async function's body that gets `provider`, the module's namespace, and makes the first call, which may
   * fail: `await provider.awsKms({ … }).load()`.
   */
  readonly firstCall: string;
}

/** A service that runs, and its levers. A lever that a rule needs and that is not there fails the case of that rule. */
export interface RunningSubject {
  /** Another provider for the same key each time, cold, as another process would make it. */
  provider(): MasterKeyProvider;
  /** The URI that a wrap made now must carry: resolved, the version included where the service has versions. */
  masterKey(): string;
  /** Requests for wrapping and unwrapping that the service has seen so far; 0 of one without requests. */
  requests(): number;
  /** Ends the service. */
  stop(): Promise<void>;

  /** Unwraps without the provider, by the specification alone and with what the service knows: undefined where it does not open. */
  readonly unwrapAsSpecified?: (
    wrapped: WrappedKey,
    context: EncryptionContext,
  ) => Promise<Uint8Array | undefined>;
  /** Wraps without the provider, by the specification alone and with what the service knows. */
  readonly wrapAsSpecified?: (key: Uint8Array, context: EncryptionContext) => Promise<WrappedKey>;
  /** The first byte, and the length of a wrap or its bounds. */
  readonly scheme?: { readonly byte: number; readonly shortest: number; readonly longest: number };
  /** Wraps of the specified form that belong to other keys: another key, account, region, project, vault, as far as the service has them. */
  readonly otherKeys?: () => Promise<readonly OtherKey[]>;
  /** Ways to make the next reply a bad one, at least one for each operation. */
  readonly badReplies?: readonly BadReply[];
  /** Wraps with nothing but what is public: the public key, or an attacker's own key under the subject's URI. */
  readonly forge?: (key: Uint8Array, context: EncryptionContext) => Promise<WrappedKey>;
  /** The alias, where keys have them. */
  readonly alias?: AliasLever;
  /** Makes the service wrap with a new version, or the key file with a new key. */
  readonly rotate?: () => Promise<void>;
  /** The ways in which the service fails. */
  readonly failures?: Partial<Readonly<Record<FailureKind, FailureLever>>>;
  /** From now on the service answers only after this many milliseconds. */
  readonly delay?: (ms: number) => void;
  /** A provider with an injected client that works, and how often that client was closed. */
  readonly injected?: () => { readonly provider: MasterKeyProvider; readonly closed: () => number };
  /** What must never be printed, beside the keys that the suite wraps: credentials, the local key in each of its spellings. At least one. */
  readonly secrets?: readonly string[];
}

/** A wrap that is not the subject's. */
export interface OtherKey {
  /** In what it differs: "another region". */
  readonly what: string;
  readonly wrapped: WrappedKey;
}

export interface BadReply {
  /** What is wrong with it: "names another key". */
  readonly what: string;
  readonly operation: "wrap" | "unwrap";
  /** Makes the next reply to that operation such a one. */
  arm(): void;
}

/** Configured by alias. */
export interface AliasLever {
  /** A cold provider that is configured with the alias. */
  provider(): MasterKeyProvider;
  /** Points the alias at another key. */
  move(): Promise<void>;
  /** What the alias points at now. */
  masterKey(): string;
  /** A provider for the key that the alias pointed at before. */
  formerKey(): MasterKeyProvider;
}

/** How a service can fail. */
export type FailureKind =
  | "denied"
  | "not found"
  | "disabled"
  | "pending deletion"
  | "throttled"
  | "unavailable"
  | "timed out"
  | "malformed reply"
  | "no credentials"
  | "expired credentials";

export interface FailureLever {
  readonly code: KeyfoldErrorCode;
  /**
   * Brings the failure about until the service stops, and gives the provider that meets it, whether it wraps or unwraps.
   * It must recognize what `provider()` wrapped before: the suite asks it to unwrap that.
   */
  arm(): Promise<MasterKeyProvider>;
  /** Whether the provider's error has another error as `cause`. True unless there is no SDK to give one. */
  readonly hasCause?: boolean;
}
