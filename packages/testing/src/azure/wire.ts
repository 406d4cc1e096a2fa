/** Requests and answers of the REST API, api-version 7.0 to 2025-07-01, as far as keys are used. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { CryptoInput, CryptoOperation, CryptoOutput } from "./key-material.ts";
import type { FakeAzurePermission } from "./key-store.ts";
import { badParameter, ServiceError } from "./service-error.ts";

export interface VaultRequest {
  readonly operation: FakeAzurePermission;
  readonly name: string;
  /** Undefined for the newest. */
  readonly version: string | undefined;
}

export interface CryptoRequest extends CryptoInput {
  readonly algorithm: string;
}

const verbs: ReadonlyMap<string, CryptoOperation> = new Map([
  ["wrapkey", "wrapKey"],
  ["unwrapkey", "unwrapKey"],
  ["encrypt", "encrypt"],
  ["decrypt", "decrypt"],
]);

const API_VERSION = /^(7\.\d|20\d\d-\d\d-\d\d)$/;

/** `GET /keys/name[/version]` and `POST /keys/name[/version]/verb`; the SDK leaves an empty segment for no version. */
export function readTarget(method: string, url: URL): VaultRequest {
  if (!API_VERSION.test(url.searchParams.get("api-version") ?? "")) {
    throw badParameter("The api-version parameter is missing or not one that is known.");
  }
  const [collection, name, ...rest] = url.pathname.split("/").filter((segment) => segment !== "");
  const operation = method === "POST" ? verbs.get(rest.pop() ?? "") : "get";
  if (collection !== "keys" || name === undefined || operation === undefined || rest.length > 1) {
    throw new ServiceError(404, "NotFound", "There is nothing at this address.");
  }
  return { operation, name, version: rest[0] };
}

export async function readBody(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

/** A request without its body, or with one that is no JSON, is what the service calls a bad parameter. */
export function parseCrypto(body: string, contentType: string | undefined): CryptoRequest {
  const members = contentType?.startsWith("application/json") ? jsonObject(body) : undefined;
  const algorithm = members?.get("alg");
  const value = bytesOf(members?.get("value"));
  if (typeof algorithm !== "string" || value === undefined) {
    throw badParameter("The request must be JSON with the members alg and value.");
  }
  const [iv, tag, aad] = ["iv", "tag", "aad"].map((name) => bytesOf(members?.get(name)));
  return { algorithm, value, iv, tag, aad };
}

function jsonObject(text: string): ReadonlyMap<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === "object" && parsed !== null ? new Map(Object.entries(parsed)) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function bytesOf(text: unknown): Uint8Array | undefined {
  if (text === undefined || text === null) return undefined;
  if (typeof text !== "string" || !/^[\w-]*$/.test(text)) throw badParameter("A member is not base64url.");
  return Buffer.from(text, "base64url");
}

/** `value` stands first, so that half an answer holds a piece of it. */
export function cryptoBody(kid: string, { value, iv, tag }: CryptoOutput): object {
  return {
    value: base64url(value),
    kid,
    ...(iv === undefined ? {} : { iv: base64url(iv) }),
    ...(tag === undefined ? {} : { tag: base64url(tag) }),
  };
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}

export function send(
  response: ServerResponse,
  status: number,
  body: object | string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  response.writeHead(status, {
    "Content-Type": "application/json; charset=utf-8",
    "x-ms-keyvault-service-version": "1.9.0.0",
    "Content-Length": Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}

/** Announces the whole answer, sends half of it, and ends the connection. */
export function sendHalf(response: ServerResponse, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(200, {
    "Content-Type": "application/json; charset=utf-8",
    "Content-Length": text.length,
  });
  response.write(text.slice(0, text.length / 2), () => response.destroy());
}
