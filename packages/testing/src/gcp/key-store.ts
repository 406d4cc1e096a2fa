/** Crypto keys with versions, states and real AES-256-GCM. */

import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { GrpcStatus } from "./grpc-status.ts";

/** Who holds a key's material; the limits depend on it. */
export type GcpProtectionLevel = "SOFTWARE" | "HSM";
export type GcpVersionState = "ENABLED" | "DISABLED" | "DESTROY_SCHEDULED" | "DESTROYED";

/** Where a new key lies. */
export interface GcpKeyOptions {
  /** "SOFTWARE" by default. */
  readonly protectionLevel?: GcpProtectionLevel;
  /** "keyfold-test" by default. */
  readonly project?: string;
  /** "global" by default. */
  readonly location?: string;
  /** "fake" by default. */
  readonly keyRing?: string;
  /** A new name by default. */
  readonly cryptoKey?: string;
}

export interface KeyVersion {
  readonly name: string;
  state: GcpVersionState;
  readonly material: Buffer;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** A ciphertext begins with its version's number, and goes on with nonce, AES-256-GCM and tag. */
const VERSION_BYTES = 4;
const TAG_LENGTH = { authTagLength: TAG_BYTES } as const;

export class CryptoKey {
  readonly name: string;
  readonly protectionLevel: GcpProtectionLevel;
  readonly #versions: KeyVersion[] = [];

  constructor(name: string, protectionLevel: GcpProtectionLevel) {
    this.name = name;
    this.protectionLevel = protectionLevel;
    this.rotate();
  }

  /** Adds a version, which becomes the primary one. The others still decrypt. */
  rotate(): KeyVersion {
    const name = `${this.name}/cryptoKeyVersions/${this.#versions.length + 1}`;
    const version: KeyVersion = { name, state: "ENABLED", material: randomBytes(32) };
    this.#versions.push(version);
    return version;
  }

  get primary(): KeyVersion {
    const primary = this.#versions.at(-1);
    if (primary === undefined) throw new Error(`${this.name} has no version.`);
    return primary;
  }

  version(name: string): KeyVersion | undefined {
    return this.#versions.find((version) => version.name === name);
  }

  /** Whatever the version's state. */
  encrypt(version: KeyVersion, plaintext: Uint8Array, aad: Uint8Array): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const number = Buffer.alloc(VERSION_BYTES);
    number.writeUInt32BE(this.#versions.indexOf(version) + 1);
    const cipher = createCipheriv("aes-256-gcm", version.material, nonce, TAG_LENGTH);
    cipher.setAAD(aad);
    return Buffer.concat([number, nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  }

  /** The version that a ciphertext says it is of, if there is such a one. */
  versionOf(ciphertext: Uint8Array): KeyVersion | undefined {
    const bytes = Buffer.from(ciphertext);
    if (bytes.length < VERSION_BYTES + NONCE_BYTES + TAG_BYTES) return undefined;
    return this.#versions[bytes.readUInt32BE() - 1];
  }

  /** Whatever the version's state; undefined where the ciphertext does not authenticate. */
  decrypt(ciphertext: Uint8Array, aad: Uint8Array): Buffer | undefined {
    const version = this.versionOf(ciphertext);
    if (version === undefined) return undefined;
    const nonce = ciphertext.subarray(VERSION_BYTES, VERSION_BYTES + NONCE_BYTES);
    const decipher = createDecipheriv("aes-256-gcm", version.material, nonce, TAG_LENGTH);
    decipher.setAAD(aad);
    decipher.setAuthTag(ciphertext.subarray(-TAG_BYTES));
    const plaintext = decipher.update(ciphertext.subarray(VERSION_BYTES + NONCE_BYTES, -TAG_BYTES));
    try {
      return Buffer.concat([plaintext, decipher.final()]);
    } catch (error) {
      // What Node throws where the tag is wrong has this message and no code.
      if (error instanceof Error && /unable to authenticate/.test(error.message)) return undefined;
      throw error;
    }
  }
}

/** All keys of the fake service. */
export class KeyStore {
  readonly #keys = new Map<string, CryptoKey>();
  #made = 0;

  /** @returns the new key's name */
  create(options: GcpKeyOptions = {}): string {
    const { protectionLevel = "SOFTWARE", project = "keyfold-test", location = "global" } = options;
    const { keyRing = "fake", cryptoKey = `key-${++this.#made}` } = options;
    const name = `projects/${project}/locations/${location}/keyRings/${keyRing}/cryptoKeys/${cryptoKey}`;
    if (this.#keys.has(name)) throw new Error(`There is a key ${name} already.`);
    this.#keys.set(name, new CryptoKey(name, protectionLevel));
    return name;
  }

  delete(name: string): void {
    this.#keys.delete(this.get(name).name);
  }

  find(name: string): CryptoKey | undefined {
    return this.#keys.get(name);
  }

  /** For levers, whose caller knows the key. */
  get(name: string): CryptoKey {
    const key = this.find(name);
    if (key === undefined) throw new Error(`The fake has no key ${name}.`);
    return key;
  }

  /** For levers: a version by its own name. */
  version(name: string): KeyVersion {
    const version = this.find(keyOf(name))?.version(name);
    if (version === undefined) throw new Error(`The fake has no key version ${name}.`);
    return version;
  }
}

/** The name of a version's key. */
export function keyOf(version: string): string {
  return version.replace(/\/cryptoKeyVersions\/[^/]+$/, "");
}

export function requireEnabled(version: KeyVersion): void {
  if (version.state === "ENABLED") return;
  throw new GrpcStatus(
    "FAILED_PRECONDITION",
    `${version.name} is not enabled, current state is: ${version.state}.`,
  );
}
