/** A server that speaks the protocol of AWS KMS on the loopback interface, for tests through the real SDK. */

import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type FakeRequest, type Fault, type InjectOptions, Script } from "../faults.ts";
import { listen, stop } from "../loopback.ts";
import { answer, type Outcome, requirePossible, type Work } from "./aws-faults.ts";
import { type Context, decrypt, encrypt, keyOf } from "./ciphertext.ts";
import { parseInput } from "./input.ts";
import { type AwsKeyState, KeyStore } from "./key-store.ts";
import { operations } from "./operations.ts";
import { ServiceError } from "./service-error.ts";
import { type Credentials, requireSignature } from "./sigv4.ts";
import { operationOf, readRequest, refusal, send, sendHalf, unknownOperation } from "./wire.ts";

export interface FakeAwsKmsOptions {
  /** Where `keyArn` is made, and what `clientConfig` names; "eu-central-1" by default. */
  readonly region?: string;
  /** 12 digits: the account that the credentials belong to; "111122223333" by default. */
  readonly account?: string;
}

/** Where a new key lies: what is left out is as in the options of the server. */
export interface FakeAwsKeyOptions {
  readonly multiRegion?: boolean;
  readonly region?: string;
  readonly account?: string;
}

/** What `new KMSClient(…)` takes. */
export interface FakeAwsClientConfig {
  readonly region: string;
  readonly endpoint: string;
  readonly credentials: Credentials;
}

/** The operations that the fake has, and what ReEncrypt is permitted as; "*" is all of them. */
export type FakeAwsAction =
  | "Encrypt"
  | "Decrypt"
  | "GenerateDataKey"
  | "ReEncryptFrom"
  | "ReEncryptTo"
  | "DescribeKey"
  | "*";

/**
 * Starts a fake AWS KMS on a free port of 127.0.0.1, with one key and the alias `alias/keyfold` for it.
 *
 * It speaks JSON 1.1, verifies Signature Version 4 (the region in it chooses the region), encrypts with AES-256-GCM
 * under random keys, and checks what the service checks. Encrypt, Decrypt, GenerateDataKey, ReEncrypt and DescribeKey
 * are there. One server stands for all regions and accounts.
 *
 * ```ts
 * await using kms = await startFakeAwsKms();
 * const client = new KMSClient(kms.clientConfig);
 * ```
 */
export async function startFakeAwsKms(options: FakeAwsKmsOptions = {}): Promise<FakeAwsKms> {
  const { region = "eu-central-1", account = "111122223333" } = options;
  const server = createServer();
  return new FakeAwsKms(server, await listen(server), { region, account });
}

/** A fake AWS KMS that is running: its keys, what it was asked, and what it shall do wrong. */
export class FakeAwsKms implements AsyncDisposable {
  readonly region: string;
  readonly account: string;
  /** `http://127.0.0.1:` and a port: what the environment variable `AWS_ENDPOINT_URL_KMS` may hold. */
  readonly endpoint: string;
  readonly credentials: Credentials;
  /** The key that is there from the start. */
  readonly keyArn: string;
  /** Its alias. */
  readonly alias: string = "alias/keyfold";
  readonly #server: Server;
  readonly #store = new KeyStore();
  readonly #script = new Script();
  readonly #closing = new AbortController();

