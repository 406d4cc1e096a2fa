/**
 * The names of a key: the service's own (`https://host/keys/name/version`), and the URI that wraps carry
 * (docs/spec/envelope-v1.md, "Wraps").
 */

import { requireArgument } from "@keyfold/core/provider";

/** A key without its version. */
export interface VaultKey {
  /** Lower case, without a port: `example.vault.azure.net`. */
  readonly host: string;
  /** As it was configured. The service ignores its case; wraps are compared byte for byte. */
  readonly name: string;
}

export const SCHEME = "azure-keyvault://";

const LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const VAULT = new RegExp(`^https://(${LABEL}(?:\\.${LABEL})+)(?::443)?$`, "i");
const NAME = /^[0-9a-z-]{1,127}$/i;
const VERSION = /^[0-9a-f]{32}$/i;

/** A host name's bound, RFC 1035 section 2.3.4: with it, and 127 characters of name, a URI is far below its 1,024. */
const MAX_HOST = 253;

/**
 * Reads `https://host/keys/name` with or without `/version`.
 *
 * @throws `ERR_INVALID_ARGUMENT`
 */
export function parseKeyId(keyId: unknown): { readonly key: VaultKey; readonly version?: string } {
  requireArgument(
    typeof keyId === "string",
    "keyId must be a string, https://HOST/keys/NAME or https://HOST/keys/NAME/VERSION.",
  );
  const parts = /^([^/]*\/\/[^/]*)\/keys\/([^/]*)(?:\/([^/]*))?$/.exec(keyId);
  requireArgument(
    parts !== null,
    "keyId must be https://HOST/keys/NAME or https://HOST/keys/NAME/VERSION, and nothing more.",
  );
  const [, vaultUrl, name, version] = parts;
  const key = vaultKey(vaultUrl, name);
  if (version === undefined) return { key };
  requireArgument(VERSION.test(version), "The version of a key is 32 hex digits.");
  return { key, version: version.toLowerCase() };
}

/** @throws `ERR_INVALID_ARGUMENT` */
export function vaultKey(vaultUrl: unknown, name: unknown): VaultKey {
  const host = typeof vaultUrl === "string" ? VAULT.exec(vaultUrl.replace(/\/$/, ""))?.[1] : undefined;
  requireArgument(
    host !== undefined && host.length <= MAX_HOST,
    "The vault's URL must be https:// and a host name, with no other port than 443, no path, no query and no user name.",
  );
  requireArgument(
    typeof name === "string" && NAME.test(name),
    "The name of a key is 1 to 127 letters, digits and hyphens.",
  );
  return { host: host.toLowerCase(), name };
}

export function vaultUrlOf({ host }: VaultKey): string {
  return `https://${host}`;
}

/** The service's own name of a version, its "kid". */
export function kidOf(key: VaultKey, version: string): string {
  return `${vaultUrlOf(key)}/keys/${key.name}/${version}`;
}

/** What a wrap under that version carries; without a version, what a provider is called. */
export function uriOf(key: VaultKey, version?: string): string {
  const uri = `${SCHEME}${key.host}/keys/${key.name}`;
  return version === undefined ? uri : `${uri}/${version}`;
}

/** The version that a wrap's URI names, if it is one of that key's. */
export function versionInUri(key: VaultKey, uri: string): string | undefined {
  const prefix = `${uriOf(key)}/`;
  const version = typeof uri === "string" && uri.startsWith(prefix) ? uri.slice(prefix.length) : "";
  return VERSION.test(version) ? version.toLowerCase() : undefined;
}

/** The version that a kid of the service names, if it is one of that key's; the service may spell the name in another case. */
export function versionInKid(key: VaultKey, kid: unknown): string | undefined {
  if (typeof kid !== "string") return undefined;
  const lower = kid.toLowerCase();
  const prefix = kidOf(key, "").toLowerCase();
  const version = lower.startsWith(prefix) ? lower.slice(prefix.length) : "";
  return VERSION.test(version) ? version : undefined;
}
