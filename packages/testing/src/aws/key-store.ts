/** The keys of a fake AWS KMS: accounts and regions, states, generations of material, replicas, aliases, permissions. */

import { createSecretKey, type KeyObject, randomBytes, randomUUID } from "node:crypto";
import { ServiceError } from "./service-error.ts";

/** What a key may be in. The service's own names. */
export type AwsKeyState =
  | "Enabled"
  | "Disabled"
  | "PendingDeletion"
  | "PendingImport"
  | "Unavailable"
  | "Creating";

/** One generation of a key's material. */
export interface KeyMaterial {
  /** 64 hexadecimal digits, which replies and ciphertexts carry. */
  readonly id: string;
  readonly key: KeyObject;
}

/** A key in one region. The replicas of a multi-Region key share their id and material, and nothing else. */
export interface StoredKey {
  readonly arn: string;
  readonly id: string;
  readonly account: string;
  readonly region: string;
  state: AwsKeyState;
  /** The newest last: it encrypts, and all decrypt. */
  readonly material: KeyMaterial[];
}

interface Place {
  readonly account: string;
  readonly region: string;
}

const ARN = /^arn:([a-z-]+):kms:([a-z0-9-]+):(\d{12}):(key|alias)\/([A-Za-z0-9:/_-]+)$/;

/** What each state is called in the refusal that ends with it. */
const unusable: Readonly<Record<Exclude<AwsKeyState, "Enabled">, readonly [type: string, words: string]>> = {
  Disabled: ["DisabledException", "is disabled."],
  PendingDeletion: ["KMSInvalidStateException", "is pending deletion."],
  PendingImport: ["KMSInvalidStateException", "is pending import."],
  Unavailable: ["KMSInvalidStateException", "is unavailable."],
  Creating: ["KMSInvalidStateException", "is creating."],
};

export class KeyStore {
  readonly #keys = new Map<string, StoredKey>();
  /** Alias ARN to key ARN. */
  readonly #aliases = new Map<string, string>();
  readonly #denied = new Set<string>();
  /** Grant token to what it permits. */
  readonly #grants = new Map<string, string>();

  create({ account, region }: Place, multiRegion: boolean): StoredKey {
    const id = multiRegion ? `mrk-${randomBytes(16).toString("hex")}` : randomUUID();
    return this.#add({ account, region }, id, [newMaterial()]);
  }

  replicate(arn: string, region: string): StoredKey {
    const { id, account, material } = this.get(arn);
    if (!id.startsWith("mrk-")) throw new Error(`${arn} is not a multi-Region key.`);
    return this.#add({ account, region }, id, material);
  }

  #add({ account, region }: Place, id: string, material: KeyMaterial[]): StoredKey {
    const arn = arnOf({ account, region }, `key/${id}`);
    const key: StoredKey = { arn, id, account, region, state: "Enabled", material };
    this.#keys.set(arn, key);
    return key;
  }

  /** For the levers: a key that must be there. */
  get(arn: string): StoredKey {
    const key = this.#keys.get(arn);
    if (key === undefined) throw new Error(`The fake AWS KMS has no key ${arn}.`);
    return key;
  }

  rotate(arn: string): void {
    this.get(arn).material.push(newMaterial());
  }

  /** As when the waiting period has passed. */
  destroy(arn: string): void {
    this.get(arn);
    this.#keys.delete(arn);
  }

  /** Points an alias, new or not, at a key; it lies in that key's account and region. */
  setAlias(alias: string, arn: string): void {
    if (!/^alias\/[A-Za-z0-9/_-]{1,250}$/.test(alias))
      throw new Error(`"${alias}" is not "alias/" and a name.`);
    this.#aliases.set(arnOf(this.get(arn), alias), arn);
  }

  deny(operation: string, arn: string): void {
    this.#denied.add(`${operation} ${arn}`);
  }

  allow(operation: string, arn: string): void {
    this.#denied.delete(`${operation} ${arn}`);
  }

  grant(operation: string, arn: string): string {
    const token = randomBytes(48).toString("base64");
    this.#grants.set(token, `${operation} ${this.get(arn).arn}`);
    return token;
  }

  /** The key that a request means, seen from the caller's account and the region that was called. */
  resolve(keyId: string, caller: Place): StoredKey {
    const arn = this.#arnFor(keyId, caller);
    const key = this.#keys.get(arn);
    if (key !== undefined) return key;
    if (ARN.exec(arn)?.[3] !== caller.account) throw accessDenied("kms:*", arn);
    throw new ServiceError("NotFoundException", `Key '${arn}' does not exist`);
  }

  #arnFor(keyId: string, caller: Place): string {
    if (keyId.startsWith("arn:")) {
      const [, partition, region = "", , kind] = ARN.exec(keyId) ?? [];
      if (partition !== partitionOf(caller.region) || region !== caller.region) {
        throw new ServiceError("NotFoundException", `Invalid arn ${region}`.trimEnd());
      }
      return kind === "alias" ? this.#target(keyId) : keyId;
    }
    if (keyId.startsWith("alias/")) return this.#target(arnOf(caller, keyId));
    if (!/^(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.test(keyId)) {
      throw new ServiceError("NotFoundException", `Invalid keyId '${keyId}'`);
    }
    return arnOf(caller, `key/${keyId}`);
  }

  #target(alias: string): string {
    const arn = this.#aliases.get(alias);
    if (arn === undefined) throw new ServiceError("NotFoundException", `Alias ${alias} is not found.`);
    return arn;
  }

  /** The key of that id in one region, whatever the account; undefined where there is none. */
  find(id: string, region?: string): StoredKey | undefined {
    return [...this.#keys.values()].find(
      (key) => key.id === id && (region === undefined || key.region === region),
    );
  }

  requirePermitted(operation: string, { arn }: StoredKey, tokens: readonly string[]): void {
    const permitted = tokens.map((token) => this.#permittedBy(token));
    const denied = [operation, "*"].some((one) =>
      [arn, "*"].some((key) => this.#denied.has(`${one} ${key}`)),
    );
    if (denied && !permitted.includes(`${operation} ${arn}`)) throw accessDenied(`kms:${operation}`, arn);
  }

  #permittedBy(token: string): string {
    const permitted = this.#grants.get(token);
    if (permitted === undefined) throw new ServiceError("InvalidGrantTokenException", "Invalid grant token.");
    return permitted;
  }
}

/** Throws the refusal that a key's state is. */
export function requireUsable({ arn, state }: StoredKey): void {
  if (state === "Enabled") return;
  const [type, words] = unusable[state];
  throw new ServiceError(type, `${arn} ${words}`);
}

export function accessDenied(action: string, arn: string): ServiceError {
  return new ServiceError(
    "AccessDeniedException",
    `User: arn:aws:iam::111122223333:user/test is not authorized to perform: ${action} on resource: ${arn} because no identity-based policy allows the ${action} action`,
  );
}

export function arnOf({ account, region }: Place, resource: string): string {
  return `arn:${partitionOf(region)}:kms:${region}:${account}:${resource}`;
}

function partitionOf(region: string): string {
  if (region.startsWith("cn-")) return "aws-cn";
  return region.startsWith("us-gov-") ? "aws-us-gov" : "aws";
}

function newMaterial(): KeyMaterial {
  return { id: randomBytes(32).toString("hex"), key: createSecretKey(randomBytes(32)) };
}
