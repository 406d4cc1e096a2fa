/** PBKDF2 once for each salt, off the event loop, and the keys that it gave. */

import { pbkdf2 } from "node:crypto";
import { KeyfoldError } from "@keyfold/core";
import { FERNET_KEY_BYTES } from "./cipher.ts";
import { Fernet } from "./fernet.ts";
import type { PasswordSource } from "./master-secret.ts";

/** As in the Python program, and so not to be chosen. A new design would take more. */
const ITERATIONS = 100_000;

/** KEKs by their salts: at most so many, and the one that was not used for longest goes first. */
export class KekCache {
  readonly #most: number;
  readonly #keks = new Map<string, Promise<Fernet>>();
  #password: PasswordSource | undefined;

  constructor(password: PasswordSource, most: number) {
    this.#password = password;
    this.#most = most;
  }

  /** The KEK of a salt; whoever asks while it is being derived waits for the same one. A failure is not kept. */
  get(salt: Uint8Array): Promise<Fernet> {
    if (this.#password === undefined) return Promise.reject(closed());
    const name = Buffer.from(salt).toString("hex");
    const kek = this.#keks.get(name) ?? this.#begin(name, salt, this.#password);
    this.#keks.delete(name);
    this.#keks.set(name, kek);
    for (const oldest of this.#keks.keys()) {
      if (this.#keks.size <= this.#most) break;
      this.#keks.delete(oldest);
    }
    return kek;
  }

  /** Forgets the keys and the master secret. What is being derived ends with `ERR_CLOSED`. */
  close(): void {
    this.#password = undefined;
    this.#keks.clear();
  }

  #begin(name: string, salt: Uint8Array, source: PasswordSource): Promise<Fernet> {
    const kek = this.#derive(salt, source);
    kek.catch(() => {
      if (this.#keks.get(name) === kek) this.#keks.delete(name);
    });
    return kek;
  }

  async #derive(salt: Uint8Array, source: PasswordSource): Promise<Fernet> {
    const password = await source();
    try {
      const kek = new Fernet(await derived(password, salt));
      if (this.#password === undefined) throw closed();
      return kek;
    } finally {
      password.fill(0);
    }
  }
}

/** 32 bytes, the caller's to wipe. One of the four threads of libuv is busy with it for some hundredths of a second. */
function derived(password: Uint8Array, salt: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    pbkdf2(password, salt, ITERATIONS, FERNET_KEY_BYTES, "sha256", (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}

function closed(): KeyfoldError {
  return new KeyfoldError("ERR_CLOSED", "This key management was closed.");
}
