/** The keyring: a project's KDKs in a store, under one key that the master keys wrap. docs/spec/keyring-v1.md */

import { copyOf, decodeBase64url, encodeBase64url, equalBytes, toLatin1 } from "./bytes.ts";
import { asker, type OperationOptions, requireNotAborted, settle } from "./callers.ts";
import { type Clock, keepingTimer, sleep } from "./clock.ts";
import type { EncryptionContext } from "./context.ts";
import { KDK_ID_BYTES, MAX_WRAPS } from "./envelope.ts";
import { KeyfoldError, requireArgument } from "./errors.ts";
import { encodeName, importKdk, KEY_BYTES } from "./key-hierarchy.ts";
import { formatKeyring, type KdkState, type KeyringDocument, type KeyringEntry } from "./keyring-document.ts";
import { importKeyringKey, type KeyringKey, macOf, openKdkBytes, sealKdk } from "./keyring-key.ts";
import { KeyringKeys, type KeyringSettings, reportDocument, type VerifiedKeyring } from "./keyring-keys.ts";
import type { KeyringStore } from "./keyring-store.ts";
import type { MasterKeyProvider, WrappedKey } from "./master-key.ts";
import { duration, MINUTE, providerList, requireOptions, times } from "./option-checks.ts";
import { jitter, randomBytes } from "./random.ts";
import { asKeyfoldError } from "./retries.ts";
import { codeOf, keyrings, since } from "./telemetry.ts";
import { unwrapOnce } from "./unwrapping.ts";
import { wrapKey } from "./wrapping.ts";

const MAX_KEYS = 4_096;
/** A writer that lost so many compare-and-swaps in a row is told so. */
const MOST_TRIES = 100;
const LONGEST_PAUSE_MS = 100;

/** What opens a keyring. Times are in milliseconds. */
export interface OpenKeyringOptions {
  /** What the secrets belong to, as in `createKeyfold`: 1 to 255 bytes of UTF-8. */
  readonly project: string;
  /** Where the document is: {@link memoryKeyringStore}, {@link staticKeyring}, a file, or one of your own. */
  readonly store: KeyringStore;
  /** The master keys: any one of them opens the keyring, and changes wrap its key under them. */
  readonly masterKeys: MasterKeyProvider | readonly MasterKeyProvider[];
  /** More that unwrap and never wrap. */
  readonly openWith?: MasterKeyProvider | readonly MasterKeyProvider[] | undefined;
  /**
   * The id that the keyring must have, or several of them around a `rekey`: base64url of 16 bytes, as `createKeyring`
   * returns it. It keeps whoever can write the store from replacing the keyring, and is required where the wrap that opens
   * it is not authenticated (Azure RSA).
   */
  readonly pin?: string | readonly string[] | undefined;
  /** For all the calls of one operation together. Default 5 seconds. */
  readonly deadline?: number | undefined;
  /** When the keyring key in memory is confirmed with a master key again, in the background. Default 15 minutes. */
  readonly refreshAfter?: number | undefined;
  /** When a keyring key that no master key has confirmed is gone from memory, and all its KDKs with it. Default 24 hours. */
  readonly expireAfter?: number | undefined;
  /** When the store is read again, in the background; an unknown KDK causes that at once. Default 60 seconds. */
  readonly reloadAfter?: number | undefined;
  /** The time, for tests. Default the system's. */
  readonly clock?: Clock | undefined;
}

/** What makes a keyring. */
export interface CreateKeyringOptions {
  readonly project: string;
  readonly store: KeyringStore;
  /** The new keyring key is wrapped under each of them: 1 to 16. */
  readonly masterKeys: MasterKeyProvider | readonly MasterKeyProvider[];
  /** Bound to every wrap of the keyring key, visible to the KMS and in the document. Default {}. */
  readonly kmsContext?: EncryptionContext | undefined;
  /** Milliseconds for all calls together. Default 5 seconds. */
  readonly deadline?: number | undefined;
  readonly clock?: Clock | undefined;
}

