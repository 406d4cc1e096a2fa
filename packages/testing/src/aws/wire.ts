/** JSON 1.1 over HTTP, as AWS KMS speaks it: one path, the operation in a header, bytes in base64. */

import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { ServiceError } from "./service-error.ts";

const CONTENT_TYPE = "application/x-amz-json-1.1";
const TARGET = "TrentService.";

/** A request that was read to its end. */
export interface WireRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What goes back: a body that is text already. */
export interface WireReply {
  readonly status: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export async function readRequest(incoming: IncomingMessage): Promise<WireRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const headers = Object.entries(incoming.headers).map(([name, value]) => [name, [value].flat().join(",")]);
  return {
    method: incoming.method ?? "",
    path: incoming.url ?? "",
    headers: Object.fromEntries(headers),
    body: Buffer.concat(chunks),
  };
}

/** The operation that the header names. */
export function operationOf({ method, path, headers }: WireRequest): string {
  const target = headers["x-amz-target"] ?? "";
  if (
    method !== "POST" ||
    path !== "/" ||
    headers["content-type"] !== CONTENT_TYPE ||
    !target.startsWith(TARGET)
  ) {
    throw unknownOperation();
  }
  return target.slice(TARGET.length);
}

export function unknownOperation(): ServiceError {
  return new ServiceError("UnknownOperationException", "");
}

export function success(members: Readonly<Record<string, unknown>>): WireReply {
  const body = Object.entries(members).map(([name, value]) => [
    name,
    Buffer.isBuffer(value) ? value.toString("base64") : value,
  ]);
  return { status: 200, body: JSON.stringify(Object.fromEntries(body)) };
}

export function refusal(error: ServiceError, headers: Readonly<Record<string, string>> = {}): WireReply {
  return { status: error.status, body: JSON.stringify(error), headers };
}

export function send(response: ServerResponse, { status, body, headers = {} }: WireReply): void {
  writeHead(response, status, body, headers);
  response.end(body);
}

/** Promises the whole answer, sends half of it, and ends the connection. */
export function sendHalf(response: ServerResponse, { status, body, headers = {} }: WireReply): void {
  writeHead(response, status, body, headers);
  response.write(body.slice(0, body.length / 2), () => response.destroy());
}

function writeHead(
  response: ServerResponse,
  status: number,
  body: string,
  headers: Readonly<Record<string, string>>,
): void {
  response.writeHead(status, {
    "x-amzn-requestid": randomUUID(),
    "content-type": CONTENT_TYPE,
    "content-length": Buffer.byteLength(body),
    ...headers,
  });
}