  constructor(server: Server, port: number, { region, account }: Required<FakeAwsKmsOptions>) {
    this.region = region;
    this.account = account;
    this.endpoint = `http://127.0.0.1:${port}`;
    this.credentials = {
      accessKeyId: `AKIA${randomBytes(8).toString("hex").toUpperCase()}`,
      secretAccessKey: randomBytes(30).toString("base64url"),
    };
    this.keyArn = this.createKey();
    this.moveAlias(this.alias, this.keyArn);
    this.#server = server;
    server.on("request", (incoming, response) => this.#serve(incoming, response));
  }

  /** For `new KMSClient(…)`; for another region, `{ ...kms.clientConfig, region }`. */
  get clientConfig(): FakeAwsClientConfig {
    return { region: this.region, endpoint: this.endpoint, credentials: this.credentials };
  }

  /** The requests that were signed as they must be, in the order in which they came. */
  get requests(): readonly FakeRequest[] {
    return this.#script.requests;
  }

  /** What befalls the next requests. A fault that the protocol has no room for ("bad-checksum") throws. */
  inject(fault: Fault, options?: InjectOptions): void {
    requirePossible(fault);
    this.#script.inject(fault, options);
  }

  /** Forgets the faults that are still to come. */
  clear(): void {
    this.#script.clear();
  }

  /** @returns the ARN of a new key, which is enabled */
  createKey({
    multiRegion = false,
    region = this.region,
    account = this.account,
  }: FakeAwsKeyOptions = {}): string {
    return this.#store.create({ region, account }, multiRegion).arn;
  }

  /** @returns the ARN of a replica of a multi-Region key */
  replicate(arn: string, region: string): string {
    return this.#store.replicate(arn, region).arn;
  }

  /** New material for a key and its replicas; the old still decrypts what it encrypted. */
  rotate(arn: string): void {
    this.#store.rotate(arn);
  }

  disable(arn: string): void {
    this.setState(arn, "Disabled");
  }

  enable(arn: string): void {
    this.setState(arn, "Enabled");
  }

  scheduleDeletion(arn: string): void {
    this.setState(arn, "PendingDeletion");
  }

  /** As with the service, the key is disabled then. */
  cancelDeletion(arn: string): void {
    this.setState(arn, "Disabled");
  }

  setState(arn: string, state: AwsKeyState): void {
    this.#store.get(arn).state = state;
  }

  /** As after the waiting period: the key is gone, with all that it encrypted. */
  destroy(arn: string): void {
    this.#store.destroy(arn);
  }

  /** Points an alias (`alias/` and a name), new or not, at a key. It lies in that key's account and region. */
  moveAlias(alias: string, arn: string): void {
    this.#store.setAlias(alias, arn);
  }

  /** Takes a permission away, from one key or from all; `allow` with the same arguments gives it back. */
  deny(action: FakeAwsAction = "*", arn = "*"): void {
    this.#store.deny(action, arn);
  }

  allow(action: FakeAwsAction = "*", arn = "*"): void {
    this.#store.allow(action, arn);
  }

  /** @returns a grant token that permits one operation on one key, whatever `deny` took away */
  grant(action: Exclude<FakeAwsAction, "*">, arn: string): string {
    return this.#store.grant(action, arn);
  }

  /** Encrypts under a key without a request, whatever its state and the permissions. */
  encryptBlob(arn: string, plaintext: Uint8Array, context: Context = {}): Uint8Array {
    return encrypt(this.#store.get(arn), plaintext, context);
  }

  /** Decrypts what any key here encrypted, without a request; throws where the context is another one. */
  decryptBlob(blob: Uint8Array, context: Context = {}): Uint8Array {
    return decrypt(keyOf(blob, this.#store), blob, context).plaintext;
  }

  /** Ends the server and every connection. Twice is fine. */
  async close(): Promise<void> {
    this.#closing.abort();
    await stop(this.#server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      deliver(response, await this.#answer(incoming));
    } catch (error) {
      if (response.destroyed || this.#closing.signal.aborted) response.destroy();
      else send(response, refusal(error instanceof ServiceError ? error : internalError(error)));
    }
  }

  async #answer(incoming: IncomingMessage): Promise<Outcome> {
    const request = await readRequest(incoming);
    const region = requireSignature(request, this.credentials, Date.now());
    const name = operationOf(request);
    const operation = operations.get(name);
    if (operation === undefined) throw unknownOperation();
    const input = parseInput(request.body);
    const key = String(input[operation.keyMember] ?? "");
    const caller = { account: this.account, region };
    const work: Work = {
      operation: name,
      key,
      run: () => operation.run({ input, store: this.#store, caller }),
    };
    return answer(work, this.#script.meet(name, key), this.#closing.signal);
  }
}

/** A defect of this fake, said as the service says one of its own. */
function internalError(error: unknown): ServiceError {
  return new ServiceError("KMSInternalException", String(error), 500);
}

function deliver(response: ServerResponse, { reply, cut = false }: Outcome): void {
  if (reply === undefined) return;
  if (cut) sendHalf(response, reply);
  else send(response, reply);
}
