/**
 * The keys that are in memory: the KDK that seals, the KDKs that open, the KEKs under them; how long they may stay, and
 * what brings them in. docs/spec/envelope-v1.md, "Keys"; nothing here holds a plain key for longer than a function runs.
 */

import { type Bytes, copyOf } from "./bytes.ts";
import { elapsed, type Instant, instant } from "./clock.ts";
import { type EnvelopeHeader, encodeHeaderPrefix, SALT_BYTES } from "./envelope.ts";
import { KeyfoldError, type KeyfoldErrorCode } from "./errors.ts";
import { Flights } from "./flights.ts";
import { backgroundBackoff, Freshness, sweepLater } from "./freshness.ts";
import type { SecretKey } from "./hkdf.ts";
import { deriveKek, importKdk, type Kdk, KEY_BYTES, openDek } from "./key-hierarchy.ts";
import type { KeyringKeys } from "./keyring-keys.ts";
import type { LiveKdk } from "./live-kdk.ts";
import type { WrappedKey } from "./master-key.ts";
import type { Settings } from "./options.ts";
import { type Asker, type CallCounts, ProviderCalls } from "./provider-calls.ts";
import { randomBytes } from "./random.ts";
import { asKeyfoldError } from "./retries.ts";
import type { SealingKey } from "./sealing.ts";
import { Sieve, type Sieved } from "./sieve.ts";
import { reportKey } from "./telemetry.ts";
import { Unwrapping } from "./unwrapping.ts";
import { wrapKey } from "./wrapping.ts";

/** How many envelopes one KEK may seal: their random 96-bit nonces then repeat with a chance of at most 2^-37 (NIST SP 800-38D section 8.3). */
const MOST_UNDER_ONE_KEK = 2 ** 30;
const HOUR_MS = 3_600_000;

/** What a keyring that may still be right answers for a KDK that is not its own: it has none of that id, or cannot look. */
const KEYRING_SILENT: ReadonlySet<KeyfoldErrorCode> = new Set([
  "ERR_UNKNOWN_KEY",
  "ERR_KEYRING_UNAVAILABLE",
  "ERR_IO",
]);

/** A division of the project: its name, and `lp(name)`. */
export interface Scope {
  readonly name: string;
  readonly encoded: Bytes;
}

/** A KEK that has opened a DEK. */
interface OpeningKek extends Sieved {
  readonly kek: SecretKey;
  readonly live: LiveKdk;
}

/** A KEK that seals, and how much it has. */
interface SealingKek extends Sieved, SealingKey {
  readonly since: Instant;
  sealed: number;
}

/** The KDK that seals, and its KEKs by scope. */
interface Sealer {
  readonly live: LiveKdk;
  readonly since: Instant;
  readonly keks: Sieve<SealingKek>;
}

/** When a successor is to be made; shared by the tries of one sealer. */
interface Renewal {
  running: boolean;
  failures: number;
  notBefore: number;
}

