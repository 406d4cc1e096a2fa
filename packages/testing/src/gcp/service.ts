/** The service behind the wire: a request in, decoded, checked and answered, and a reply out. */

import { type Fault, Script } from "../faults.ts";
import type { Answer, Call, GrpcService } from "./grpc-server.ts";
import { GrpcStatus } from "./grpc-status.ts";
import { KeyStore, keyOf } from "./key-store.ts";
import { decrypt, encrypt, type GcpOperation } from "./operations.ts";
import { answerWith, meetFault, permissionDenied, type Reply, spoil } from "./reply-faults.ts";
import type { MessageType, Sdk } from "./sdk.ts";

/** A decoded request, which waits to be run. */
interface Pending {
  /** The key or version that it names. */
  readonly name: string;
  /** Does the work, and gives the reply encoded. */
  run(fault: Fault | undefined): Uint8Array;
}

export class Service implements GrpcService {
  readonly keys: KeyStore = new KeyStore();
  readonly script: Script = new Script();
  /** Operations on keys, "Encrypt projects/…", for want of a permission. */
  readonly denied: Set<string> = new Set();
  readonly #sdk: Sdk;

  constructor(sdk: Sdk) {
    this.#sdk = sdk;
  }

  async answer({ operation, headers, message }: Call): Promise<Answer> {
    const request = this.#read(operation, message);
    const fault = this.script.meet(operation, request.name);
    const key = keyOf(request.name);
    await meetFault(fault, operation, key);
    requireRouting(headers["x-goog-request-params"], request.name);
    if (this.denied.has(`${operation} ${key}`)) throw permissionDenied(operation, key);
    return answerWith(fault, request.run(fault));
  }

  /** A `google.rpc.Status` with a `google.rpc.RetryInfo`, where the status says when to try again. */
  statusDetails({ code, message, retryAfterMs }: GrpcStatus): Uint8Array | undefined {
    if (retryAfterMs === undefined) return undefined;
    const seconds = Math.floor(retryAfterMs / 1_000);
    const retryDelay = { seconds, nanos: (retryAfterMs % 1_000) * 1_000_000 };
    const value = encoded(this.#sdk.rpcType("RetryInfo"), { retryDelay });
    const details = [{ typeUrl: "type.googleapis.com/google.rpc.RetryInfo", value }];
    return encoded(this.#sdk.rpcType("Status"), { code, message, details });
  }

  #read(operation: string, message: Uint8Array): Pending {
    switch (operation) {
      case "Encrypt":
        return this.#pending(operation, message, encrypt);
      case "Decrypt":
        return this.#pending(operation, message, decrypt);
      default:
        throw new GrpcStatus("UNIMPLEMENTED", `The fake has no operation ${operation}.`);
    }
  }

  #pending<Request extends { readonly name: string }>(
    operation: GcpOperation,
    message: Uint8Array,
    work: (keys: KeyStore, request: Request) => Reply,
  ): Pending {
    const requestType = this.#sdk.messageType(`${operation}Request`);
    const replyType = this.#sdk.messageType(`${operation}Response`);
    const request = requestType.toObject(requestType.decode(message), { longs: String, defaults: true });
    return {
      name: request["name"],
      run: (fault) => encoded(replyType, { ...spoil(fault, work(this.keys, request as Request)) }),
    };
  }
}

/** Routing by the key's name, which the client repeats in a header: google.aip.dev/client-libraries/4222. */
function requireRouting(header: string | readonly string[] | undefined, name: string): void {
  if (header === `name=${encodeURIComponent(name)}`) return;
  throw new GrpcStatus("INVALID_ARGUMENT", "The header x-goog-request-params does not name the resource.");
}

function encoded(type: MessageType, message: Record<string, unknown>): Uint8Array {
  return type.encode(type.fromObject(message)).finish();
}
