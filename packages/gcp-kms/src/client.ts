/** The part of the SDK's client that is used, and a client of our own where none is given. */

import { importPackage, Lazy } from "@keyfold/core/provider";
import { credentialsFailure } from "./errors.ts";

/** A checksum as it is sent (a number), and as it comes back (decimal digits). A bare number is no message. */
export interface GcpChecksum {
  value?: number | string | { toString(): string } | null;
}

/** How one call is made. Mutable types, as the SDK's are. */
export interface GcpCallOptions {
  /** Milliseconds after which the SDK gives up. */
  timeout: number;
  /** No code is retried. */
  retry: { retryCodes: number[] };
  /** Heeded from release 6 on. */
  signal: AbortSignal;
}

export interface GcpEncryptRequest {
  name: string;
  plaintext: Uint8Array;
  plaintextCrc32c: { value: number };
  additionalAuthenticatedData: Uint8Array;
  additionalAuthenticatedDataCrc32c: { value: number };
}

export interface GcpEncryptReply {
  name?: string | null;
  ciphertext?: Uint8Array | string | null;
  ciphertextCrc32c?: GcpChecksum | null;
  verifiedPlaintextCrc32c?: boolean | null;
  verifiedAdditionalAuthenticatedDataCrc32c?: boolean | null;
}

export interface GcpDecryptRequest {
  name: string;
  ciphertext: Uint8Array;
  ciphertextCrc32c: { value: number };
  additionalAuthenticatedData: Uint8Array;
  additionalAuthenticatedDataCrc32c: { value: number };
}

export interface GcpDecryptReply {
  plaintext?: Uint8Array | string | null;
  plaintextCrc32c?: GcpChecksum | null;
}

/** What is used of a `KeyManagementServiceClient` of `@google-cloud/kms`; the real one fits. */
export interface GcpKmsClient {
  encrypt(
    request: GcpEncryptRequest,
    options: GcpCallOptions,
  ): Promise<readonly [GcpEncryptReply, ...unknown[]]>;
  decrypt(
    request: GcpDecryptRequest,
    options: GcpCallOptions,
  ): Promise<readonly [GcpDecryptReply, ...unknown[]]>;
  /** Finds the credentials. Called before every call; the real one does its work once. */
  initialize?(): Promise<unknown>;
}

/** Where a provider has its client from. */
export interface ClientSource {
  /** Imports what is needed, and makes no request. */
  load(): Promise<void>;
  /** A client that has its credentials. */
  client(): Promise<GcpKmsClient>;
  /** Ends what the source itself opened. */
  close(): Promise<void>;
}

/** The user's own client, used as it is and never closed. */
export function injectedClient(client: GcpKmsClient): ClientSource {
  return {
    load: async () => undefined,
    client: () => initialized(client),
    close: async () => undefined,
  };
}

/** A client on the SDK's credential chain, made when first asked for, and again if that failed. */
export function ownClient(): ClientSource {
  const made = new Lazy(async () => {
    const { KeyManagementServiceClient } = await importSdk();
    return initialized(new KeyManagementServiceClient(CLIENT_OPTIONS));
  });
  return {
    load: async () => {
      await importSdk();
    },
    client: () => made.get(),
    close: async () => {
      const [outcome] = await Promise.allSettled([made.made]);
      if (outcome.status === "fulfilled") await outcome.value?.close();
    },
  };
}

const CLIENT_OPTIONS = {
  /** gRPC also where a test environment defines `window`, which the SDK takes for a browser. */
  fallback: false,
  /** Calls are minutes or hours apart: a connection that a firewall has meanwhile forgotten must not be the one that is used. */
  "grpc.client_idle_timeout_ms": 60_000,
  /** By default a connection is tried again only every two minutes once an outage has lasted. */
  "grpc.max_reconnect_backoff_ms": 2_000,
} as const;

/**
 * Awaited before a call, because a call on a client that finds no credentials rejects twice, and the second rejection is one
 * that nobody can catch: it ends the process.
 */
async function initialized<T extends GcpKmsClient>(client: T): Promise<T> {
  try {
    await client.initialize?.();
  } catch (error) {
    throw credentialsFailure(error);
  }
  return client;
}

function importSdk(): Promise<typeof import("@google-cloud/kms")> {
  return importPackage("@google-cloud/kms", () => import("@google-cloud/kms"));
}
