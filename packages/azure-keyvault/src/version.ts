/** Which version of the key wraps now: asked of the service, and asked again after a while. */

import { Turns } from "./turns.ts";

/** Milliseconds of any clock. */
export type Clock = () => number;

/** How long a rotation may go unnoticed. A process wraps about once a day, so nearly every wrap asks. */
export const RESOLVE_AFTER_MS: number = 5 * 60_000;

interface Resolved {
  readonly version: string;
  readonly at: number;
}

export class CurrentVersion {
  readonly #resolve: (signal: AbortSignal) => Promise<string>;
  readonly #now: Clock;
  readonly #turns = new Turns();
  #resolved: Resolved | undefined;

  /** @param resolve asks the service for the newest version */
  constructor(resolve: (signal: AbortSignal) => Promise<string>, now: Clock) {
    this.#resolve = resolve;
    this.#now = now;
  }

  /** The version, asked for once however many wait. A caller's signal ends its own wait and no other's. */
  async get(signal: AbortSignal): Promise<string> {
    return this.#known() ?? this.#turns.run(async () => this.#known() ?? this.#ask(signal), signal);
  }

  /** Asks anew next time: that version was refused, and there may be a newer one. */
  forget(version: string): void {
    if (this.#resolved?.version === version) this.#resolved = undefined;
  }

  #known(): string | undefined {
    if (this.#resolved === undefined) return undefined;
    // A wall clock, which counts a laptop's sleep, may be set back: then the age means nothing.
    const age = this.#now() - this.#resolved.at;
    return age >= 0 && age < RESOLVE_AFTER_MS ? this.#resolved.version : undefined;
  }

  async #ask(signal: AbortSignal): Promise<string> {
    const at = this.#now();
    const version = await this.#resolve(signal);
    this.#resolved = { version, at };
    return version;
  }
}
