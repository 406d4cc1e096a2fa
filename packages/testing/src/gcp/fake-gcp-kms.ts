/** Google Cloud KMS on the loopback interface, for tests. */

import type { FakeRequest, Fault, InjectOptions } from "../faults.ts";
import { type GrpcServer, startGrpcServer } from "./grpc-server.ts";
import type { GcpKeyOptions } from "./key-store.ts";
import { type GcpOperation, OPERATIONS } from "./operations.ts";
import { requireMeaning } from "./reply-faults.ts";
import { loadSdk, type Sdk } from "./sdk.ts";
import { Service } from "./service.ts";

export type { GcpKeyOptions, GcpProtectionLevel } from "./key-store.ts";
export type { GcpOperation } from "./operations.ts";

/** For `new KeyManagementServiceClient(…)`, whose options take any name: hence no interface. */
export type FakeGcpKmsClientOptions = {
  readonly apiEndpoint: string;
  readonly port: number;
  /** Of the installed SDK's own copy of gRPC. Nothing to look into, so its type fits every release of the SDK. */
  readonly sslCreds: never;
  /** Keeps the client from looking for real credentials. As opaque. */
  readonly authClient: never;
};

/**
 * A Cloud KMS that runs. It speaks gRPC as the service does, holds real AES-256 keys, checks what the service checks
 * (names, sizes, checksums, states), and takes faults. Beyond Encrypt and Decrypt it has no operation.
 */
export interface FakeGcpKms extends AsyncDisposable {
  /** On 127.0.0.1. */
  readonly port: number;
  /** The software key that is there from the start. */
  readonly keyName: string;
  readonly clientOptions: FakeGcpKmsClientOptions;
  /** Every Encrypt and Decrypt that came, those that were refused included. */
  readonly requests: readonly FakeRequest[];

  /** Makes a key with one enabled version. @returns its name */
  createKey(options?: GcpKeyOptions): string;
  /** Deletes the key with all its versions: it is not found then. */
  deleteKey(keyName: string): void;
  /** The name of the version that encrypts now. */
  primary(keyName: string): string;
  /** Makes a new primary version; the old ones still decrypt. @returns the new version's name */
  rotate(keyName: string): string;
  /** Each takes a version's name. A version that is not enabled answers with FAILED_PRECONDITION. */
  enable(version: string): void;
  disable(version: string): void;
  scheduleDestruction(version: string): void;
  /** For good: the material is wiped. */
  destroy(version: string): void;
  /** Answers with PERMISSION_DENIED for the key, in one operation or in all, until `allow`. */
  deny(keyName: string, operation?: GcpOperation): void;
  allow(keyName: string): void;

  /** Encrypts with the key's own material, past the service: no request, no check of states. */
  encryptBlob(keyName: string, plaintext: Uint8Array, aad: Uint8Array): Uint8Array;
  /** The inverse; undefined where the ciphertext does not open. */
  decryptBlob(keyName: string, ciphertext: Uint8Array, aad: Uint8Array): Uint8Array | undefined;

  /** Brings a fault upon the next requests. "another-key" is for Encrypt alone: Decrypt's reply names no key. */
  inject(fault: Fault, options?: InjectOptions & { readonly operation?: GcpOperation }): void;
  /** Forgets the faults that are still to come. */
  clear(): void;
  close(): Promise<void>;
}

/**
 * Starts a fake Cloud KMS on a free port of 127.0.0.1, in one line:
 * `await using kms = await startFakeGcpKms();`. Needs `@google-cloud/kms`, an optional peer of this package.
 *
 * @param options of the first key
 */
export async function startFakeGcpKms(options: GcpKeyOptions = {}): Promise<FakeGcpKms> {
  const sdk = loadSdk();
  const service = new Service(sdk);
  const server = await startGrpcServer(service);
  return new Fake(service, server, sdk, service.keys.create(options));
}

class Fake implements FakeGcpKms {
  readonly port: number;
  readonly keyName: string;
  readonly clientOptions: FakeGcpKmsClientOptions;
  readonly #service: Service;
  readonly #server: GrpcServer;

  constructor(service: Service, server: GrpcServer, { sslCreds, authClient }: Sdk, keyName: string) {
    this.port = server.port;
    this.keyName = keyName;
    const opaque = { sslCreds: sslCreds as never, authClient: authClient as never };
    this.clientOptions = { apiEndpoint: "127.0.0.1", port: server.port, ...opaque };
    this.#service = service;
    this.#server = server;
  }

  get requests(): readonly FakeRequest[] {
    return this.#service.script.requests;
  }

  createKey(options?: GcpKeyOptions): string {
    return this.#service.keys.create(options);
  }

  deleteKey(keyName: string): void {
    this.#service.keys.delete(keyName);
  }

  primary(keyName: string): string {
    return this.#service.keys.get(keyName).primary.name;
  }

  rotate(keyName: string): string {
    return this.#service.keys.get(keyName).rotate().name;
  }

  enable(version: string): void {
    this.#service.keys.version(version).state = "ENABLED";
  }

  disable(version: string): void {
    this.#service.keys.version(version).state = "DISABLED";
  }

  scheduleDestruction(version: string): void {
    this.#service.keys.version(version).state = "DESTROY_SCHEDULED";
  }

  destroy(version: string): void {
    const destroyed = this.#service.keys.version(version);
    destroyed.state = "DESTROYED";
    destroyed.material.fill(0);
  }

  deny(keyName: string, operation?: GcpOperation): void {
    for (const each of operation === undefined ? OPERATIONS : [operation]) {
      this.#service.denied.add(`${each} ${keyName}`);
    }
  }

  allow(keyName: string): void {
    for (const each of OPERATIONS) this.#service.denied.delete(`${each} ${keyName}`);
  }

  encryptBlob(keyName: string, plaintext: Uint8Array, aad: Uint8Array): Uint8Array {
    const key = this.#service.keys.get(keyName);
    return key.encrypt(key.primary, plaintext, aad);
  }

  decryptBlob(keyName: string, ciphertext: Uint8Array, aad: Uint8Array): Uint8Array | undefined {
    return this.#service.keys.get(keyName).decrypt(ciphertext, aad);
  }

  inject(fault: Fault, options: InjectOptions = {}): void {
    requireMeaning(fault, options);
    this.#service.script.inject(fault, options);
  }

  clear(): void {
    this.#service.script.clear();
  }

  close(): Promise<void> {
    return this.#server.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
