/**
 * The keys of a keyring that are in memory: the document as it was last read and found right, the keyring key, and the
 * KDKs. Reads the store, asks the master keys, and keeps both fresh. docs/spec/keyring-v1.md, "What a reader checks".
 */

import { type Bytes, equalBytes, toLatin1 } from "./bytes.ts";
import { type Clock, type Instant, instant, keepingTimer, promptly } from "./clock.ts";
import { type EncryptionContext, kmsContext } from "./context.ts";
import { KeyfoldError } from "./errors.ts";
import { Flights } from "./flights.ts";
import { Freshness, sweepLater } from "./freshness.ts";
import { type KeyringDocument, parseKeyring } from "./keyring-document.ts";
import { importKeyringKey, type KeyringKey, openKdk, requireMac } from "./keyring-key.ts";
import { isStoreOutage, Searches, StoreReads, storeCall } from "./keyring-reads.ts";
import type { KeyringStore, StoredKeyring } from "./keyring-store.ts";
import type { LiveKdk } from "./live-kdk.ts";
import type { MasterKeyProvider } from "./master-key.ts";
import { type Asker, ProviderCalls } from "./provider-calls.ts";
import { asKeyfoldError } from "./retries.ts";
import { codeOf, type KeyringMessage, keyrings, reportKey, since } from "./telemetry.ts";
import { type Identified, type Import, type Unwrapped, Unwrapping } from "./unwrapping.ts";

/** The unwraps of a keyring are few, and no envelope causes them. */
const NO_BUDGET = { burst: Number.POSITIVE_INFINITY, perSecond: 1 };
/** The part of a deadline that the store may use up: the rest is for the master keys. */
const STORES_PART = 0.5;
/** A caller waits for so much longer than the flight, which then ends first and says why each master key failed. */
const GRACE_MS = 100;

/** The options of a keyring, validated and complete. */
export interface KeyringSettings {
  readonly project: string;
  /** `lp(project)`. */
  readonly encodedProject: Bytes;
  readonly store: KeyringStore;
  readonly wrapWith: readonly MasterKeyProvider[];
  readonly unwrapWith: readonly MasterKeyProvider[];
  /** The ids that the keyring may have, as `toLatin1`; undefined where none is pinned. */
  readonly pins: ReadonlySet<string> | undefined;
  readonly deadline: number;
  readonly refreshAfter: number;
  readonly expireAfter: number;
  readonly reloadAfter: number;
  readonly clock: Clock;
}

/** A document that passed every check, and the store's name for it. */
export interface VerifiedKeyring {
  readonly document: KeyringDocument;
  readonly version: string;
  readonly key: KeyringKey;
}

/** A document that was found right before, and whose keys are gone since. */
type SeenKeyring = Omit<VerifiedKeyring, "key">;

/** Who reads a keyring. */
interface Reader extends Asker {
  /** On the monotonic clock: when it is over. */
  readonly until: number;
}

/** The keys of one verified document. */
interface Loaded extends VerifiedKeyring {
  readonly freshness: Freshness;
  readonly active: LiveKdk;
  /** By the latin1 of its id. A destroyed one has no key. */
  readonly kdks: ReadonlyMap<string, LiveKdk | "destroyed">;
}

/** Who holds keys that were derived from a keyring's, and drops them when told to. */
export interface Dependent {
  forget(freshness: Freshness): void;
}

export class KeyringKeys {
  readonly settings: KeyringSettings;
  readonly calls: ProviderCalls;
  readonly #closing = new AbortController();
  readonly #flights = new Flights<Loaded>();
  readonly #reads: StoreReads;
  readonly #searches: Searches;
  readonly #dependents = new Set<WeakRef<Dependent>>();
  /** Master keys that were added while it was open. */
  readonly #added: MasterKeyProvider[] = [];
  /** The ids that this process gave it itself, by `rekey`. */
  readonly #ownIds = new Set<string>();
  #loaded: Loaded | undefined;
  /** The document that was last found right; it stays when the keys are gone. */
  #seen: SeenKeyring | undefined;
  #loss: KeyfoldError | undefined;
  /** Settles when the reload that is under way does. */
  #underWay: Promise<void> = Promise.resolve();
  #reloading = false;
  #changed = false;
  #unwatch: (() => void) | undefined;
  #sweep: unknown;