/** What a keyring holds, without any key. */
export interface KeyringSummary {
  readonly project: string;
  /** base64url of 16 bytes: what to pin. */
  readonly id: string;
  /** Rises by one with every change. */
  readonly sequence: number;
  readonly kmsContext: EncryptionContext;
  /** The URIs that the keyring key is wrapped under. */
  readonly masterKeys: readonly string[];
  /** In the order in which they were created. */
  readonly keys: readonly KeyringKeySummary[];
}

export interface KeyringKeySummary {
  /** base64url of 16 bytes, as `inspect(…).kdkId` of an envelope. */
  readonly id: string;
  /** RFC 3339, UTC. */
  readonly created: string;
  readonly state: KdkState;
}

/** Whether a master key can unwrap the keyring key right now. */
export interface WrapVerification {
  readonly masterKey: string;
  /** The provider's name; undefined where no configured one recognizes the wrap. */
  readonly provider: string | undefined;
  readonly ok: boolean;
  /** Why not. */
  readonly error?: KeyfoldError;
}

export interface ChangeOptions extends OperationOptions {
  /** Does everything but save, and gives what the keyring would be. */
  readonly dryRun?: boolean | undefined;
}

export interface DestroyOptions extends ChangeOptions {
  /** The id again: what is under the key is gone for good. */
  readonly confirm: string;
}

/** A document on its way into the store: what is new in it, and the key that its mac is made with. */
interface Draft {
  readonly document: Omit<KeyringDocument, "mac" | "sequence">;
  readonly key: KeyringKey;
}

/**
 * Makes a keyring, with one active KDK, and saves it where there is none yet. Each wrap is unwrapped once before.
 *
 * @returns what it is; `id` is what to pin
 * @throws `ERR_KEYRING_CONFLICT` where there is one; `ERR_KEYRING_READ_ONLY`; a master key's code; `ERR_INVALID_ARGUMENT`
 */
export async function createKeyring(options: CreateKeyringOptions): Promise<KeyringSummary> {
  requireOptions(options, CREATE_OPTIONS, "createKeyring");
  const { kmsContext = {}, ...rest } = options;
  const keys = new KeyringKeys(settingsOf({ ...rest }));
  const keyringKey = randomBytes(KEY_BYTES);
  const kdk = randomBytes(KEY_BYTES);
  try {
    const key = importKeyringKey(keyringKey, keys.settings.encodedProject);
    const wraps = await wrapAll(keys, keys.settings.wrapWith, keyringKey, kmsContext, {});
    const document = signed(key, {
      project: keys.settings.project,
      id: key.id,
      sequence: 1,
      kmsContext: { ...kmsContext },
      wraps,
      keys: [entryOf(keys, key, kdk)],
    });
    await keys.save(formatKeyring(document), undefined, asker());
    return summaryOf(document);
  } finally {
    keyringKey.fill(0);
    kdk.fill(0);
    keys.close();
  }
}

/**
 * Opens a keyring: reads the store, unwraps the keyring key with one call, and checks the document.
 *
 * @throws `ERR_KEYRING_NOT_FOUND`, `ERR_KEYRING_INVALID`, `ERR_NO_USABLE_WRAP`, `ERR_UNAUTHENTICATED_WRAP` without a pin,
 * `ERR_KEYRING_UNAVAILABLE`, a master key's code, `ERR_INVALID_ARGUMENT`
 */
export async function openKeyring(options: OpenKeyringOptions): Promise<Keyring> {
  requireOptions(options, OPEN_OPTIONS, "openKeyring");
  const keys = new KeyringKeys(settingsOf(options));
  try {
    await keys.obtain({ signals: [] });
    keys.watch();
    return new Keyring(keys);
  } catch (error) {
    keys.close();
    throw error;
  }
}

/**
 * An opened keyring. Give it to `createKeyfold`, to several of one project if need be, and close it when they are done.
 *
 * Every change reads the store, is saved only if nobody else has changed it meanwhile, and is tried again on what they
 * made of it: two writers lose nothing. All methods fail with `ERR_CLOSED` after `close`, with the codes of a master key
 * where one has to be asked, and with `ERR_KEYRING_UNAVAILABLE` or the store's own code where the store fails.
 */
