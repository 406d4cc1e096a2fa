/** The vectors of the specification, typed. Hex unless said otherwise. */

import { readFileSync } from "node:fs";
import type { KeyPurpose } from "../../src/context.ts";
import type { KeyfoldErrorCode } from "../../src/errors.ts";

export interface EnvelopeVector {
  readonly name: string;
  readonly project: string;
  readonly scope: string;
  readonly context: Readonly<Record<string, string>>;
  readonly kdk: string;
  readonly salt: string;
  readonly nonce: string;
  readonly dek: string;
  readonly messageSalt: string;
  readonly kdkId: string;
  readonly kek: string;
  readonly sealedDek: string;
  readonly encodedContext: string;
  readonly payloadKey: string;
  readonly baseNonce: string;
  readonly commitment: string;
  readonly wraps: readonly { readonly masterKey: string; readonly wrapped: string }[];
  /** Of a long one: SHA-256(prefix + "/" + i) for i = 0, 1, 2 … concatenated, cut at length. */
  readonly plaintext: string | { readonly length: number; readonly prefix: string; readonly sha256: string };
  readonly envelope: string | { readonly length: number; readonly sha256: string; readonly header: string };
  /** The text form; null for a long one. */
  readonly text: string | null;
}

/** Opened with that KDK in hand it must fail with that code. It is given as bytes or as text. */
export type InvalidVector = Readonly<
  Pick<EnvelopeVector, "name" | "kdk" | "project" | "scope" | "context"> & { code: KeyfoldErrorCode } & (
      | { envelope: string; text?: never }
      | { text: string; envelope?: never }
    )
>;

export interface WrapVector {
  readonly name: string;
  readonly project: string;
  readonly purpose: KeyPurpose;
  readonly kmsContext: Readonly<Record<string, string>>;
  readonly encoded: string;
  readonly masterKey: string;
  readonly wrapped: string;
}

interface EnvelopeFile {
  readonly vectors: readonly EnvelopeVector[];
  readonly invalid: readonly InvalidVector[];
}

interface WrapFile {
  readonly wraps: readonly WrapVector[];
}

export const { vectors: envelopeVectors, invalid: invalidVectors }: EnvelopeFile = read("envelope-v1.json");
export const { wraps: wrapVectors }: WrapFile = read("wraps-and-keyring-v1.json");

function read<T>(file: string): T {
  return JSON.parse(readFileSync(new URL(`../vectors/${file}`, import.meta.url), "utf8"));
}