  constructor(settings: KeyringSettings) {
    const { store, clock, deadline, reloadAfter } = settings;
    this.settings = settings;
    this.calls = new ProviderCalls(clock, deadline);
    this.#reads = new StoreReads(store, clock, { patience: deadline * STORES_PART, reloadAfter });
    this.#searches = new Searches(clock, reloadAfter);
  }

  get closed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** How many KDKs are in memory. */
  get size(): number {
    return [...(this.#loaded?.kdks.values() ?? [])].filter((live) => live !== "destroyed").length;
  }

  /** Why the keys are not in memory, where they were lost. */
  get loss(): KeyfoldError | undefined {
    return this.#loss;
  }

  /** The master keys that wrap: those of the options, and those that were added. */
  get wrapWith(): readonly MasterKeyProvider[] {
    return [...this.settings.wrapWith, ...this.#added];
  }

  get unwrapWith(): readonly MasterKeyProvider[] {
    return [...new Set([...this.settings.unwrapWith, ...this.#added])];
  }

  /** From now on this master key wraps and unwraps too. */
  include(provider: MasterKeyProvider): void {
    if (!this.wrapWith.includes(provider)) this.#added.push(provider);
  }

  /** That the keyring has this id from now on, by a change of one's own, is no surprise. To be said before it is saved. */
  expectId(id: Uint8Array): void {
    this.#ownIds.add(toLatin1(id));
  }

  /** Tells `dependent` when keys are lost. It is held weakly. */
  attach(dependent: Dependent): void {
    this.#dependents.add(new WeakRef(dependent));
  }

  /** Reads again whenever the store says that something was saved. Until `close`, or until nobody holds the keys any more. */
  watch(): void {
    const keys = new WeakRef(this);
    const unwatch = this.settings.store.watch?.(() => {
      const present = keys.deref();
      if (present === undefined) unwatch?.();
      else present.#noticed();
    });
    this.#unwatch = unwatch;
  }

  close(): void {
    this.#closing.abort(new KeyfoldError("ERR_CLOSED"));
    this.settings.clock.clearTimeout(this.#sweep);
    this.#unwatch?.();
    this.#drop(undefined);
  }

  /** The KDK that seals, or undefined where no key is in memory. */
  active(now: Instant): LiveKdk | undefined {
    return this.#usable(now)?.active;
  }

  /** A KDK, that it was destroyed, or undefined where it is not in the keyring, or the keyring's key is not in memory. */
  find(name: string, now: Instant): LiveKdk | "destroyed" | undefined {
    const usable = this.#usable(now);
    const found = usable?.kdks.get(name);
    if (usable !== undefined && found === undefined) this.#keepFresh(now);
    return found;
  }

  /** Whether the keyring's key is in memory, so that `find` knows every KDK of the document as it was last read. */
  isReady(now: Instant): boolean {
    return this.#usable(now) !== undefined;
  }

  /**
   * Brings the keys into memory where they are not: reads the store and asks a master key. While the store cannot be read,
   * what it held last will do. One flight for all callers.
   */
  async obtain(asker: Asker): Promise<VerifiedKeyring> {
    const usable = this.#usable(instant(this.settings.clock));
    return usable ?? this.#within(asker, (signal) => this.#fly("obtain", signal, asker));
  }

  /** Reads the store again, no earlier than now, and takes over what is new. @returns what holds now */
  async reload(asker: Asker): Promise<VerifiedKeyring> {
    return this.#within(asker, async (signal) => {
      // It may have begun before something was saved that this caller knows of.
      await promptly(this.#underWay, signal);
      return this.#fly("reload", signal, asker);
    });
  }

  /**
   * A KDK that is not known: reads the store again, as far as the back-off allows.
   *
   * @throws `ERR_UNKNOWN_KEY`, `ERR_KEY_DESTROYED`, and as {@link reload}
   */
  async lookUp(name: string, asker: Asker): Promise<LiveKdk> {
    await this.obtain(asker);
    const known = this.#known(name);
    if (known !== undefined) return known;
    await this.#within(asker, (signal) =>
      promptly(
        this.#searches.join(() => this.#readAgain()),
        signal,
      ),
    );
    const found = this.#known(name);
    if (found === undefined) throw new KeyfoldError("ERR_UNKNOWN_KEY");
    return found;
  }

  /** Puts a changed document in the place of the one that was read. @throws `ERR_KEYRING_CONFLICT`, or what else the store fails with */
  async save(text: string, expected: string | undefined, asker: Asker): Promise<string> {
    const { store, clock, deadline: patience } = this.settings;
    const signal = AbortSignal.any([...this.withClosing(asker).signals]);
    return storeCall({ clock, patience, timer: keepingTimer, signal }, () => store.save(text, expected));
  }

  /**
   * After a change of one's own was saved. A later one may have been read meanwhile; and where the keys were lost meanwhile,
   * the master keys are asked again before they are used.
   */
  adopt({ document, version, key }: VerifiedKeyring): void {
    const seen = this.#seen?.document;
    if (seen !== undefined && seen.sequence >= document.sequence) return;
    const isRekeyed = seen === undefined || !equalBytes(seen.id, document.id);
    if (this.#present(document) !== undefined || isRekeyed) this.#take(document, version, key);
    else this.#seen = { document, version };
  }

  /** Unwraps the keyring key of a document. @throws `ERR_KEYRING_INVALID` where it gives another id */
  async unwrap<K extends Identified>(
    document: KeyringDocument,
    imported: (bytes: Uint8Array) => K,
    asker: Asker,
  ): Promise<Unwrapped<K>> {
    const { clock, pins } = this.settings;
    const settings = {
      clock,
      unwrapWith: this.unwrapWith,
      kmsContexts: [this.contextOf(document.kmsContext)] as const,
      acceptUnauthenticatedWraps: pins !== undefined,
      unwrapBudget: NO_BUDGET,
    };
    const imports: Import<K> = {
      key: imported,
      mismatch: () => invalid("The unwrapped keyring key is not the one that the keyring names."),
    };
    try {
      return await new Unwrapping(settings, this.calls, imports).unwrap(document.id, document.wraps, asker);
    } catch (error) {
      throw ofKeyring(error, document, this.unwrapWith);
    }
  }

  /** The KMS context of the keyring key's wraps. */
  contextOf(own: EncryptionContext): EncryptionContext {
    return kmsContext(this.settings.project, "keyring", own);
  }

  /** The signals of an asker, and that of `close`. */
  withClosing(asker: Asker): Asker {
    return { ...asker, signals: [...asker.signals, this.#closing.signal] };
  }

  /** The keys, while they may be used; what is past its time is dropped here. */
  #usable(now: Instant): Loaded | undefined {
    const loaded = this.#loaded;
    if (loaded === undefined || loaded.freshness.isUsable(now)) return loaded;
    this.#drop(loaded.freshness.lastError ?? unconfirmed());
    return undefined;
  }

  /** The same, where they are those of this document's keyring. */
  #present(document: KeyringDocument): Loaded | undefined {
    const usable = this.#usable(instant(this.settings.clock));
    return usable !== undefined && equalBytes(usable.document.id, document.id) ? usable : undefined;
  }

  #known(name: string): LiveKdk | undefined {
    const found = this.find(name, instant(this.settings.clock));
    if (found === "destroyed") throw new KeyfoldError("ERR_KEY_DESTROYED");
    return found;
  }

  /** Each asker has a deadline of its own; where it passes, the error says what was last heard from the master keys. */
  #within<T>(asker: Asker, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const deadline = this.settings.deadline + GRACE_MS;
    return this.calls.within(this.unwrapWith, { ...this.withClosing(asker), deadline }, async (signal) => {
      try {
        return await work(signal);
      } catch (error) {
        throw this.unwrapWith.reduce((reason, one) => this.calls.explain(reason, one, signal), error);
      }
    });
  }

  /** One flight of a kind, however many want it. */
  #fly(kind: "obtain" | "reload", signal: AbortSignal, { background = false }: Asker): Promise<Loaded> {
    return this.#flights.join(kind, signal, (flight) => {
      const until = this.settings.clock.monotonic() + this.settings.deadline;
      const reading = this.#read(kind, { signals: [flight, this.#closing.signal], background, until });
      const end = () => undefined;
      if (kind === "reload") this.#underWay = reading.then(end, end);
      return reading;
    });
  }

  /** Whether a search brought anything new. It is not one caller's, so nobody's abort ends it. */
  async #readAgain(): Promise<boolean> {
    const before = this.#seen?.version;
    await this.reload({ signals: [], background: true });
    return this.#seen?.version !== before;
  }