export class Keyring implements AsyncDisposable {
  readonly #keys: KeyringKeys;

  /** @param keys from {@link openKeyring}, which is how to get one */
  constructor(keys: KeyringKeys) {
    requireArgument(keys instanceof KeyringKeys, "Call openKeyring to get a keyring.");
    this.#keys = keys;
  }

  /** The keys of a keyring, for the keyfolds of this module. */
  static keysOf(keyring: unknown): KeyringKeys | undefined {
    return typeof keyring === "object" && keyring !== null && #keys in keyring ? keyring.#keys : undefined;
  }

  get project(): string {
    return this.#keys.settings.project;
  }

  /** Reads the store again, and says what the keyring holds. */
  async show(options?: OperationOptions): Promise<KeyringSummary> {
    return summaryOf((await this.#read(options)).document);
  }

  /**
   * Makes a new active KDK and retires the last one, which still opens.
   *
   * @throws `ERR_KEYRING_FULL` with 4,096 keys: `destroy` and `forget` some
   */
  rotate(options?: ChangeOptions): Promise<KeyringSummary> {
    return this.#change(options, ({ document, key }) => {
      if (document.keys.length >= MAX_KEYS) throw new KeyfoldError("ERR_KEYRING_FULL");
      const kdk = randomBytes(KEY_BYTES);
      try {
        const retired = document.keys.map((entry) => withState(entry, "active", "retired"));
        return { key, document: { ...document, keys: [...retired, entryOf(this.#keys, key, kdk)] } };
      } finally {
        kdk.fill(0);
      }
    });
  }

  /**
   * Destroys a retired KDK: every envelope under it is gone for good (crypto-shredding), as soon as no backup of the
   * document and no process holds the key any more. Its id stays, as a tombstone, until `forget`.
   *
   * @throws `ERR_INVALID_ARGUMENT` without `confirm`, for the active KDK, and for an id that is not there
   */
  destroy(kdkId: string, options: DestroyOptions): Promise<KeyringSummary> {
    return this.#change(options, ({ document, key }) => {
      const entry = find(document, kdkId);
      requireArgument(
        options?.confirm === kdkId,
        "destroy makes every envelope under the key unreadable for good: repeat the id in confirm.",
      );
      requireArgument(entry.state !== "active", "The active key cannot be destroyed: rotate first.");
      const gone: KeyringEntry = { ...entry, state: "destroyed", sealed: new Uint8Array(0) };
      return {
        key,
        document: { ...document, keys: document.keys.map((one) => (one === entry ? gone : one)) },
      };
    });
  }

  /** Removes the tombstone of a destroyed KDK. @throws `ERR_INVALID_ARGUMENT` for a KDK that is not destroyed */
  forget(kdkId: string, options?: ChangeOptions): Promise<KeyringSummary> {
    return this.#change(options, ({ document, key }) => {
      const entry = find(document, kdkId);
      requireArgument(
        entry.state === "destroyed",
        "Only a destroyed key can be forgotten: destroy it first.",
      );
      return { key, document: { ...document, keys: document.keys.filter((one) => one !== entry) } };
    });
  }