export class KeyCache {
  readonly #settings: Settings;
  readonly #keyring: KeyringKeys | undefined;
  readonly #calls: ProviderCalls;
  readonly #unwrapping: Unwrapping<Kdk>;
  readonly #sealerFlight = new Flights<Sealer>();
  readonly #closing = new AbortController();
  readonly #kdks: Sieve<LiveKdk>;
  readonly #keks: Sieve<OpeningKek>;
  /** Why a KDK is not in memory any more, for whoever asks synchronously. */
  readonly #losses: Sieve<Sieved & { readonly error: KeyfoldError }>;
  #sealer: Sealer | undefined;
  #sealerLoss: KeyfoldError | undefined;
  #sweep: unknown;
  #renewal: Renewal = { running: false, failures: 0, notBefore: Number.NEGATIVE_INFINITY };

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#keyring = settings.keyring;
    this.#keyring?.attach(this);
    this.#calls = new ProviderCalls(settings.clock, settings.deadline);
    this.#unwrapping = new Unwrapping(settings, this.#calls, {
      key: (bytes) => importKdk(bytes, settings.project),
      mismatch: () => new KeyfoldError("ERR_KEY_MISMATCH"),
    });
    this.#kdks = new Sieve(settings.maxKeys);
    this.#keks = new Sieve(settings.maxKeys);
    this.#losses = new Sieve(settings.maxKeys);
  }

  /** Those that the keyring made for all its keyfolds count here too. */
  get calls(): Readonly<CallCounts> {
    const { wrap, unwrap } = this.#calls.counts;
    const { wrap: keyringWrap = 0, unwrap: keyringUnwrap = 0 } = this.#keyring?.calls.counts ?? {};
    return { wrap: wrap + keyringWrap, unwrap: unwrap + keyringUnwrap };
  }

  /** KDKs and opening KEKs in memory. The KDK that seals is one beside the `maxKeys` that open, and those of a keyring are too. */
  get sizes(): { readonly kdks: number; readonly keks: number } {
    const sealing = this.#keyring?.size ?? (this.#sealer === undefined ? 0 : 1);
    return { kdks: this.#kdks.size + sealing, keks: this.#keks.size };
  }

  get closed(): boolean {
    return this.#closing.signal.aborted || this.#keyring?.closed === true;
  }

  /** For the keyring: its keys are lost, and so is all that was derived from them. */
  forget(freshness: Freshness): void {
    this.#keks.deleteWhere(({ live }) => live.freshness === freshness);
    if (this.#sealer?.live.freshness === freshness) this.#sealer = undefined;
  }

  /** Forgets every key and ends what is under way with `ERR_CLOSED`. */
  close(): void {
    this.#closing.abort(new KeyfoldError("ERR_CLOSED"));
    this.#settings.clock.clearTimeout(this.#sweep);
    this.#sealer = undefined;
    this.#kdks.clear();
    this.#keks.clear();
  }

  // Sealing

  /** The key that seals in a scope now, or undefined where no KDK that may seal is in memory. Counts as one use. */
  sealingKey(scope: Scope): SealingKey | undefined {
    const now = instant(this.#settings.clock);
    const sealer = this.#currentSealer(now);
    if (sealer === undefined) return undefined;
    sealer.live.keepFresh(now);
    if (this.#keyring === undefined && elapsed(sealer.since, now) > this.#renewAfter) this.#renew(now);
    return this.#kekOf(sealer, scope, now);
  }

  /** As {@link sealingKey}, and makes a KDK where there is none. */
  async obtainSealingKey(scope: Scope, asker: Asker): Promise<SealingKey> {
    const sealer = this.#currentSealer(instant(this.#settings.clock)) ?? (await this.#obtainSealer(asker));
    this.#closing.signal.throwIfAborted();
    return this.#kekOf(sealer, scope, instant(this.#settings.clock));
  }

  /**
   * Whether an envelope's key header is another than would be made now: with a keyring, under another KDK than the active one
   * or with wraps embedded; without, under other master keys. Undefined where no sealing KDK is in memory.
   */
  isOutdated({ kdkName, wraps }: EnvelopeHeader): boolean | undefined {
    const live = this.#currentSealer(instant(this.#settings.clock))?.live;
    if (live === undefined) return undefined;
    if (this.#keyring !== undefined) return wraps.length > 0 || live.kdk.name !== kdkName;
    const present = new Set(wraps.map(({ masterKey }) => masterKey));
    return present.size !== live.wraps.length || !live.wraps.every(({ masterKey }) => present.has(masterKey));
  }

  /** Why there is no sealing KDK in memory, where one was lost. */
  get sealerLoss(): KeyfoldError | undefined {
    return this.#sealerLoss ?? this.#keyring?.loss;
  }

  #currentSealer(now: Instant): Sealer | undefined {
    if (this.#keyring !== undefined) return this.#sealerOf(this.#keyring.active(now), now);
    const sealer = this.#sealer;
    if (sealer === undefined) return undefined;
    if (!sealer.live.freshness.isUsable(now)) {
      this.#lose(sealer.live);
      return undefined;
    }
    if (elapsed(sealer.since, now) < this.#settings.kdkLifetime) return sealer;
    this.#sealer = undefined;
    this.#kdks.set(sealer.live.kdk.name, sealer.live);
    return undefined;
  }

  /** The sealer over a keyring's active KDK; another one after a rotation. */
  #sealerOf(active: LiveKdk | undefined, now: Instant): Sealer | undefined {
    if (active === undefined || this.#sealer?.live === active) return active && this.#sealer;
    this.#sealer = { live: active, since: now, keks: new Sieve<SealingKek>(this.#settings.maxKeys) };
    return this.#sealer;
  }

  async #obtainSealer(asker: Asker): Promise<Sealer> {
    if (this.#keyring === undefined) return this.#createSealer(asker);
    await this.#keyring.obtain(this.#withClosing(asker));
    const sealer = this.#currentSealer(instant(this.#settings.clock));
    if (sealer === undefined) throw new KeyfoldError("ERR_NOT_READY");
    return sealer;
  }

  #kekOf(sealer: Sealer, scope: Scope, now: Instant): SealingKek {
    const current = sealer.keks.get(scope.name);
    const spent =
      current === undefined ||
      current.sealed >= MOST_UNDER_ONE_KEK ||
      elapsed(current.since, now) >= this.#settings.kekLifetime;
    const kek = spent ? createSealingKek(sealer.live, scope, now) : current;
    if (spent) sealer.keks.set(scope.name, kek);
    kek.sealed++;
    return kek;
  }

  /** One flight, however many callers need a KDK; each has its own deadline. */
  #createSealer(asker: Asker): Promise<Sealer> {
    const { wrapWith } = this.#settings;
    return this.#calls.within(wrapWith, this.#withClosing(asker), async (signal) => {
      try {
        return await this.#sealerFlight.join("sealer", signal, (flight) => this.#makeSealer(flight));
      } catch (error) {
        throw wrapWith.reduce((reason, provider) => this.#calls.explain(reason, provider, signal), error);
      }
    });
  }

  async #makeSealer(signal: AbortSignal): Promise<Sealer> {
    const key = randomBytes(KEY_BYTES);
    try {
      const wraps = await wrapKey(key, this.#settings, this.#calls, signal);
      signal.throwIfAborted();
      const live = this.#live(importKdk(key, this.#settings.project), wraps, true);
      const sealer = {
        live,
        since: instant(this.#settings.clock),
        keks: new Sieve<SealingKek>(this.#settings.maxKeys),
      };
      this.#succeed(sealer);
      return sealer;
    } finally {
      key.fill(0);
    }
  }

  /** The last sealer's KDK goes on opening what it sealed. */
  #succeed(sealer: Sealer): void {
    const last = this.#sealer;
    if (last !== undefined) this.#kdks.set(last.live.kdk.name, last.live);
    this.#sealer = sealer;
    this.#sealerLoss = undefined;
    this.#renewal = { running: false, failures: 0, notBefore: Number.NEGATIVE_INFINITY };
  }

  /** The age at which the successor is made: an hour before the end, or half-way where the whole life is short. */
  get #renewAfter(): number {
    const { kdkLifetime } = this.#settings;
    return kdkLifetime - Math.min(HOUR_MS, kdkLifetime / 2);
  }

  #renew(now: Instant): void {
    const renewal = this.#renewal;
    if (renewal.running || now.monotonic < renewal.notBefore) return;
    renewal.running = true;
    this.#createSealer({ signals: [], background: true }).catch(() => {
      renewal.running = false;
      renewal.notBefore = this.#settings.clock.monotonic() + backgroundBackoff(++renewal.failures);
    });
  }

  // Opening

  /**
   * The DEK of an envelope whose KDK is in memory, or undefined where it is not.
   *
   * @returns 32 bytes, the caller's to wipe
   * @throws `ERR_HEADER_REJECTED`
   */
  openDek(header: EnvelopeHeader, scope: Scope): Uint8Array | undefined {
    const now = instant(this.#settings.clock);
    const live = this.#find(header.kdkName, now);
    if (live === undefined) return undefined;
    live.keepFresh(now);
    return this.#openDekUnder(live, header, scope);
  }

  /** As {@link openDek}, and unwraps the KDK where it is not in memory. */
  async obtainDek(header: EnvelopeHeader, scope: Scope, asker: Asker): Promise<Uint8Array> {
    const live = await this.#obtain(header, asker);
    this.#closing.signal.throwIfAborted();
    return this.#openDekUnder(live, header, scope);
  }

  /** Brings the KDK of an envelope into memory, unwrapping it where it is not there. */
  async admit(header: EnvelopeHeader, asker: Asker): Promise<void> {
    if (this.#find(header.kdkName, instant(this.#settings.clock)) === undefined)
      await this.#obtain(header, asker);
  }

  /** Why the KDK of an envelope is not in memory, where it was. */
  lossOf(header: EnvelopeHeader): KeyfoldError | undefined {
    const loss = this.#losses.get(header.kdkName)?.error;
    if (loss !== undefined || this.#keyring === undefined) return loss;
    const now = instant(this.#settings.clock);
    return this.#keyring.isReady(now) ? new KeyfoldError("ERR_UNKNOWN_KEY") : this.#keyring.loss;
  }

  #find(name: string, now: Instant): LiveKdk | undefined {
    const inKeyring = this.#keyring?.find(name, now);
    if (inKeyring === "destroyed") throw new KeyfoldError("ERR_KEY_DESTROYED");
    return inKeyring ?? this.#findEmbedded(name, now);
  }

  #findEmbedded(name: string, now: Instant): LiveKdk | undefined {
    const sealing = this.#sealer?.live;
    const live = sealing?.kdk.name === name ? sealing : this.#kdks.get(name);
    if (live === undefined || live.freshness.isUsable(now)) return live;
    this.#lose(live);
    return undefined;
  }

  #openDekUnder(live: LiveKdk, header: EnvelopeHeader, scope: Scope): Uint8Array {
    const name = header.kekName + scope.name;
    const known = this.#keks.get(name);
    const kek = known?.live === live ? known.kek : deriveKek(live.kdk, header.salt, scope.encoded);
    const dek = openDek(kek, header);
    if (known?.live !== live) this.#keks.set(name, { kek, live, visited: false });
    if (!live.proven && header.wraps.length > 0) {
      live.wraps = header.wraps.map(({ masterKey, ciphertext }) => ({
        masterKey,
        ciphertext: copyOf(ciphertext),
      }));
      live.proven = true;
    }
    return dek;
  }

  async #obtain(header: EnvelopeHeader, asker: Asker): Promise<LiveKdk> {
    if (this.#keyring === undefined) return this.#unwrap(header, asker);
    try {
      return await this.#keyring.lookUp(header.kdkName, this.#withClosing(asker));
    } catch (error) {
      const isSilent = KEYRING_SILENT.has(asKeyfoldError(error).code);
      if (!isSilent || !this.#settings.acceptEmbedded || header.wraps.length === 0) throw error;
      return this.#unwrap(header, asker);
    }
  }

  async #unwrap(header: EnvelopeHeader, asker: Asker): Promise<LiveKdk> {
    const { key: kdk, wrap } = await this.#unwrapping.unwrap(
      header.kdkId,
      header.wraps,
      this.#withClosing(asker),
    );
    this.#closing.signal.throwIfAborted();
    const known = this.#findEmbedded(kdk.name, instant(this.#settings.clock));
    if (known !== undefined) return known;
    const live = this.#live(kdk, [wrap], false);
    this.#kdks.set(kdk.name, live);
    this.#losses.delete(kdk.name);
    return live;
  }

  #lose(live: LiveKdk): void {
    const error =
      live.freshness.lastError ??
      new KeyfoldError("ERR_MASTER_KEY_UNAVAILABLE", "The key was not confirmed within expireAfter.");
    reportKey("dropped", live.kdk.id, live.freshness.age(instant(this.#settings.clock)), error);
    this.#losses.set(live.kdk.name, { error, visited: false });
    this.#kdks.delete(live.kdk.name);
    this.#keks.deleteWhere((kek) => kek.live === live);
    if (this.#sealer?.live !== live) return;
    this.#sealer = undefined;
    this.#sealerLoss = error;
  }

  #live(kdk: Kdk, wraps: readonly WrappedKey[], proven: boolean): LiveKdk {
    this.#sweepLater();
    const freshness = new Freshness(this.#settings.clock, this.#settings);
    const live: LiveKdk = {
      kdk,
      wraps,
      proven,
      freshness,
      visited: false,
      keepFresh: (now) => this.#keepFresh(live, now),
    };
    reportKey("added", kdk.id, 0);
    return live;
  }

  // Keeping

  /** Past `refreshAfter`: asks the KMS again, in the background, whether the key may still be used. */
  #keepFresh(live: LiveKdk, now: Instant): void {
    if (!live.freshness.beginRefresh(now)) return;
    this.#refresh(live).then(
      () => {
        reportKey("confirmed", live.kdk.id, live.freshness.age(instant(this.#settings.clock)));
        live.freshness.confirm();
      },
      (error) => {
        reportKey("unconfirmed", live.kdk.id, live.freshness.age(instant(this.#settings.clock)), error);
        live.freshness.fail(asKeyfoldError(error));
        if (!live.freshness.isUsable(instant(this.#settings.clock))) this.#lose(live);
      },
    );
  }

  /** A program that may not unwrap is told by the wrap of a new KDK whether it still may seal. */
  async #refresh(live: LiveKdk): Promise<void> {
    const asker = { signals: [], background: true };
    if (this.#settings.sealOnly) await this.#createSealer(asker);
    else await this.#unwrapping.unwrap(live.kdk.id, live.wraps, this.#withClosing(asker));
  }

  #sweepLater(): void {
    this.#sweep ??= sweepLater(this, this.#settings, (cache) => cache.#sweepNow());
  }

  #sweepNow(): void {
    this.#sweep = undefined;
    const now = instant(this.#settings.clock);
    const expired = (live: LiveKdk) => !live.freshness.isUsable(now);
    const kdks = [...this.#kdks.values(), ...(this.#sealer === undefined ? [] : [this.#sealer.live])];
    for (const live of kdks.filter(expired)) this.#lose(live);
    this.#keks.deleteWhere(({ live }) => expired(live));
    if (this.#sealer !== undefined || this.#kdks.size + this.#keks.size > 0) this.#sweepLater();
  }

  #withClosing(asker: Asker): Asker {
    return { ...asker, signals: [...asker.signals, this.#closing.signal] };
  }
}

function createSealingKek({ kdk, wraps }: LiveKdk, scope: Scope, now: Instant): SealingKek {
  const salt = randomBytes(SALT_BYTES);
  const prefix = encodeHeaderPrefix({ kdkId: kdk.id, salt, wraps });
  return { kek: deriveKek(kdk, salt, scope.encoded), prefix, since: now, sealed: 0, visited: false };
}
