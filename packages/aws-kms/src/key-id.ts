/** The four ways to name a key, and for each: what requests name, and which keys may be meant. */

import { requireArgument } from "@keyfold/core/provider";
import { formatArn, isMultiRegion, type KmsArn, parseArn, sameKey } from "./arn.ts";

/** A key as it was configured. */
export interface ConfiguredKey {
  /** What every request names as its `KeyId`: never what only an envelope names. */
  readonly keyId: string;
  /** The region that is called, where it is known. */
  readonly region: string | undefined;
  /** Whether a wrap under that key may be this one's. */
  mayBe(key: KmsArn): boolean;
}

/** What an envelope and a URI put before the ARN. */
export const URI_PREFIX = "aws-kms://";
/** The longest URI that an envelope holds. */
const MAX_URI_LENGTH = 1_024;
const REGION = /^[a-z]+(-[a-z]+)+-\d+$/;
const ALIAS = /^alias\/[A-Za-z0-9/_-]{1,250}$/;
const KEY_ID = /^(mrk-[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$/;

/** @throws `ERR_INVALID_ARGUMENT` for what is none of the four forms, or is in another region than `region` */
export function configuredKey(keyId: string, region: string | undefined): ConfiguredKey {
  requireArgument(
    region === undefined || (typeof region === "string" && REGION.test(region)),
    'region must be the name of an AWS region, such as "eu-central-1".',
  );
  const arn = typeof keyId === "string" ? parseArn(keyId) : undefined;
  if (arn !== undefined) return arn.kind === "key" ? byKeyArn(arn, region) : byAliasArn(arn, region);
  requireArgument(
    typeof keyId === "string" && (ALIAS.test(keyId) || KEY_ID.test(keyId)),
    'keyId must be the ARN of a key, the ARN of an alias, "alias/" and a name, or a key\'s id.',
  );
  return keyId.startsWith("alias/") ? byAliasName(keyId, region) : byKeyId(keyId, region);
}

/** Exact. A multi-Region key is called in `region`, where its replica is. */
function byKeyArn(arn: KmsArn, region: string | undefined): ConfiguredKey {
  const home = isMultiRegion(arn.name) && region !== undefined ? { ...arn, region } : arn;
  requireRegion(home, region);
  return { keyId: formatArn(home), region: home.region, mayBe: (key) => sameKey(key, home) };
}

/** Whatever key of the alias's account and region: only the service knows which one. */
function byAliasArn(arn: KmsArn, region: string | undefined): ConfiguredKey {
  requireRegion(arn, region);
  return {
    keyId: formatArn(arn),
    region: arn.region,
    mayBe: (key) =>
      key.partition === arn.partition && key.account === arn.account && mayBeIn(key, arn.region),
  };
}

function byAliasName(keyId: string, region: string | undefined): ConfiguredKey {
  return { keyId, region, mayBe: (key) => mayBeIn(key, region) };
}

function byKeyId(keyId: string, region: string | undefined): ConfiguredKey {
  return { keyId, region, mayBe: (key) => key.name === keyId && mayBeIn(key, region) };
}

/** Whether a key, or a replica of it, may lie in a region; any may where the region is not known. */
function mayBeIn({ kind, name, region: home }: KmsArn, region: string | undefined): boolean {
  return kind === "key" && (region === undefined || home === region || isMultiRegion(name));
}

function requireRegion(arn: KmsArn, region: string | undefined): void {
  requireArgument(
    region === undefined || region === arn.region,
    `region is "${region}", and keyId names a key in "${arn.region}" that has no replicas there: leave region out.`,
  );
  requireArgument(
    URI_PREFIX.length + formatArn(arn).length <= MAX_URI_LENGTH,
    "keyId is longer than any ARN of AWS KMS.",
  );
}

/** The URI of a key that answered, as envelopes carry it. */
export function uriOf(key: KmsArn): string {
  return URI_PREFIX + formatArn(key);
}

/** The ARN in such a URI; undefined for any other text. */
export function arnIn(uri: string): KmsArn | undefined {
  return typeof uri === "string" && uri.startsWith(URI_PREFIX)
    ? parseArn(uri.slice(URI_PREFIX.length))
    : undefined;
}