  /**
   * Wraps the keyring key under one more master key. The new wrap is unwrapped once before it is saved; from then on the
   * provider is among those that this keyring is opened with.
   *
   * @throws `ERR_INVALID_ARGUMENT` where it is among them already, or 16 are
   */
  async addMasterKey(provider: MasterKeyProvider, options?: ChangeOptions): Promise<KeyringSummary> {
    const [added] = providerList("addMasterKey", provider);
    requireArgument(added !== undefined, "addMasterKey takes one master key.");
    const summary = await this.#change(options, async ({ document, key }) => {
      requireArgument(document.wraps.length < MAX_WRAPS, `A keyring has at most ${MAX_WRAPS} master keys.`);
      const wraps = await this.#withKeyringKey(document, options, (bytes) =>
        wrapAll(this.#keys, [added], bytes, document.kmsContext, options),
      );
      const [wrap] = wraps;
      requireArgument(
        !document.wraps.some(({ masterKey }) => masterKey === wrap?.masterKey),
        `The keyring is wrapped under ${wrap?.masterKey} already: rewrap makes that wrap anew.`,
      );
      return { key, document: { ...document, wraps: [...document.wraps, ...wraps] } };
    });
    if (options?.dryRun !== true) this.#keys.include(added);
    return summary;
  }

  /**
   * Removes the wrap under a master key, by its URI as `show` gives it. One of the others is unwrapped before: a keyring that
   * nobody here could open any more is not saved.
   *
   * @throws `ERR_INVALID_ARGUMENT` for the last one and for one that is not there; `ERR_NO_USABLE_WRAP` where no configured
   * master key would be left
   */
  removeMasterKey(masterKey: string, options?: ChangeOptions): Promise<KeyringSummary> {
    return this.#change(options, async ({ document, key }) => {
      const wraps = document.wraps.filter((wrap) => wrap.masterKey !== masterKey);
      requireArgument(
        wraps.length < document.wraps.length,
        `The keyring is not wrapped under ${masterKey}. It is under ${uris(document)}.`,
      );
      requireArgument(
        wraps.length > 0,
        "The last master key of a keyring cannot be removed: add another first.",
      );
      await this.#confirm({ ...document, wraps }, options);
      return { key, document: { ...document, wraps } };
    });
  }

  /**
   * Wraps the keyring key anew under each of `masterKeys` that it is wrapped under: after the KMS rotated. Each new wrap is
   * unwrapped once before it is saved. It replaces the wraps that the same master key still opens, an older version's of an
   * Azure key for instance; all others stay, also that of the key which an alias pointed at before.
   */
  rewrap(options?: ChangeOptions): Promise<KeyringSummary> {
    return this.#change(options, async ({ document, key }) => {
      const fresh = await this.#withKeyringKey(document, options, (bytes) =>
        wrapAll(this.#keys, this.#wrappingOf(document), bytes, document.kmsContext, options),
      );
      const kept = await this.#notReplaced(document, fresh, options);
      const wraps = [...fresh, ...kept];
      requireArgument(wraps.length <= MAX_WRAPS, `A keyring has at most ${MAX_WRAPS} master keys.`);
      return { key, document: { ...document, wraps } };
    });
  }

  /**
   * Makes a new keyring key, and so a new id, and seals every KDK under it: after the old one leaked. Envelopes are not
   * touched, and stay readable for whoever had the old KDKs. Give the new id to every reader that pins the old one.
   *
   * @throws `ERR_INVALID_ARGUMENT` where the keyring is wrapped under a master key that is not in `masterKeys`: it would be
   * locked out
   */
  rekey(options?: ChangeOptions): Promise<KeyringSummary> {
    return this.#change(options, async ({ document, key }) => {
      const bytes = randomBytes(KEY_BYTES);
      try {
        const next = importKeyringKey(bytes, this.#keys.settings.encodedProject);
        const mine = this.#wrappingOf(document);
        const wraps = await wrapAll(this.#keys, mine, bytes, document.kmsContext, options);
        const [strange] = await this.#notReplaced(document, wraps, options);
        requireArgument(
          strange === undefined,
          `The keyring is wrapped under ${strange?.masterKey}, which masterKeys does not hold: add it there, or removeMasterKey first.`,
        );
        const keys = document.keys.map((entry) => resealed(entry, key, next));
        return { key: next, document: { ...document, id: next.id, wraps, keys } };
      } finally {
        bytes.fill(0);
      }
    });
  }

  /** Asks, for every wrap, a master key that recognizes it to unwrap it right now. Changes nothing. */
  async verify(options?: OperationOptions): Promise<readonly WrapVerification[]> {
    const { document } = await this.#read(options);
    return Promise.all(document.wraps.map((wrap) => this.#verifyWrap(document, wrap, options)));
  }

  /** Forgets the keys. Keyfolds with this keyring then fail with `ERR_CLOSED`. Closes no provider. Twice is fine. */
  async close(): Promise<void> {
    this.#keys.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #read(options?: OperationOptions): Promise<VerifiedKeyring> {
    this.#requireOpen();
    requireNotAborted(options);
    return settle(this.#keys.reload(asker(options)), options);
  }

  #requireOpen(): void {
    if (this.#keys.closed) throw new KeyfoldError("ERR_CLOSED");
  }

  /** Those that the keyring is wrapped under. @throws `ERR_NO_USABLE_WRAP` where it is under none of `masterKeys` */
  #wrappingOf(document: KeyringDocument): readonly MasterKeyProvider[] {
    const wrapping = this.#keys.wrapWith.filter((provider) =>
      document.wraps.some(({ masterKey }) => provider.recognizes(masterKey)),
    );
    if (wrapping.length > 0) return wrapping;
    throw new KeyfoldError(
      "ERR_NO_USABLE_WRAP",
      `The keyring is wrapped under ${uris(document)}, and none of masterKeys is one of these.`,
      { remedy: "Pass one of them as masterKeys: openWith only unwraps." },
    );
  }

  /** The wraps that no fresh one takes the place of: of other master keys, and such as the fresh ones' cannot open any more. */
  async #notReplaced(
    document: KeyringDocument,
    fresh: readonly WrappedKey[],
    options?: OperationOptions,
  ): Promise<readonly WrappedKey[]> {
    const kept: WrappedKey[] = [];
    for (const wrap of document.wraps) {
      if (fresh.some(({ masterKey }) => masterKey === wrap.masterKey)) continue;
      const provider = this.#keys.wrapWith.find((one) => one.recognizes(wrap.masterKey));
      if (provider === undefined || !(await this.#stillOpens(provider, document, wrap, options)))
        kept.push(wrap);
    }
    return kept;
  }

  async #stillOpens(
    provider: MasterKeyProvider,
    document: KeyringDocument,
    wrap: WrappedKey,
    options?: OperationOptions,
  ): Promise<boolean> {
    try {
      await openedBy(this.#keys, provider, wrap, document.kmsContext, options, () => undefined);
      return true;
    } catch (error) {
      if (LOCKED_OUT.has(asKeyfoldError(error).code)) return false;
      throw error;
    }
  }

  /** Read, change, compare and swap; whoever loses reads again. */
  async #change(
    options: ChangeOptions | undefined,
    draft: (present: VerifiedKeyring) => Draft | Promise<Draft>,
  ): Promise<KeyringSummary> {
    for (let tries = 1; ; tries++) {
      const present = await this.#read(options);
      const { document, key } = await draft(present);
      const next = signed(key, { ...document, sequence: present.document.sequence + 1 });
      if (options?.dryRun === true) return summaryOf(next);
      if (await this.#save(next, key, present.version, tries, options)) return summaryOf(next);
      await this.#pause(tries, options);
    }
  }

  /** Whether nobody else had saved meanwhile. */
  async #save(
    document: KeyringDocument,
    key: KeyringKey,
    expected: string,
    tries: number,
    options?: OperationOptions,
  ): Promise<boolean> {
    const started = keyrings.start();
    this.#keys.expectId(document.id);
    try {
      const version = await settle(
        this.#keys.save(formatKeyring(document), expected, asker(options)),
        options,
      );
      this.#keys.adopt({ document, version, key });
      reportDocument("saved", started, document);
      return true;
    } catch (error) {
      const isConflict = asKeyfoldError(error).code === "ERR_KEYRING_CONFLICT";
      keyrings.report(() => ({
        event: isConflict ? "conflict" : "failed",
        ms: since(started),
        ...codeOf(error),
      }));
      if (!isConflict || tries >= MOST_TRIES) throw error;
      return false;
    }
  }

  #pause(tries: number, options?: OperationOptions): Promise<void> {
    const ms = jitter() * Math.min(LONGEST_PAUSE_MS, 2 ** Math.min(tries, 10));
    const { signals } = this.#keys.withClosing(asker(options));
    return settle(sleep(this.#keys.settings.clock, ms, AbortSignal.any([...signals]), keepingTimer), options);
  }

  /** The bytes of the keyring key, which are not kept: asked for again, and wiped when `work` is done. */
  async #withKeyringKey<T>(
    document: KeyringDocument,
    options: OperationOptions | undefined,
    work: (bytes: Uint8Array) => Promise<T>,
  ): Promise<T> {
    const { encodedProject } = this.#keys.settings;
    const imported = (bytes: Uint8Array) => ({
      id: importKeyringKey(bytes, encodedProject).id,
      bytes: copyOf(bytes),
    });
    const asking = this.#keys.withClosing(asker(options));
    const { key } = await settle(this.#keys.unwrap(document, imported, asking), options);
    try {
      return await work(key.bytes);
    } finally {
      key.bytes.fill(0);
    }
  }

  /** Whether a configured master key opens a document by its wraps, or the error that says why none does. */
  #confirm(document: KeyringDocument, options?: OperationOptions): Promise<void> {
    return this.#withKeyringKey(document, options, async () => undefined);
  }

  async #verifyWrap(
    document: KeyringDocument,
    wrap: WrappedKey,
    options?: OperationOptions,
  ): Promise<WrapVerification> {
    const provider = this.#keys.unwrapWith.find((one) => one.recognizes(wrap.masterKey))?.name;
    try {
      await this.#confirm({ ...document, wraps: [wrap] }, options);
      return { masterKey: wrap.masterKey, provider, ok: true };
    } catch (thrown) {
      const error = asKeyfoldError(thrown);
      if (error.code === "ERR_ABORTED" || error.code === "ERR_CLOSED") throw error;
      return { masterKey: wrap.masterKey, provider, ok: false, error };
    }
  }
}