  async #read(kind: "obtain" | "reload", reader: Reader): Promise<Loaded> {
    const started = keyrings.start();
    try {
      const last = this.#loaded;
      const loaded = await this.#readNow(kind, reader);
      this.#reads.succeeded();
      reportDocument(loaded === last ? "unchanged" : "loaded", started, loaded.document);
      return loaded;
    } catch (error) {
      this.#reads.failed();
      keyrings.report(() => ({ event: "failed", ms: since(started), ...codeOf(error) }));
      throw error;
    }
  }

  /** Once more where a change of one's own overtook the reading, so that it gave what is not there any more. */
  async #readNow(kind: "obtain" | "reload", reader: Reader): Promise<Loaded> {
    for (;;) {
      const seen = this.#seen;
      try {
        return await this.#verified(await this.#stored(kind, reader), reader);
      } catch (error) {
        if (this.#seen === seen || !isRefusal(error)) throw error;
      }
    }
  }

  async #stored(kind: "obtain" | "reload", { signals }: Reader): Promise<StoredKeyring | SeenKeyring> {
    try {
      return await this.#reads.load(AbortSignal.any([...signals]));
    } catch (error) {
      if (kind === "obtain" && this.#seen !== undefined && isStoreOutage(error)) return this.#seen;
      throw error;
    }
  }

  async #verified(stored: StoredKeyring | SeenKeyring, reader: Reader): Promise<Loaded> {
    const usable = this.#usable(instant(this.settings.clock));
    if (usable?.version === stored.version) return usable;
    const document = "document" in stored ? stored.document : parseKeyring(stored.text);
    if (document.project !== this.settings.project) throw invalid("The keyring is of another project.");
    this.#requireSameKeyring(document);
    const deadline = Math.max(1, reader.until - this.settings.clock.monotonic());
    const key = this.#present(document)?.key ?? (await this.#unwrapped(document, { ...reader, deadline }));
    for (const signal of reader.signals) signal.throwIfAborted();
    this.#requirePinned(document);
    requireMac(key, document);
    this.#requireProgress(document);
    return this.#take(document, stored.version, key);
  }

  async #unwrapped(document: KeyringDocument, asker: Asker): Promise<KeyringKey> {
    const { encodedProject } = this.settings;
    const { key } = await this.unwrap(document, (bytes) => importKeyringKey(bytes, encodedProject), asker);
    return key;
  }

  /** A running reader stays with the keyring that it has seen, unless it was told of another one. */
  #requireSameKeyring({ id }: KeyringDocument): void {
    const seen = this.#seen?.document;
    if (seen === undefined || this.settings.pins !== undefined || equalBytes(seen.id, id)) return;
    if (this.#ownIds.has(toLatin1(id))) return;
    throw invalid("Another keyring stands in the place of the one that was read before.");
  }

  #requirePinned({ id }: KeyringDocument): void {
    const { pins } = this.settings;
    const name = toLatin1(id);
    if (pins === undefined || pins.has(name) || this.#ownIds.has(name)) return;
    throw invalid("The keyring is not the pinned one.");
  }

  /** An older document is refused, and so is another one of the same sequence. */
  #requireProgress(document: KeyringDocument): void {
    const seen = this.#seen?.document;
    if (seen === undefined || document.sequence > seen.sequence) return;
    if (document.sequence === seen.sequence && equalBytes(document.mac, seen.mac)) return;
    throw new KeyfoldError("ERR_KEYRING_ROLLBACK");
  }

  /** Puts a document that was found right in the place of the last. Waits for nothing, so nothing comes in between. */
  #take(document: KeyringDocument, version: string, key: KeyringKey): Loaded {
    const present = this.#present(document);
    const freshness = present?.freshness ?? new Freshness(this.settings.clock, this.settings);
    const loaded = this.#keysOf(document, version, present?.key ?? key, freshness);
    this.#replace(loaded);
    return loaded;
  }

  #keysOf(document: KeyringDocument, version: string, key: KeyringKey, freshness: Freshness): Loaded {
    const active = document.keys.filter(({ state }) => state === "active");
    if (active.length !== 1) throw invalid(`The keyring has ${active.length} active keys, and not one.`);
    const kdks = new Map<string, LiveKdk | "destroyed">();
    for (const entry of document.keys) {
      const name = toLatin1(entry.id);
      kdks.set(name, entry.state === "destroyed" ? "destroyed" : this.#live(key, entry, freshness));
    }
    const sealing = kdks.get(toLatin1(active[0]?.id ?? new Uint8Array()));
    if (sealing === undefined || sealing === "destroyed") throw invalid("The active key has no KDK.");
    return { document, version, key, freshness, active: sealing, kdks };
  }

  /** The KDK that is in memory already, or one that is opened now. */
  #live(key: KeyringKey, entry: KeyringDocument["keys"][number], freshness: Freshness): LiveKdk {
    const known = this.#loaded?.kdks.get(toLatin1(entry.id));
    if (known !== undefined && known !== "destroyed" && known.freshness === freshness) return known;
    return {
      kdk: openKdk(key, entry),
      freshness,
      wraps: [],
      proven: true,
      visited: false,
      keepFresh: (now) => this.#keepFresh(now),
    };
  }

  #replace(loaded: Loaded): void {
    const last = this.#loaded;
    this.#loaded = loaded;
    this.#seen = { document: loaded.document, version: loaded.version };
    this.#loss = undefined;
    this.#sweepLater();
    if (last === undefined) return;
    if (last.freshness !== loaded.freshness || hasLostAny(last, loaded)) this.#tell(last.freshness);
  }

  #drop(loss: KeyfoldError | undefined): void {
    const loaded = this.#loaded;
    this.#loaded = undefined;
    this.#loss = loss;
    if (loaded === undefined) return;
    const age = loaded.freshness.age(instant(this.settings.clock));
    if (loss !== undefined) reportKey("dropped", loaded.document.id, age, loss);
    this.#tell(loaded.freshness);
  }

  #tell(freshness: Freshness): void {
    for (const reference of this.#dependents) {
      const dependent = reference.deref();
      if (dependent === undefined) this.#dependents.delete(reference);
      else dependent.forget(freshness);
    }
  }

  #keepFresh(now: Instant): void {
    const { freshness } = this.#loaded ?? {};
    if (freshness?.beginRefresh(now)) this.#refreshLater(freshness);
    else if (this.#reads.isDue(now)) this.#reloadLater();
  }

  /** In the background: whether a master key still gives the keyring key. */
  #refreshLater(freshness: Freshness): void {
    const now = () => instant(this.settings.clock);
    const { id } = this.#loaded?.document ?? {};
    this.#refresh(freshness).then(
      () => {
        if (id !== undefined) reportKey("confirmed", id, freshness.age(now()));
        freshness.confirm();
      },
      (error) => {
        if (id !== undefined) reportKey("unconfirmed", id, freshness.age(now()), error);
        freshness.fail(asKeyfoldError(error));
        this.#usable(now());
      },
    );
  }

  /** By the wraps that stand in the store now: a master key that was removed, and disabled then, says nothing any more. */
  async #refresh(freshness: Freshness): Promise<void> {
    const asker = { signals: [], background: true };
    await this.reload(asker).catch(asKeyfoldError);
    const loaded = this.#loaded;
    if (loaded?.freshness === freshness) await this.#unwrapped(loaded.document, this.withClosing(asker));
  }

  /** The store says that something was saved, be it by this process. */
  #noticed(): void {
    if (this.closed) return;
    this.#changed = this.#reloading;
    this.#reloadLater();
  }

  /** In the background, once at a time. A failure is noted where it happens, and shows at the next read in the foreground. */
  #reloadLater(): void {
    if (this.#reloading) return;
    this.#reloading = true;
    const end = () => {
      this.#reloading = false;
      if (!this.#changed) return;
      this.#changed = false;
      this.#reloadLater();
    };
    this.reload({ signals: [], background: true }).then(end, end);
  }

  #sweepLater(): void {
    this.#sweep ??= sweepLater(this, this.settings, (keys) => keys.#sweepNow());
  }

  #sweepNow(): void {
    this.#sweep = undefined;
    if (this.#usable(instant(this.settings.clock)) !== undefined) this.#sweepLater();
  }
}

