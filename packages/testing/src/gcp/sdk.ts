/** What the fake takes from the installed SDK: its messages, and credentials of the very copy of gRPC that clients use. */

import { createRequire } from "node:module";
import type * as Gax from "google-gax";

/** A message type of the SDK's protos. */
export type MessageType = Gax.protobuf.Type;

export interface Sdk {
  /** The type of that name in `google.cloud.kms.v1`. */
  messageType(name: string): MessageType;
  /** A type of an error's details: `Status`, `RetryInfo`. */
  rpcType(name: string): MessageType;
  /** Channel credentials for a connection without TLS. */
  readonly sslCreds: Gax.ChannelCredentials;
  /** A client of the auth library, so that no client looks for real credentials. */
  readonly authClient: InstanceType<typeof Gax.googleAuthLibrary.OAuth2Client>;
}

/** @throws an Error that says to install `@google-cloud/kms` where it is missing */
export function loadSdk(): Sdk {
  const kms = createRequire(resolveKms());
  const gaxPath = kms.resolve("google-gax");
  const gax: typeof Gax = kms("google-gax");
  const auth: typeof Gax.googleAuthLibrary = createRequire(gaxPath)("google-auth-library");
  const protos = gax.protobuf.Root.fromJSON(kms("../protos/protos.json"));
  const rpc = gax.protobuf.Root.fromJSON(rpcMessages);
  return {
    messageType: (name) => protos.lookupType(`google.cloud.kms.v1.${name}`),
    rpcType: (name) => rpc.lookupType(`google.rpc.${name}`),
    sslCreds: gax.grpc.credentials.createInsecure(),
    authClient: new auth.OAuth2Client(),
  };
}

function resolveKms(): string {
  try {
    return createRequire(import.meta.url).resolve("@google-cloud/kms");
  } catch (cause) {
    throw new Error("startFakeGcpKms needs @google-cloud/kms: npm install --save-dev @google-cloud/kms", {
      cause,
    });
  }
}

/** `google/rpc/status.proto` and `error_details.proto`, as far as the fake has use for them. */
const rpcMessages: Gax.protobuf.INamespace = {
  nested: {
    google: {
      nested: {
        rpc: {
          nested: {
            Any: { fields: { typeUrl: { type: "string", id: 1 }, value: { type: "bytes", id: 2 } } },
            Duration: { fields: { seconds: { type: "int64", id: 1 }, nanos: { type: "int32", id: 2 } } },
            RetryInfo: { fields: { retryDelay: { type: "Duration", id: 1 } } },
            Status: {
              fields: {
                code: { type: "int32", id: 1 },
                message: { type: "string", id: 2 },
                details: { rule: "repeated", type: "Any", id: 3 },
              },
            },
          },
        },
      },
    },
  },
};
