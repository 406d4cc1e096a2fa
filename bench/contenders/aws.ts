/** The AWS Encryption SDK for JavaScript with a raw AES keyring, so that no network takes part. */

import { randomBytes } from "node:crypto";
import {
  AlgorithmSuiteIdentifier,
  buildClient,
  CommitmentPolicy,
  getLocalCryptographicMaterialsCache,
  type KeyringNode,
  NodeCachingMaterialsManager,
  RawAesKeyringNode,
  RawAesWrappingSuiteIdentifier,
} from "@aws-crypto/client-node";
import type { Contender, Context, Sealer } from "../contender.ts";

const PACKAGE = "@aws-crypto/client-node";
export const UNSIGNED = AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY;
export const client = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);

export function rawAesKeyring(): RawAesKeyringNode {
  return new RawAesKeyringNode({
    keyName: "bench",
    keyNamespace: "keyfold",
    unencryptedMasterKey: isolated(randomBytes(32)),
    wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
  });
}

/** In memory of its own: the SDK refuses a view of a shared pool. */
function isolated(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

/** With the values of the SDK's own example: 100 entries, and limits that no run reaches. */
export function caching(keyring: KeyringNode, capacity = 100): NodeCachingMaterialsManager {
  return new NodeCachingMaterialsManager({
    backingMaterials: keyring,
    cache: getLocalCryptographicMaterialsCache(capacity),
    maxAge: 3_600_000,
    maxMessagesEncrypted: 2 ** 32,
  });
}

type Materials = KeyringNode | NodeCachingMaterialsManager;

interface Variant {
  readonly name: string;
  readonly differs: string;
  readonly signed?: boolean;
  readonly oneContext?: boolean;
  readonly materials: () => Materials;
}

function variant({ name, differs, signed = false, oneContext = false, materials }: Variant): Contender {
  return {
    name,
    package: PACKAGE,
    modes: ["async"],
    takes: "bytes",
    differs,
    start: async () => sealer(materials(), signed, oneContext),
  };
}

function sealer(materials: Materials, signed: boolean, oneContext: boolean): Sealer {
  const fixed = { name: "one-for-all" };
  const suite = signed ? {} : { suiteId: UNSIGNED };
  return {
    seal: async (plaintext, context: Context) => {
      const encryptionContext = { ...(oneContext ? fixed : context) };
      return (await client.encrypt(materials, plaintext as Uint8Array, { ...suite, encryptionContext }))
        .result;
    },
    open: async (sealed, context) => {
      const { plaintext, messageHeader } = await client.decrypt(materials, sealed as Buffer);
      const expected = oneContext ? fixed : context;
      for (const key in expected) {
        if (messageHeader.encryptionContext[key] !== expected[key as keyof typeof expected])
          throw new Error("Another context.");
      }
      return plaintext;
    },
    stored: (sealed) => (sealed as Buffer).length,
  };
}

const COMMITS = "Commits to its key; stores the context in clear, and the caller compares it after opening.";

export const awsRaw: Contender = variant({
  name: "AWS Encryption SDK",
  differs: `Raw AES keyring, unsigned committing suite. ${COMMITS}`,
  materials: rawAesKeyring,
});

export const awsCaching: Contender = variant({
  name: "AWS Encryption SDK, cache",
  differs: `Raw AES keyring behind the caching materials manager, unsigned committing suite. ${COMMITS}`,
  materials: () => caching(rawAesKeyring()),
});

export const awsCachingOneContext: Contender = variant({
  name: "AWS Encryption SDK, cache, one context for all",
  differs: `The case that the cache is made for: every secret shares one context and one data key. ${COMMITS}`,
  oneContext: true,
  materials: () => caching(rawAesKeyring()),
});

export const awsDefault: Contender = variant({
  name: "AWS Encryption SDK, default suite",
  differs: `Raw AES keyring; the default suite also signs each message with ECDSA P-384. ${COMMITS}`,
  signed: true,
  materials: rawAesKeyring,
});

export const awsDefaultCaching: Contender = variant({
  name: "AWS Encryption SDK, default suite, cache",
  differs: `The same behind the caching materials manager. ${COMMITS}`,
  signed: true,
  materials: () => caching(rawAesKeyring()),
});