/** Answers by which a master key says that a wrap is not its any more. */
const LOCKED_OUT: ReadonlySet<string> = new Set([
  "ERR_MASTER_KEY_REJECTED",
  "ERR_MASTER_KEY_DENIED",
  "ERR_MASTER_KEY_DISABLED",
  "ERR_MASTER_KEY_NOT_FOUND",
]);

/** Wraps the bytes of a keyring key under each provider, and has each wrap unwrapped once. */
async function wrapAll(
  keys: KeyringKeys,
  providers: readonly MasterKeyProvider[],
  bytes: Uint8Array,
  own: EncryptionContext,
  options?: OperationOptions,
): Promise<readonly WrappedKey[]> {
  const settings = {
    wrapWith: providers,
    wrapsNeeded: providers.length,
    kmsContexts: [keys.contextOf(own)] as const,
    acceptUnauthenticatedWraps: true,
    clock: keys.settings.clock,
  };
  const asking = keys.withClosing(asker(options));
  const wraps = await settle(
    keys.calls.within(providers, asking, (signal) => wrapKey(bytes, settings, keys.calls, signal)),
    options,
  );
  for (const [index, wrap] of wraps.entries()) {
    const provider = providers[index];
    if (provider === undefined) continue;
    await openedBy(keys, provider, wrap, own, options, (opened) => {
      if (equalBytes(opened, bytes)) return;
      throw new KeyfoldError(
        "ERR_MASTER_KEY_BAD_REPLY",
        `${provider.name} unwrapped another key than it wrapped.`,
      );
    });
  }
  return wraps;
}

