/** Master keys by URI: which provider serves a scheme, and what every provider does to read one. */

import { KeyfoldError, requireArgument } from "./errors.ts";
import type { MasterKeyProvider } from "./master-key.ts";

/** What a provider package exports for {@link masterKeysFromUri}. */
export interface ProviderModule {
  /** The provider that a whole URI, its scheme included, stands for. Throws `ERR_INVALID_ARGUMENT` for one that it cannot read. */
  masterKeyFromUri(uri: string): MasterKeyProvider;
}

export interface MasterKeysFromUriOptions {
  /**
   * How to load the provider of a scheme, before the packages of keyfold are looked for: for bundlers, which must see
   * the import, and for providers of others. `{ "aws-kms": () => import("@keyfold/aws-kms") }`
   */
  readonly providers?: Readonly<Record<string, () => ProviderModule | Promise<ProviderModule>>>;
}

/** Scheme → package. The one place where a name leads to code. */
const packages: ReadonlyMap<string, string> = new Map([
  ["aws-kms", "@keyfold/aws-kms"],
  ["gcp-kms", "@keyfold/gcp-kms"],
  ["azure-keyvault", "@keyfold/azure-keyvault"],
  ["file", "@keyfold/local"],
  ["env", "@keyfold/local"],
]);

const EXAMPLES =
  '"aws-kms://alias/NAME?region=REGION", "gcp-kms://projects/…", "azure-keyvault://HOST/keys/NAME", "file:PATH" or "env:NAME"';

/**
 * The master keys that a text names, one URI or several with spaces between them, so that an environment variable picks
 * the backend: `await masterKeysFromUri(process.env.KEYFOLD_MASTER_KEY)`.
 *
 * | URI | package |
 * | --- | --- |
 * | `aws-kms://` key ARN, alias ARN, `alias/name` or key id, and `?region=…` | `@keyfold/aws-kms` |
 * | `gcp-kms://projects/…/locations/…/keyRings/…/cryptoKeys/…` | `@keyfold/gcp-kms` |
 * | `azure-keyvault://host/keys/name`, and `/version`, and `?algorithm=…` | `@keyfold/azure-keyvault` |
 * | `file:` percent-encoded path of a key file; `file:///p` is `/p` | `@keyfold/local` |
 * | `env:` name of an environment variable that holds the key | `@keyfold/local` |
 *
 * Loads the packages and makes no call. A URI only locates a key and holds no secret; what an envelope stores is the name
 * of the key that answered.
 *
 * @returns one provider for each URI, in order; whoever called closes them
 * @throws `ERR_INVALID_ARGUMENT` for no text or a URI that cannot be read, `ERR_UNKNOWN_SCHEME`,
 * `ERR_PROVIDER_NOT_INSTALLED`
 */
export async function masterKeysFromUri(
  text: string | undefined,
  options: MasterKeysFromUriOptions = {},
): Promise<MasterKeyProvider[]> {
  const uris = typeof text === "string" ? text.split(" ").filter((uri) => uri !== "") : [];
  if (uris.length === 0) throw noUri();
  for (const uri of uris) requireWhole(uri, schemeOf(uri));
  const modules = await Promise.all(
    uris.map((uri) => providerModule(schemeOf(uri), options.providers ?? {})),
  );
  return uris.map((uri, index) => providerOf(modules[index], uri));
}

/** A URI in its parts, neither of them percent-decoded but for the parameters' values. */
export interface MasterKeyUri {
  /** What stands between the prefix and the query. */
  readonly location: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/**
 * Reads a master key's URI by hand, as `aws-kms://arn:…` is no URL to a URL parser.
 *
 * @param prefix what it must begin with: `aws-kms://`, `file:`
 * @param parameters the query parameters that it may have, each at most once
 * @throws `ERR_INVALID_ARGUMENT` for another prefix, no location, user-info, a fragment, white space, a character that is
 * not ASCII, and a parameter that is unknown, empty, given twice or badly encoded
 */
export function parseMasterKeyUri(uri: string, prefix: string, parameters: readonly string[]): MasterKeyUri {
  requireArgument(typeof uri === "string" && uri.startsWith(prefix), `A URI here begins with ${prefix}.`);
  requireWhole(uri, prefix);
  const [location = "", ...queries] = uri.slice(prefix.length).split("?");
  requireArgument(location !== "", `A ${prefix} URI names a key, and this one names none.`);
  requireArgument(queries.length < 2, `A ${prefix} URI has more than one "?".`);
  requireArgument(
    !prefix.endsWith("//") || !location.split("/", 1)[0]?.includes("@"),
    `A ${prefix} URI holds no user name and no password: credentials come from the service's own SDK.`,
  );
  return { location, parameters: parametersOf(queries[0], prefix, parameters) };
}

/** `decodeURIComponent`, with `ERR_INVALID_ARGUMENT` for a "%" that begins no UTF-8 character. */
export function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new KeyfoldError("ERR_INVALID_ARGUMENT", "A master key's URI is badly percent-encoded.", { cause });
  }
}