/** What is told of a document that was read or saved. */
export function reportDocument(
  event: KeyringMessage["event"],
  started: number,
  { sequence, keys }: Pick<KeyringDocument, "sequence" | "keys">,
): void {
  keyrings.report(() => ({ event, ms: since(started), sequence, keys: keys.length }));
}

/** Whether a KDK that was there is not any more. */
function hasLostAny(last: Loaded, loaded: Loaded): boolean {
  return [...last.kdks].some(([name, live]) => live !== "destroyed" && loaded.kdks.get(name) !== live);
}

/** Whether a document was read, and found wrong. */
function isRefusal(error: unknown): boolean {
  const { code } = asKeyfoldError(error);
  return code === "ERR_KEYRING_ROLLBACK" || code === "ERR_KEYRING_INVALID";
}

function invalid(detail: string): KeyfoldError {
  return new KeyfoldError("ERR_KEYRING_INVALID", detail);
}

function unconfirmed(): KeyfoldError {
  return new KeyfoldError(
    "ERR_MASTER_KEY_UNAVAILABLE",
    "The keyring key was not confirmed within expireAfter.",
  );
}

/** What unwrapping fails with speaks of envelopes; here it is about a keyring. */
function ofKeyring(
  error: unknown,
  { wraps }: KeyringDocument,
  providers: readonly MasterKeyProvider[],
): unknown {
  if (!(error instanceof KeyfoldError)) return error;
  if (error.code === "ERR_UNAUTHENTICATED_WRAP") {
    return new KeyfoldError(
      error.code,
      "Anyone with the master key's public key could have made this keyring.",
      {
        cause: error,
        remedy: "Pin its id: pass what createKeyring returned, or show() gives, as pin.",
      },
    );
  }
  if (error.code === "ERR_NO_USABLE_WRAP") {
    const wrapped = wraps.map(({ masterKey }) => masterKey).join(", ");
    const configured = providers.map(({ name }) => name).join(", ");
    return new KeyfoldError(
      error.code,
      `The keyring is wrapped under ${wrapped}; configured to open: ${configured}.`,
      { remedy: "Configure one of the former, or have one of the latter added with addMasterKey." },
    );
  }
  const attempts = error.attempts ?? [];
  const [first] = attempts;
  const isUnanimous = attempts.every((attempt) => attempt.error.code === "ERR_KEYRING_INVALID");
  return first !== undefined && isUnanimous ? first.error : error;
}
