/** The master secret of the Python program, "master key" there: a text, from which every KEK is derived. */

import { isUtf8 } from "node:buffer";
import { createSecretKey } from "node:crypto";
import { isUint8Array } from "node:util/types";
import type { Keyfold } from "@keyfold/core";
import { type Bytes, concat, copyOf, requireArgument } from "@keyfold/core/provider";
import { utf8 } from "./fernet.ts";

/**
 * Text, its UTF-8, or a callback that gives either. A callback is asked for each key that is derived, and nothing of its
 * answer is kept; bytes that it gives are taken over and wiped, so it gives a copy each time.
 */
export type MasterSecret = string | Uint8Array | (() => GivenSecret | Promise<GivenSecret>);
type GivenSecret = string | Uint8Array;

/** Gives the password of PBKDF2, utf8(master secret + project), in bytes that are the caller's to wipe. */
export type PasswordSource = () => Promise<Bytes>;

/** What the sealed master secret is bound to. */
const CONTEXT = { "secure-secrets": "master-secret" };

/** @throws `ERR_INVALID_ARGUMENT` */
export function passwordSource(masterSecret: MasterSecret, project: string): PasswordSource {
  const projectBytes = utf8(project, "project");
  if (typeof masterSecret === "function") {
    return async () => joined(takenOver(await masterSecret()), projectBytes);
  }
  const password = joined(secretBytes(masterSecret), projectBytes);
  const kept = createSecretKey(password);
  password.fill(0);
  return async () => {
    const exported = kept.export();
    const copy = copyOf(exported);
    exported.fill(0);
    return copy;
  };
}

/**
 * Seals the master secret, so that it can be stored where it used to stand in the source.
 *
 * @returns an envelope in its text form, for {@link sealedMasterSecret}
 * @throws `ERR_INVALID_ARGUMENT`, and as `Keyfold.seal`
 */
export async function sealMasterSecret(keyfold: Keyfold, masterSecret: string | Uint8Array): Promise<string> {
  const bytes = secretBytes(masterSecret);
  try {
    return await keyfold.sealText(bytes, CONTEXT);
  } finally {
    bytes.fill(0);
  }
}

/**
 * A `masterSecret` that is kept sealed: it is opened for each key that is derived, and wiped right after.
 *
 * @param envelope what {@link sealMasterSecret} returned
 * @returns a callback that fails as `Keyfold.open` does
 */
export function sealedMasterSecret(keyfold: Keyfold, envelope: string | Uint8Array): () => Promise<Bytes> {
  requireArgument(
    typeof envelope === "string" || isUint8Array(envelope),
    "The sealed master secret is an envelope.",
  );
  return () => keyfold.open(envelope, CONTEXT);
}

/** The secret's bytes and the project's, as Python joins the two texts. Wipes the first. */
function joined(secret: Bytes, project: Uint8Array): Bytes {
  const password = concat(secret, project);
  secret.fill(0);
  return password;
}

/** A copy of what a callback gave; its bytes are wiped. */
function takenOver(given: GivenSecret): Bytes {
  if (!isUint8Array(given)) return secretBytes(given);
  requireArgument(
    given.some((byte) => byte !== 0),
    "The callback gave bytes that are all zero: it must give a copy each time, for they are wiped after use.",
  );
  try {
    return secretBytes(given);
  } finally {
    given.fill(0);
  }
}

/** Bytes of their own, of what is UTF-8: Python joins texts, so other bytes are no master secret of its. */
function secretBytes(secret: string | Uint8Array): Bytes {
  const bytes = isUint8Array(secret) ? copyOf(secret) : utf8(secret, "The master secret");
  requireArgument(bytes.length > 0, "The master secret is empty.");
  requireArgument(isUtf8(bytes), "The bytes of the master secret are not UTF-8.");
  return bytes;
}
