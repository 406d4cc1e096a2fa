/**
 * What keyfold does, for whoever listens on Node's `diagnostics_channel`. Costs nothing while nobody does. No message holds a
 * key, a plaintext, an encryption context or a name in clear: docs/telemetry.md lists them.
 */

import { createHash } from "node:crypto";
import { type Channel, channel } from "node:diagnostics_channel";
import type { KeyfoldErrorCode } from "./errors.ts";
import { asKeyfoldError } from "./retries.ts";

/** Bytes of a digest that stand for a key's name. */
const DIGEST_BYTES = 9;

/** Of `keyfold:seal` and `keyfold:open`: one for each whole secret that was asked for with valid arguments; streams, ranges and fields have none. */
export interface SecretMessage {
  /** Milliseconds from the call to its result. */
  readonly ms: number;
  /** Bytes of plaintext; 0 where it failed. */
  readonly bytes: number;
  /** Whether the key was in memory, so that nothing was waited for. */
  readonly hit: boolean;
  /** Why it failed. */
  readonly code?: KeyfoldErrorCode;
}

/** Of `keyfold:wrap` and `keyfold:unwrap`: one for each request to a master key, retries included. */
export interface RequestMessage {
  /** Milliseconds until the answer, or until nobody waited any more. */
  readonly ms: number;
  /** Stands for the master key: base64url of 9 bytes of SHA-256 over the provider's name. */
  readonly masterKey: string;
  readonly code?: KeyfoldErrorCode;
}

/** Of `keyfold:cache`: what becomes of the keys in memory. */
export interface CacheMessage {
  /** A KDK came in, was confirmed by its master key, could not be confirmed, or is gone. */
  readonly event: "added" | "confirmed" | "unconfirmed" | "dropped";
  /** Stands for the KDK, or for the keyring key: base64url of 9 bytes of SHA-256 over its id. */
  readonly key: string;
  /** Milliseconds since a master key last gave it. */
  readonly age: number;
  readonly code?: KeyfoldErrorCode;
}

/** Of `keyfold:keyring`: what becomes of the document. */
export interface KeyringMessage {
  /** It was read and is new, was read and is as before, was changed here, was changed by another meanwhile, or failed. */
  readonly event: "loaded" | "unchanged" | "saved" | "conflict" | "failed";
  /** Milliseconds that it took. */
  readonly ms: number;
  readonly sequence?: number;
  /** How many keys it holds, tombstones included. */
  readonly keys?: number;
  readonly code?: KeyfoldErrorCode;
}

/** Channel → message. */
export interface KeyfoldMessages {
  readonly "keyfold:seal": SecretMessage;
  readonly "keyfold:open": SecretMessage;
  readonly "keyfold:wrap": RequestMessage;
  readonly "keyfold:unwrap": RequestMessage;
  readonly "keyfold:cache": CacheMessage;
  readonly "keyfold:keyring": KeyringMessage;
}

/** One channel, with the type of what it carries. */
export class Reports<Message extends object> {
  readonly #channel: Channel;

  constructor(name: keyof KeyfoldMessages) {
    this.#channel = channel(name);
  }

  /** Milliseconds of a clock that never goes back, or NaN where nobody listens. */
  start(): number {
    return this.#channel.hasSubscribers ? performance.now() : Number.NaN;
  }

  /** Publishes what `message` makes, where somebody listens. */
  report(message: () => Message): void {
    if (this.#channel.hasSubscribers) this.#channel.publish(message());
  }
}

export const seals: Reports<SecretMessage> = new Reports("keyfold:seal");
export const opens: Reports<SecretMessage> = new Reports("keyfold:open");
export const wraps: Reports<RequestMessage> = new Reports("keyfold:wrap");
export const unwraps: Reports<RequestMessage> = new Reports("keyfold:unwrap");
export const cache: Reports<CacheMessage> = new Reports("keyfold:cache");
export const keyrings: Reports<KeyringMessage> = new Reports("keyfold:keyring");

/** Milliseconds since {@link Reports.start}; 0 for one whose start nobody listened to. */
export function since(started: number): number {
  return Number.isNaN(started) ? 0 : performance.now() - started;
}

/** The code of what was thrown, as a part of a message. */
export function codeOf(error: unknown): { readonly code: KeyfoldErrorCode } {
  return { code: asKeyfoldError(error).code };
}

/** @param age milliseconds since a master key last gave the key of this id */
export function reportKey(event: CacheMessage["event"], id: Uint8Array, age: number, error?: unknown): void {
  cache.report(() => ({
    event,
    key: digestOf(id),
    age,
    ...(error === undefined ? {} : codeOf(error)),
  }));
}

/** What stands for a name or an id in a message. */
export function digestOf(name: string | Uint8Array): string {
  return createHash("sha256").update(name).digest().subarray(0, DIGEST_BYTES).toString("base64url");
}
