/** How Cloud KMS names keys and their versions. https://cloud.google.com/kms/docs/resource-hierarchy */

import { requireArgument } from "@keyfold/core/provider";

const FORM = "projects/PROJECT/locations/LOCATION/keyRings/KEY_RING/cryptoKeys/KEY";
/** A project's id, with its domain where it has one, or its number. Rings and keys are named by 1 to 63 characters. */
const KEY_NAME =
  /^projects\/(?:[a-z0-9.-]+:)?[a-z0-9-]+\/locations\/[a-z0-9-]+\/keyRings\/[\w-]{1,63}\/cryptoKeys\/[\w-]{1,63}$/;
const VERSION = /^\/cryptoKeyVersions\/[1-9]\d*$/;
/** So that with `gcp-kms://` it is within the 1,024 bytes of a URI in an envelope. */
const MAX_CHARACTERS = 1_000;

/** Refuses what is no key's whole name, with `ERR_INVALID_ARGUMENT`. */
export function requireKeyName(keyName: unknown): asserts keyName is string {
  requireArgument(typeof keyName === "string", `keyName must be a string: ${FORM}.`);
  requireArgument(
    !keyName.includes("/cryptoKeyVersions"),
    "keyName must name a key and no version: leave out /cryptoKeyVersions/N. Cloud KMS wraps with the primary version and finds the version when it unwraps.",
  );
  requireArgument(
    keyName.length <= MAX_CHARACTERS && KEY_NAME.test(keyName),
    `keyName must be a key's whole name, ${FORM}, as gcloud kms keys list prints it.`,
  );
}

/** Whether `name` is that of a version of the key. */
export function isVersionOf(keyName: string, name: unknown): boolean {
  return typeof name === "string" && name.startsWith(keyName) && VERSION.test(name.slice(keyName.length));
}
