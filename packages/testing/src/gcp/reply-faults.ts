/** What each fault of faults.ts is in Cloud KMS. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Fault, InjectOptions } from "../faults.ts";
import { crc32c } from "./crc32c.ts";
import type { Answer } from "./grpc-server.ts";
import { GrpcStatus } from "./grpc-status.ts";
import type { DecryptReply, EncryptReply } from "./operations.ts";

export type Reply = EncryptReply | DecryptReply;

/** A tag with wire type 7, which there is not: no message begins with it. */
const NO_MESSAGE = Uint8Array.of(0xff, 0xff, 0xff, 0xff);

/** Only the reply of Encrypt says which key answered. */
export function requireMeaning(fault: Fault, { operation }: InjectOptions): void {
  if (fault.kind !== "another-key" || operation === "Encrypt") return;
  throw new Error(
    'Cloud KMS names the key in the reply of Encrypt alone: inject "another-key" with { operation: "Encrypt" }.',
  );
}

/** Before the work: waits, or throws what the fault has the service say. */
export async function meetFault(fault: Fault | undefined, operation: string, key: string): Promise<void> {
  switch (fault?.kind) {
    case "slow":
      await sleep(fault.ms, undefined, { ref: false });
      break;
    case "throttled":
      throw new GrpcStatus(
        "RESOURCE_EXHAUSTED",
        "Quota exceeded for quota metric 'Cryptographic requests' and limit 'Cryptographic requests per minute'.",
        fault.retryAfterMs,
      );
    case "denied":
      throw permissionDenied(operation, key);
    case "expired-credentials":
      throw new GrpcStatus(
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
      );
    case "down":
      throw new GrpcStatus("UNAVAILABLE", "The service is currently unavailable.");
    default:
  }
}

/** After the work: the reply as the fault leaves it. */
export function spoil<T extends Reply>(fault: Fault | undefined, reply: T): T {
  switch (fault?.kind) {
    case "another-key":
      return {
        ...reply,
        name: "projects/another/locations/global/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
      };
    case "bad-checksum":
      return "plaintext" in reply
        ? { ...reply, plaintext: altered(reply.plaintext) }
        : { ...reply, ciphertext: altered(reply.ciphertext) };
    case "bad-length":
      return "plaintext" in reply
        ? { ...reply, ...withChecksum("plaintext", reply.plaintext.subarray(1)) }
        : { ...reply, ...withChecksum("ciphertext", new Uint8Array()) };
    default:
      return reply;
  }
}

/** How the encoded reply is sent. */
export function answerWith(fault: Fault | undefined, message: Uint8Array): Answer {
  switch (fault?.kind) {
    case "silent":
      return { kind: "none" };
    case "cut":
      return { kind: "cut", message };
    case "malformed":
      return { kind: "message", message: NO_MESSAGE };
    default:
      return { kind: "message", message };
  }
}

export function permissionDenied(operation: string, key: string): GrpcStatus {
  return new GrpcStatus(
    "PERMISSION_DENIED",
    `Permission 'cloudkms.cryptoKeyVersions.useTo${operation}' denied on resource '${key}' (or it may not exist).`,
  );
}

function altered(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte, at) => (at === bytes.length - 1 ? byte ^ 1 : byte));
}

function withChecksum(field: string, bytes: Uint8Array): Record<string, unknown> {
  return { [field]: bytes, [`${field}Crc32c`]: { value: crc32c(bytes) } };
}