/** Has one provider unwrap one wrap, shows the bytes to `check`, and wipes them. */
async function openedBy(
  keys: KeyringKeys,
  provider: MasterKeyProvider,
  wrap: WrappedKey,
  own: EncryptionContext,
  options: OperationOptions | undefined,
  check: (bytes: Uint8Array) => void,
): Promise<void> {
  const context = keys.contextOf(own);
  const asking = keys.withClosing(asker(options));
  await settle(
    keys.calls.within([provider], asking, (signal) =>
      keys.calls.call(provider, "unwrap", signal, () =>
        unwrapOnce(provider, wrap, { context, signal }, check),
      ),
    ),
    options,
  );
}

/** A new active KDK. */
function entryOf(keys: KeyringKeys, key: KeyringKey, kdk: Uint8Array): KeyringEntry {
  const { id } = importKdk(kdk, keys.settings.encodedProject);
  const created = Math.floor(keys.settings.clock.now() / 1_000);
  return { id, created, state: "active", sealed: sealKdk(key, id, kdk) };
}

function withState(entry: KeyringEntry, from: KdkState, to: KdkState): KeyringEntry {
  return entry.state === from ? { ...entry, state: to } : entry;
}

function resealed(entry: KeyringEntry, from: KeyringKey, to: KeyringKey): KeyringEntry {
  if (entry.state === "destroyed") return entry;
  const kdk = openKdkBytes(from, entry);
  try {
    return { ...entry, sealed: sealKdk(to, entry.id, kdk) };
  } finally {
    kdk.fill(0);
  }
}

