/** The keys of a fake vault, their versions and states, and who may do what with them. */

import { randomBytes } from "node:crypto";
import type { Lazy } from "@keyfold/core/provider";
import type { FakeAzureKeyType, FakeAzureMaterial } from "./key-material.ts";
import { forbidden, notFound, ServiceError } from "./service-error.ts";

/** What a caller can be permitted, by the names of Key Vault's access policies. */
export type FakeAzurePermission = "get" | "wrapKey" | "unwrapKey" | "encrypt" | "decrypt";

export interface KeyVersion {
  readonly version: string;
  readonly kty: FakeAzureKeyType;
  readonly material: Lazy<FakeAzureMaterial>;
  readonly created: number;
  enabled: boolean;
  /** Milliseconds since 1970. */
  notBefore: number | undefined;
  expires: number | undefined;
}

interface StoredKey {
  readonly name: string;
  /** The newest last. */
  readonly versions: KeyVersion[];
  deleted: boolean;
}

/** What an expired or future version may still do. */
const OUTSIDE_VALIDITY: ReadonlySet<FakeAzurePermission> = new Set(["get", "unwrapKey", "decrypt"]);

export class KeyStore {
  readonly #material: (kty: FakeAzureKeyType) => Lazy<FakeAzureMaterial>;
  readonly #keys = new Map<string, StoredKey>();

  /** @param material makes what a version consists of when it is first needed: RSA keys take a while */
  constructor(material: (kty: FakeAzureKeyType) => Lazy<FakeAzureMaterial>) {
    this.#material = material;
  }

  /** A new key, or a new version of one that is there. */
  add(name: string, kty: FakeAzureKeyType): KeyVersion {
    const key = this.#keys.get(name.toLowerCase()) ?? { name, versions: [], deleted: false };
    if (key.deleted) throw deletedButRecoverable(name);
    const version: KeyVersion = {
      version: randomBytes(16).toString("hex"),
      kty,
      material: this.#material(kty),
      created: Date.now(),
      enabled: true,
      notBefore: undefined,
      expires: undefined,
    };
    key.versions.push(version);
    this.#keys.set(name.toLowerCase(), key);
    return version;
  }

  /** A version, by default the newest, whatever its state; a deleted key has none. */
  find(name: string, version?: string): { readonly name: string; readonly found: KeyVersion } {
    const key = this.#keys.get(name.toLowerCase());
    const found =
      version === undefined
        ? key?.versions.at(-1)
        : key?.versions.find((one) => one.version === version.toLowerCase());
    if (key === undefined || key.deleted || found === undefined) throw notFound(name);
    return { name: key.name, found };
  }

  setDeleted(name: string, deleted: boolean): void {
    const key = this.#keys.get(name.toLowerCase());
    if (key === undefined) throw notFound(name);
    key.deleted = deleted;
  }

  purge(name: string): void {
    this.#keys.delete(name.toLowerCase());
  }
}

/** Refuses an operation that the version's state does not allow. Reading works in each. */
export function requireUsable(version: KeyVersion, operation: FakeAzurePermission): void {
  if (operation !== "get" && !version.enabled) {
    throw forbidden("KeyDisabled", `Operation ${operation} is not allowed on a disabled key.`);
  }
  if (OUTSIDE_VALIDITY.has(operation)) return;
  const now = Date.now();
  if (version.expires !== undefined && now >= version.expires) {
    throw forbidden("KeyExpired", `Operation ${operation} is not allowed on an expired key.`);
  }
  if (version.notBefore !== undefined && now < version.notBefore) {
    throw forbidden(
      "KeyNotYetValid",
      `Operation ${operation} is not allowed on a key that is not yet valid.`,
    );
  }
}

function deletedButRecoverable(name: string): ServiceError {
  return new ServiceError(
    409,
    "Conflict",
    `Key ${name} is currently in a deleted but recoverable state, and its name cannot be reused.`,
    { inner: "ObjectIsDeletedButRecoverable" },
  );
}