function parametersOf(
  query: string | undefined,
  prefix: string,
  known: readonly string[],
): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  if (query === undefined) return parameters;
  for (const pair of query.split("&")) {
    const [name = "", ...values] = pair.split("=");
    requireArgument(
      known.includes(name),
      known.length === 0
        ? `A ${prefix} URI has no query parameters.`
        : `A ${prefix} URI has no such query parameter; it may have: ${known.join(", ")}.`,
    );
    requireArgument(!parameters.has(name), `The parameter ${name} of a ${prefix} URI is given twice.`);
    const value = values.length === 1 ? percentDecoded(values[0] ?? "") : "";
    requireArgument(value !== "", `The parameter ${name} of a ${prefix} URI needs one value.`);
    parameters.set(name, value);
  }
  return parameters;
}

/** No URI here has a fragment, or a character outside `!` to `~`. */
function requireWhole(uri: string, what: string): void {
  requireArgument(/^[!-~]+$/.test(uri), `A ${what} URI is ASCII without spaces: percent-encode what is not.`);
  requireArgument(!uri.includes("#"), `A ${what} URI has no "#": percent-encode it in a path as %23.`);
}

/** The text may be a key that somebody put in the place of its URI, so it is not repeated. */
function schemeOf(uri: string): string {
  const scheme = /^([a-z][a-z0-9+.-]*):/.exec(uri)?.[1];
  if (scheme === undefined) {
    throw new KeyfoldError(
      "ERR_INVALID_ARGUMENT",
      `A master key's URI begins with a scheme, in lower case: ${EXAMPLES}.`,
    );
  }
  return scheme;
}

async function providerModule(
  scheme: string,
  providers: NonNullable<MasterKeysFromUriOptions["providers"]>,
): Promise<ProviderModule> {
  if (Object.hasOwn(providers, scheme)) {
    const load = providers[scheme];
    requireArgument(typeof load === "function", `providers["${scheme}"] must be a function.`);
    return load();
  }
  const name = packages.get(scheme);
  if (name === undefined) {
    throw new KeyfoldError("ERR_UNKNOWN_SCHEME", `No provider is known for the scheme "${scheme}:".`);
  }
  return importPackage(name, () => import(name));
}

/**
 * Imports a package that need not be there.
 *
 * @throws `ERR_PROVIDER_NOT_INSTALLED` where it is not; the import's own error where it is there and fails to load
 */
export async function importPackage<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if (!isMissing(cause, name)) throw cause;
    throw new KeyfoldError("ERR_PROVIDER_NOT_INSTALLED", `The package ${name} is not installed.`, {
      cause,
      remedy: `Install it: npm install ${name}. In a bundle, pass it in providers.`,
    });
  }
}

/** Whether that very package was not found, and not one that it imports. Node, Bun and Deno word it each in their way. */
function isMissing(error: unknown, name: string): boolean {
  return (
    error instanceof Error &&
    "code" in error &&
    (error.code === "ERR_MODULE_NOT_FOUND" || error.code === "MODULE_NOT_FOUND") &&
    (error.message.includes(`'${name}'`) || error.message.includes(`"${name}"`))
  );
}

function providerOf(module: ProviderModule | undefined, uri: string): MasterKeyProvider {
  requireArgument(
    typeof module?.masterKeyFromUri === "function",
    `The provider for "${schemeOf(uri)}:" does not export masterKeyFromUri.`,
  );
  return module.masterKeyFromUri(uri);
}

function noUri(): KeyfoldError {
  return new KeyfoldError(
    "ERR_INVALID_ARGUMENT",
    "There is no master key's URI: the text is missing or empty.",
    {
      remedy: `Set the variable that it is read from, to ${EXAMPLES}.`,
    },
  );
}
