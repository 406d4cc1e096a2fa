/** The algorithms as rows: what a wrap under each looks like, and how the service makes and opens it. */

import { createHash, timingSafeEqual } from "node:crypto";
import { type Bytes, badReply, concat, copyOf, KEY_BYTES, rejected, takeBytes } from "@keyfold/core/provider";
import type { AzureCallOptions, AzureCryptographyClient, AzureReply } from "./client.ts";

/** "RSA-OAEP-256" for RSA keys; "A256KW" and "A256GCM" for oct-HSM keys (Managed HSM, and Key Vault Premium). */
export type AzureKeyVaultAlgorithm = "RSA-OAEP-256" | "A256KW" | "A256GCM";

/** Makes one call of a version's client, and checks which key and algorithm answered. */
export type Ask = <R extends AzureReply>(
  operation: "wrapKey" | "unwrapKey" | "encrypt" | "decrypt",
  call: (client: AzureCryptographyClient, options: AzureCallOptions) => Promise<R>,
) => Promise<R>;

/** A row. docs/spec/envelope-v1.md, "Wraps". */
export interface Scheme {
  readonly algorithm: AzureKeyVaultAlgorithm;
  /** The first byte of a wrap. */
  readonly byte: number;
  /** Whether only somebody with a permission at the service can make such a wrap. */
  readonly authenticated: boolean;
  /** The possible numbers of bytes after the first one. */
  readonly lengths: readonly number[];
  /** @returns what follows the first byte */
  wrap(ask: Ask, key: Uint8Array, context: Uint8Array): Promise<Bytes>;
  unwrap(ask: Ask, wrapped: Uint8Array, context: Uint8Array): Promise<Bytes>;
}

const HASH_BYTES = 32;
const BOUND_BYTES = KEY_BYTES + HASH_BYTES;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const TAG_AT = IV_BYTES;
const SEALED_AT = IV_BYTES + TAG_BYTES;

export const schemes: readonly Scheme[] = [
  // A block of a modulus of 2,048, 3,072 or 4,096 bits.
  bound("RSA-OAEP-256", { byte: 1, authenticated: false, lengths: [256, 384, 512] }),
  // RFC 3394 adds eight bytes.
  bound("A256KW", { byte: 2, authenticated: true, lengths: [BOUND_BYTES + 8] }),
  {
    algorithm: "A256GCM",
    byte: 3,
    authenticated: true,
    lengths: [SEALED_AT + KEY_BYTES],
    wrap: encryptGcm,
    unwrap: decryptGcm,
  },
];

/** An algorithm without associated data: the key is wrapped together with a hash of the context, 64 bytes in all. */
function bound(
  algorithm: "RSA-OAEP-256" | "A256KW",
  row: Pick<Scheme, "byte" | "authenticated" | "lengths">,
): Scheme {
  return {
    algorithm,
    ...row,
    async wrap(ask, key, context) {
      const plain = concat(key, hashOf(context));
      try {
        const { result } = await ask("wrapKey", (client, options) =>
          client.wrapKey(algorithm, plain, options),
        );
        return taken(result, row.lengths);
      } finally {
        plain.fill(0);
      }
    },
    async unwrap(ask, wrapped, context) {
      const { result } = await ask("unwrapKey", (client, options) =>
        client.unwrapKey(algorithm, wrapped, options),
      );
      return keyBoundTo(context, taken(result, [BOUND_BYTES]));
    },
  };
}

function hashOf(context: Uint8Array): Uint8Array {
  return createHash("sha512").update(context).digest().subarray(0, HASH_BYTES);
}

/** The key out of key ‖ hash, which is wiped. */
function keyBoundTo(context: Uint8Array, plain: Bytes): Bytes {
  try {
    if (!timingSafeEqual(plain.subarray(KEY_BYTES), hashOf(context))) {
      throw rejected("The wrap was made for another KMS context.");
    }
    return copyOf(plain.subarray(0, KEY_BYTES));
  } finally {
    plain.fill(0);
  }
}

/** iv 12 ‖ tag 16 ‖ ciphertext 32. The service draws the iv. */
async function encryptGcm(ask: Ask, key: Uint8Array, context: Uint8Array): Promise<Bytes> {
  const reply = await ask("encrypt", (client, options) =>
    client.encrypt({ algorithm: "A256GCM", plaintext: key, additionalAuthenticatedData: context }, options),
  );
  return concat(
    taken(reply.iv, [IV_BYTES]),
    taken(reply.authenticationTag, [TAG_BYTES]),
    taken(reply.result, [KEY_BYTES]),
  );
}

async function decryptGcm(ask: Ask, wrapped: Uint8Array, context: Uint8Array): Promise<Bytes> {
  const parameters = {
    algorithm: "A256GCM",
    ciphertext: wrapped.subarray(SEALED_AT),
    iv: wrapped.subarray(0, TAG_AT),
    authenticationTag: wrapped.subarray(TAG_AT, SEALED_AT),
    additionalAuthenticatedData: context,
  } as const;
  const { result } = await ask("decrypt", (client, options) => client.decrypt(parameters, options));
  return taken(result, [KEY_BYTES]);
}

/** Bytes of a reply, of one of these lengths, in memory of their own. */
function taken(bytes: unknown, lengths: readonly number[]): Bytes {
  if (!(bytes instanceof Uint8Array)) throw badReply("The answer holds no bytes where it should.");
  const own = takeBytes(bytes);
  if (lengths.includes(own.length)) return own;
  own.fill(0);
  throw badReply(`The answer holds ${own.length} bytes where ${lengths.join(" or ")} are expected.`);
}
