/** The client of the AWS SDK: the part of it that is used, and how it is made when none is given. */

import type {
  DecryptCommand,
  DecryptCommandOutput,
  EncryptCommand,
  EncryptCommandOutput,
  KMSClientConfig,
} from "@aws-sdk/client-kms";
import { importPackage } from "@keyfold/core/provider";

/** What of a `KMSClient` is used. One of the SDK's fits, with whatever region, credentials and handlers it has. */
export interface AwsKmsClient {
  send(command: EncryptCommand, options: AwsKmsCallOptions): Promise<EncryptCommandOutput>;
  send(command: DecryptCommand, options: AwsKmsCallOptions): Promise<DecryptCommandOutput>;
}

export interface AwsKmsCallOptions {
  readonly abortSignal: AbortSignal;
}

/** The SDK, and a client to send its commands with. */
export interface Connection {
  readonly sdk: Sdk;
  readonly client: AwsKmsClient;
  /** Ends the sockets of a client that was made here; leaves a given one alone. */
  close(): void;
}

type Sdk = typeof import("@aws-sdk/client-kms");

/** How long a TCP connection may take. A lost first packet is sent again after a second. */
const CONNECTION_TIMEOUT_MS = 1_500;
/** How long an answer may take: short enough for a second try within keyfold's deadline of 5 s. AWS KMS takes some 10 ms. */
const REQUEST_TIMEOUT_MS = 2_000;

/** Imports the SDK, and makes a client where none is given. Makes no request. */
export async function connect(
  region: string | undefined,
  given: AwsKmsClient | undefined,
): Promise<Connection> {
  const sdk = await importPackage("@aws-sdk/client-kms", () => import("@aws-sdk/client-kms"));
  if (given !== undefined) return { sdk, client: given, close: () => undefined };
  const client = new sdk.KMSClient(configuration(region));
  return { sdk, client, close: () => client.destroy() };
}

/**
 * Keyfold retries, so the SDK does not. The timeouts are said here because the SDK has none of its own, and takes
 * `requestTimeout` for a wish to be warned unless it is told to throw.
 */
function configuration(region: string | undefined): KMSClientConfig {
  return {
    ...(region === undefined ? {} : { region }),
    maxAttempts: 1,
    retryMode: "standard",
    requestHandler: {
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      throwOnRequestTimeout: true,
    },
  };
}
