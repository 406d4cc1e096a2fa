/** A server that speaks the protocol of Azure Key Vault on the loopback interface, for tests through the real SDK. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { Lazy } from "@keyfold/core/provider";
import { type FakeRequest, type Fault, type InjectOptions, Script } from "../faults.ts";
import { listen, stop } from "../loopback.ts";
import { befall, kidFor, requirePossible, spoiled } from "./azure-faults.ts";
import {
  type FakeAzureKeyType,
  type FakeAzureMaterial,
  newMaterial,
  publicJwk,
  runCrypto,
} from "./key-material.ts";
import { type FakeAzurePermission, KeyStore, type KeyVersion, requireUsable } from "./key-store.ts";
import { forbidden, notFound, ServiceError } from "./service-error.ts";
import { certificateFor, PinnedAgent } from "./tls.ts";
import { type FakeAzureCredential, Tokens } from "./tokens.ts";
import { cryptoBody, parseCrypto, readBody, readTarget, send, sendHalf, type VaultRequest } from "./wire.ts";

export interface FakeAzureKeyVaultOptions {
  /** "emulator.vault.azure.net" by default; "emulator.managedhsm.azure.net" makes a managed HSM of it. */
  readonly host?: string;
  /** Of the key that is there from the start; "RSA" by default, "oct-HSM" starts at once. */
  readonly kty?: FakeAzureKeyType;
  /** Of that key; "keyfold" by default. */
  readonly keyName?: string;
}

/** What the SDK's clients take as their options. */
export interface FakeAzureClientOptions {
  /** Reaches the fake, and trusts its certificate, under the production-like host name. */
  readonly agent: PinnedAgent;
}

export interface FakeAzureKeyOptions {
  readonly name?: string;
  readonly kty?: FakeAzureKeyType;
}

/**
 * Starts a fake key vault, or managed HSM, on a free port of 127.0.0.1, with one key.
 *
 * It speaks HTTPS under a host name like production's, asks for a token and checks it, holds real RSA-2048 and AES-256
 * keys, and checks what the service checks. Reading a key, wrapkey, unwrapkey, encrypt and decrypt are there, with the
 * algorithms RSA-OAEP-256, RSA-OAEP, A256KW and A256GCM.
 *
 * ```ts
 * await using vault = await startFakeAzureKeyVault();
 * const client = new KeyClient(vault.vaultUrl, vault.credential, vault.clientOptions);
 * ```
 */
export async function startFakeAzureKeyVault(
  options: FakeAzureKeyVaultOptions = {},
): Promise<FakeAzureKeyVault> {
  const { host = "emulator.vault.azure.net", kty = "RSA", keyName = "keyfold" } = options;
  const certificate = await certificateFor(host);
  const server = createServer(certificate);
  const port = await listen(server);
  const agent = new PinnedAgent(port, { ca: certificate.cert, keepAlive: true });
  return new FakeAzureKeyVault(
    server,
    { port, certificate: certificate.cert, agent },
    { host, kty, keyName },
  );
}

/** How the server is reached. */
interface Reached {
  readonly port: number;
  readonly certificate: string;
  readonly agent: PinnedAgent;
}

/** A fake vault that is running: its keys, what it was asked, and what it shall do wrong. */
export class FakeAzureKeyVault implements AsyncDisposable {
  /** `https://` and the host. */
  readonly vaultUrl: string;
  /** The name of the key that is there from the start. */
  readonly keyName: string;
  /** Its id with the first version. */
  readonly keyId: string;
  /** For the SDK's clients, as the last argument of their constructors. */
  readonly clientOptions: FakeAzureClientOptions;
  /** On 127.0.0.1: with the certificate, for an agent in another process. */
  readonly port: number;
  /** The server's own, in PEM, which it signed itself. */
  readonly certificate: string;
  /** How refusals for want of a permission are called: by roles, or by an access policy. */
  denial: "ForbiddenByRbac" | "AccessDenied" = "ForbiddenByRbac";
  /** Whether the vault's firewall keeps every request out. */
  firewall = false;
  readonly #server: Server;
  readonly #store: KeyStore = new KeyStore((kty) => new Lazy(() => newMaterial(kty)));
  readonly #tokens: Tokens;
  readonly #script = new Script();
  readonly #denied = new Set<FakeAzurePermission>();
  readonly #closing = new AbortController();

  constructor(
    server: Server,
    { port, certificate, agent }: Reached,
    { host, kty, keyName }: Required<FakeAzureKeyVaultOptions>,
  ) {
    this.vaultUrl = `https://${host}`;
    // Everything after the vault's own name: https://vault.azure.net, https://managedhsm.azure.net.
    this.#tokens = new Tokens(`https://${host.slice(host.indexOf(".") + 1)}`);
    this.keyName = keyName;
    this.keyId = this.createKey({ name: keyName, kty });
    this.clientOptions = { agent };
    this.port = port;
    this.certificate = certificate;
    this.#server = server;
    server.on("request", (incoming, response) => {
      void this.#serve(incoming, response);
    });
  }

  /** Gives tokens that this vault accepts. */
  get credential(): FakeAzureCredential {
    return this.#tokens.credential;
  }

  /** The requests that carried a good token, in the order in which they came. */
  get requests(): readonly FakeRequest[] {
    return this.#script.requests;
  }

  /** How many requests came without a token and were told where to get one. */
  get challenges(): number {
    return this.#tokens.challenges;
  }

  /** How many tokens the credential has given. */
  get tokens(): number {
    return this.#tokens.given;
  }

