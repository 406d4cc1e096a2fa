/**
 * What every operation of a keyfold begins with: its arguments are checked, its keys obtained, and its caller's signal
 * heeded. Sealing and opening themselves are elsewhere.
 */

import { isUint8Array } from "node:util/types";
import type { Bytes } from "./bytes.ts";
import { asker, type OperationOptions, settle } from "./callers.ts";
import { plaintextBytes } from "./cobblestone.ts";
import { type EncryptionContext, encodeApplicationContext } from "./context.ts";
import { decodeHeader, decodeText, type EnvelopeHeader } from "./envelope.ts";
import { KeyfoldError, requireArgument } from "./errors.ts";
import type { KeyCache, Scope } from "./key-cache.ts";
import { encodeName } from "./key-hierarchy.ts";
import type { Settings } from "./options.ts";
import type { SealingKey } from "./sealing.ts";

/** A sealed secret: its bytes, or its text form "kf1.…". */
export type Envelope = string | Uint8Array;

/** A sealed secret in two parts, for a store that keeps them apart: joined, they are the envelope's bytes. */
export interface DetachedEnvelope {
  /** The key header, and nothing after it: what `rewrap` makes anew. */
  readonly header: Uint8Array;
  /** The message, which no rotation changes. */
  readonly message: Uint8Array;
}

/** What a keyfold has in common with those that `scoped` made of it. */
export interface Shared {
  readonly settings: Settings;
  readonly keys: KeyCache;
  readonly counts: { seals: number; opens: number; rewraps: number };
}

/** An envelope whose header is well-formed. */
export interface Admitted {
  readonly header: EnvelopeHeader;
  readonly message: Uint8Array;
}

/** One keyfold's keys in one scope, as its operations see them. */
export class Operations {
  readonly shared: Shared;
  readonly keys: KeyCache;
  readonly scope: Scope;

  constructor(shared: Shared, scope: string) {
    this.shared = shared;
    this.keys = shared.keys;
    this.scope = { name: scope, encoded: encodeName("scope", scope) };
  }

  /** The encoded encryption context. */
  contextOf(context: EncryptionContext): Bytes {
    return encodeApplicationContext(context, this.shared.settings.requireContext);
  }

  requireOpen(): void {
    if (this.keys.closed) throw new KeyfoldError("ERR_CLOSED");
  }

  requireMasterKeys(): void {
    this.requireOpen();
    const { keyring, wrapWith } = this.shared.settings;
    if (keyring !== undefined || wrapWith.length > 0) return;
    throw new KeyfoldError(
      "ERR_NOT_CONFIGURED",
      "This keyfold was made without masterKeys, so it seals nothing.",
    );
  }

  requireMayOpen(): void {
    this.requireOpen();
    if (!this.shared.settings.sealOnly) return;
    throw new KeyfoldError("ERR_NOT_CONFIGURED", "This keyfold was made with sealOnly, so it opens nothing.");
  }

  /**
   * An envelope that is worth asking for a key: its header is well-formed, and its length is one that a message has.
   *
   * @throws as `decodeHeader`, and `ERR_MESSAGE_TRUNCATED`
   */
  admit(envelope: Envelope | DetachedEnvelope): Admitted {
    this.requireMayOpen();
    const admitted = isDetached(envelope) ? joined(envelope) : parted(bytesOf(envelope));
    plaintextBytes(admitted.message.length);
    return admitted;
  }

  /** A header alone, of a detached envelope or a stored file. @throws as `decodeHeader` */
  admitHeader(bytes: Uint8Array): EnvelopeHeader {
    this.requireMayOpen();
    return wholeHeader(bytes);
  }

  /** The key that seals, from memory or made now. Counts as one use. */
  async sealingKey(options?: OperationOptions): Promise<SealingKey> {
    const key = this.keys.sealingKey(this.scope);
    return key ?? settle(this.keys.obtainSealingKey(this.scope, asker(options)), options);
  }

  /** The DEK of an envelope, from memory or by a call. @returns 32 bytes, the caller's to wipe */
  async dekOf(header: EnvelopeHeader, options?: OperationOptions): Promise<Uint8Array> {
    const dek = this.keys.openDek(header, this.scope);
    return dek ?? settle(this.keys.obtainDek(header, this.scope, asker(options)), options);
  }
}

function isDetached(envelope: unknown): envelope is DetachedEnvelope {
  if (typeof envelope !== "object" || envelope === null || isUint8Array(envelope)) return false;
  return "header" in envelope && "message" in envelope;
}

function parted(bytes: Uint8Array): Admitted {
  const header = decodeHeader(bytes);
  return { header, message: bytes.subarray(header.length) };
}

function joined({ header, message }: DetachedEnvelope): Admitted {
  requireArgument(isUint8Array(message), "The message of a detached envelope is a Uint8Array.");
  return { header: wholeHeader(header), message };
}

function wholeHeader(bytes: Uint8Array): EnvelopeHeader {
  requireArgument(isUint8Array(bytes), "A detached header is a Uint8Array.");
  const header = decodeHeader(bytes);
  if (header.length === bytes.length) return header;
  throw new KeyfoldError("ERR_MALFORMED_ENVELOPE", "Bytes stand after the detached header.");
}

/** The bytes of an envelope in either form. */
export function bytesOf(envelope: Envelope): Uint8Array {
  if (typeof envelope === "string") return decodeText(envelope);
  requireArgument(
    isUint8Array(envelope),
    'An envelope is a Uint8Array, or a string that begins with "kf1.".',
  );
  return envelope;
}
