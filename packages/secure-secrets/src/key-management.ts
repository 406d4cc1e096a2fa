/** The Python program's `KeyManagement`: the same keys from the same master secret, and the same tokens. */

import { randomFillSync } from "node:crypto";
import type { KeyfoldError } from "@keyfold/core";
import { type Bytes, requireArgument, requireOptions } from "@keyfold/core/provider";
import { decodeBase64 } from "./base64.ts";
import { FERNET_KEY_BYTES } from "./cipher.ts";
import { Fernet, type FernetDecryptOptions, fernet, newFernet } from "./fernet.ts";
import { KekCache } from "./kek-cache.ts";
import { type MasterSecret, passwordSource } from "./master-secret.ts";
import { requireSalt, SALT_BYTES } from "./salt.ts";
import { invalid } from "./token.ts";

export interface KeyManagementOptions {
  /** `project_unique_str` of the Python program. It is joined to the master secret as text, with nothing between them. */
  readonly project: string;
  /** The `master_key` of the Python program. */
  readonly masterSecret: MasterSecret;
  /** How many KEKs are kept in memory. Default 1,000. */
  readonly maxKeys?: number | undefined;
}

/** A key as an object, or as the text that Python has: base64url of 32 bytes. */
export type FernetKey = Fernet | string;

/**
 * The operations of the Python program, on its own formats. Tokens that one writes the other reads. Safe for concurrent
 * use. Wrong arguments are `ERR_INVALID_ARGUMENT`.
 */
export interface KeyManagement extends AsyncDisposable {
  /**
   * `generate_kek`: the KEK of a new random salt, or of a saved one. PBKDF2-HMAC-SHA-256 with 100,000 iterations, on
   * another thread, and once for each salt while its KEK is in memory.
   *
   * @param salt 16 bytes, as it was returned; they are copied
   * @returns the salt to be stored next to what the KEK encrypts
   * @throws `ERR_CLOSED`, and what the callback of `masterSecret` fails with
   */
  generateKek(salt?: Uint8Array): Promise<{ readonly kek: Fernet; readonly salt: Bytes }>;
  /** `generate_dek`: a new random key. */
  generateDek(): Fernet;
  /** `encrypt_dek`: a token of the DEK's text under the KEK. */
  encryptDek(dek: FernetKey, kek: FernetKey): string;
  /** `decrypt_dek`. @throws `ERR_FERNET_INVALID`, also where the token holds no key */
  decryptDek(token: string | Uint8Array, kek: FernetKey): Fernet;
  /** `encrypt_data`: a token of text, or of bytes. */
  encryptData(data: string | Uint8Array, dek: FernetKey): string;
  /** `decrypt_data`. @throws `ERR_FERNET_INVALID`, `ERR_FERNET_EXPIRED`, and `ERR_NOT_TEXT` if it is not UTF-8 */
  decryptData(token: string | Uint8Array, dek: FernetKey, options?: FernetDecryptOptions): string;
  /** `initialize`: a new DEK, encrypted under the KEK of a new salt. Both are to be stored. */
  initialize(): Promise<{ readonly encryptedDek: string; readonly salt: Bytes }>;
  /** Forgets the KEKs and the master secret; what needs either is `ERR_CLOSED` then. Twice is fine. */
  close(): Promise<void>;
}

/**
 * Makes a key management. Derives nothing yet.
 *
 * @throws `ERR_INVALID_ARGUMENT`
 */
export function createKeyManagement(options: KeyManagementOptions): KeyManagement {
  requireOptions(options, ["project", "masterSecret", "maxKeys"], "createKeyManagement");
  const { project, masterSecret, maxKeys = 1_000 } = options;
  requireArgument(
    Number.isSafeInteger(maxKeys) && maxKeys >= 1,
    "maxKeys must be a whole number of 1 or more.",
  );
  return new PythonKeyManagement(new KekCache(passwordSource(masterSecret, project), maxKeys));
}

class PythonKeyManagement implements KeyManagement {
  readonly #keks: KekCache;

  constructor(keks: KekCache) {
    this.#keks = keks;
  }

  async generateKek(given?: Uint8Array): Promise<{ readonly kek: Fernet; readonly salt: Bytes }> {
    const salt = given === undefined ? randomFillSync(new Uint8Array(SALT_BYTES)) : requireSalt(given);
    return { kek: await this.#keks.get(salt), salt };
  }

  generateDek(): Fernet {
    return newFernet();
  }

  encryptDek(dek: FernetKey, kek: FernetKey): string {
    return keyOf(kek).encrypt(keyOf(dek).exportKey());
  }

  decryptDek(token: string | Uint8Array, kek: FernetKey): Fernet {
    const text = keyOf(kek).decrypt(token);
    const bytes = decodeBase64(Buffer.from(text.buffer).toString("latin1"));
    text.fill(0);
    if (bytes?.length === FERNET_KEY_BYTES) return new Fernet(bytes);
    bytes?.fill(0);
    throw holdsNoKey();
  }

  encryptData(data: string | Uint8Array, dek: FernetKey): string {
    return keyOf(dek).encrypt(data);
  }

  decryptData(token: string | Uint8Array, dek: FernetKey, options?: FernetDecryptOptions): string {
    return keyOf(dek).decryptText(token, options);
  }

  async initialize(): Promise<{ readonly encryptedDek: string; readonly salt: Bytes }> {
    const { kek, salt } = await this.generateKek();
    return { encryptedDek: this.encryptDek(this.generateDek(), kek), salt };
  }

  async close(): Promise<void> {
    this.#keks.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function keyOf(key: FernetKey): Fernet {
  return key instanceof Fernet ? key : fernet(key);
}

function holdsNoKey(): KeyfoldError {
  return invalid("The token is authentic, and what it holds is no Fernet key: it is not an encrypted DEK.");
}