  /** Says in the challenge that tokens are for another resource, as a vault of somebody else's might. */
  set challengeResource(resource: string) {
    this.#tokens.resource = resource;
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

  /** A new key, or a new version of one that is there. @returns its id, with the version */
  createKey({ name = this.keyName, kty = "RSA" }: FakeAzureKeyOptions = {}): string {
    return this.#kid(name, this.#store.add(name, kty));
  }

  /** Another version, from now on the newest. @returns its id */
  rotate(name: string = this.keyName): string {
    return this.createKey({ name, kty: this.#store.find(name).found.kty });
  }

  /** @param key an id with a version, or a name for the newest version; so for all below */
  disable(key: string = this.keyName): void {
    this.#at(key).enabled = false;
  }

  enable(key: string = this.keyName): void {
    this.#at(key).enabled = true;
  }

  /** Ends the validity of a version: it unwraps and decrypts, and does nothing else. */
  expire(key: string = this.keyName): void {
    this.#at(key).expires = Date.now() - 1_000;
  }

  /** Begins the validity of a version in an hour; until then it is as one that has expired. */
  postpone(key: string = this.keyName): void {
    this.#at(key).notBefore = Date.now() + 3_600_000;
  }

  /** Deletes a key, all its versions, so that it can be recovered. */
  delete(name: string = this.keyName): void {
    this.#store.setDeleted(name, true);
  }

  recover(name: string = this.keyName): void {
    this.#store.setDeleted(name, false);
  }

  /** Ends a key for good. */
  purge(name: string = this.keyName): void {
    this.#store.purge(name);
  }

  /** Takes permissions away. */
  deny(...permissions: readonly FakeAzurePermission[]): void {
    for (const permission of permissions) this.#denied.add(permission);
  }

  /** Gives permissions back. At the start everything is permitted. */
  allow(...permissions: readonly FakeAzurePermission[]): void {
    for (const permission of permissions) this.#denied.delete(permission);
  }

  /** Ends every token that was given until now. */
  expireTokens(): void {
    this.#tokens.expireAll();
  }

  /** The key itself, for tests that wrap, unwrap or forge without the service. */
  material(key: string = this.keyName): Promise<FakeAzureMaterial> {
    return this.#at(key).material.get();
  }

  /** Stops the server and ends what is under way. Twice is fine. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.clientOptions.agent.destroy();
    await stop(this.#server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#answer(incoming, response);
    } catch (error) {
      if (this.#closing.signal.aborted) response.destroy();
      else this.#refuse(error, response);
    }
  }

  #refuse(error: unknown, response: ServerResponse): void {
    const refusal =
      error instanceof ServiceError
        ? error
        : new ServiceError(500, "InternalServerError", `The fake has a defect: ${String(error)}`);
    send(response, refusal.status, refusal.body, refusal.headers);
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(incoming);
    const requestId = String(incoming.headers["x-ms-client-request-id"]);
    this.#tokens.require(incoming.headers.authorization, requestId);
    const request = readTarget(incoming.method ?? "", new URL(incoming.url ?? "", this.vaultUrl));
    const key = [request.name, ...(request.version === undefined ? [] : [request.version])].join("/");
    const fault = this.#script.meet(request.operation, key);
    if (fault?.kind === "silent") return;
    if (fault?.kind === "expired-credentials") throw this.#tokens.expired(requestId);
    await befall(fault, this.#closing.signal);
    const answer = await this.#work(request, body, incoming.headers["content-type"], fault);
    if (fault?.kind === "cut") sendHalf(response, answer);
    else if (fault?.kind === "malformed") send(response, 200, JSON.stringify(answer).slice(0, 30));
    else send(response, 200, answer);
  }

  async #work(
    request: VaultRequest,
    body: string,
    contentType: string | undefined,
    fault: Fault | undefined,
  ): Promise<object> {
    const { operation } = request;
    this.#requirePermission(operation);
    const { name, found } = this.#store.find(request.name, request.version);
    const kid = kidFor(this.#kid(name, found), fault);
    if (operation === "get") return keyBundle(kid, found, await found.material.get());
    const { algorithm, ...input } = parseCrypto(body, contentType);
    requireUsable(found, operation);
    const output = runCrypto(await found.material.get(), operation, algorithm, input);
    return cryptoBody(kid, spoiled(output, fault, operation === "unwrapKey" || operation === "decrypt"));
  }

  #requirePermission(operation: FakeAzurePermission): void {
    if (this.firewall) {
      throw forbidden(
        "ForbiddenByFirewall",
        "Client address is not authorized and caller is not a trusted service.",
      );
    }
    if (this.#denied.has(operation)) {
      throw forbidden(this.denial, "Caller is not authorized to perform action on resource.");
    }
  }

  #kid(name: string, { version }: KeyVersion): string {
    return `${this.vaultUrl}/keys/${name}/${version}`;
  }

  /** The version that a test names. */
  #at(key: string): KeyVersion {
    if (!key.includes("/")) return this.#store.find(key).found;
    const [name, version] = key.startsWith(`${this.vaultUrl}/keys/`)
      ? key.slice(this.vaultUrl.length + "/keys/".length).split("/")
      : [];
    if (name === undefined) throw notFound(key);
    return this.#store.find(name, version).found;
  }
}

function keyBundle(kid: string, version: KeyVersion, material: FakeAzureMaterial): object {
  const { enabled, created, notBefore, expires } = version;
  return {
    key: { kid, kty: version.kty, ...publicJwk(material) },
    attributes: {
      enabled,
      created: seconds(created),
      updated: seconds(created),
      ...(notBefore === undefined ? {} : { nbf: seconds(notBefore) }),
      ...(expires === undefined ? {} : { exp: seconds(expires) }),
      recoveryLevel: "Recoverable+Purgeable",
      recoverableDays: 90,
    },
  };
}

function seconds(ms: number): number {
  return Math.floor(ms / 1_000);
}