function signed(key: KeyringKey, document: Omit<KeyringDocument, "mac">): KeyringDocument {
  return { ...document, mac: macOf(key, document) };
}

function find({ keys }: KeyringDocument, kdkId: string): KeyringEntry {
  const id = typeof kdkId === "string" ? decodeBase64url(kdkId) : undefined;
  const entry = keys.find((one) => id !== undefined && equalBytes(one.id, id));
  requireArgument(entry !== undefined, "The keyring has no key of this id: show() lists them.");
  return entry;
}

function summaryOf(document: Omit<KeyringDocument, "mac">): KeyringSummary {
  return {
    project: document.project,
    id: encodeBase64url(document.id),
    sequence: document.sequence,
    kmsContext: { ...document.kmsContext },
    masterKeys: document.wraps.map(({ masterKey }) => masterKey),
    keys: document.keys.map(({ id, created, state }) => ({
      id: encodeBase64url(id),
      created: new Date(created * 1_000).toISOString().replace(".000Z", "Z"),
      state,
    })),
  };
}

function uris({ wraps }: Pick<KeyringDocument, "wraps">): string {
  return wraps.map(({ masterKey }) => masterKey).join(", ");
}

const CREATE_OPTIONS = ["project", "store", "masterKeys", "kmsContext", "deadline", "clock"];
const OPEN_OPTIONS = [
  "project",
  "store",
  "masterKeys",
  "openWith",
  "pin",
  "deadline",
  "refreshAfter",
  "expireAfter",
  "reloadAfter",
  "clock",
];

function settingsOf(options: OpenKeyringOptions): KeyringSettings {
  const { project, store } = options;
  const wrapWith = providerList("masterKeys", options.masterKeys);
  const openWith = providerList("openWith", options.openWith);
  requireArgument(wrapWith.length > 0, "Give at least one master key, as masterKeys.");
  requireArgument(wrapWith.length <= MAX_WRAPS, `A keyring has at most ${MAX_WRAPS} master keys.`);
  requireArgument(
    typeof store?.load === "function" && typeof store.save === "function",
    "store must be a keyring store, with load and save.",
  );
  return {
    project,
    encodedProject: encodeName("project", project),
    store,
    wrapWith,
    unwrapWith: [...new Set([...wrapWith, ...openWith])],
    pins: pinsOf(options.pin),
    reloadAfter: duration("reloadAfter", options.reloadAfter, MINUTE),
    ...times(options),
  };
}

function pinsOf(pin: OpenKeyringOptions["pin"]): ReadonlySet<string> | undefined {
  if (pin === undefined) return undefined;
  const ids = [pin].flat().map((id) => (typeof id === "string" ? decodeBase64url(id) : undefined));
  requireArgument(
    ids.length > 0 && ids.every((id) => id?.length === KDK_ID_BYTES),
    "pin must be the id of the keyring, base64url of 16 bytes, or several of them.",
  );
  return new Set(ids.map((id) => toLatin1(id ?? new Uint8Array())));
}
