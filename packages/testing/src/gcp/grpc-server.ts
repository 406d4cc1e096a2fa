/**
 * A server of unary gRPC calls over HTTP/2 without TLS, on 127.0.0.1, that can also misbehave.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */

import {
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { buffer } from "node:stream/consumers";
import { listen } from "../loopback.ts";
import { type GrpcStatus, statusOf } from "./grpc-status.ts";

/** What came. */
export interface Call {
  /** The last part of the path: `Encrypt`. */
  readonly operation: string;
  readonly headers: IncomingHttpHeaders;
  /** The request's message, not yet decoded. */
  readonly message: Uint8Array;
}

/** What goes back. */
export type Answer =
  | { readonly kind: "message"; readonly message: Uint8Array }
  /** Half of the message, and then the connection is destroyed. */
  | { readonly kind: "cut"; readonly message: Uint8Array }
  /** Nothing, ever. */
  | { readonly kind: "none" };

export interface GrpcServer {
  readonly port: number;
  /** Ends all connections and stops listening. */
  close(): Promise<void>;
}

const HEADERS = { ":status": 200, "content-type": "application/grpc" } as const;
/** One byte says that the message is not compressed, four are its length. */
const PREFIX_BYTES = 5;

/** What the server asks of the service. */
export interface GrpcService {
  /** What it throws is sent as a status. */
  answer(call: Call): Promise<Answer>;
  /** A `google.rpc.Status` for `grpc-status-details-bin`, where a status has details. */
  statusDetails(status: GrpcStatus): Uint8Array | undefined;
}

export async function startGrpcServer(service: GrpcService): Promise<GrpcServer> {
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer();
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) =>
    serve(service, stream, headers),
  );
  return {
    port: await listen(server),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const session of sessions) session.destroy();
      }),
  };
}

async function serve(
  service: GrpcService,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): Promise<void> {
  // A client that gives up resets its stream: there is nobody left to answer.
  stream.once("error", () => stream.destroy());
  try {
    const body = await buffer(stream);
    const operation = headers[":path"]?.split("/").at(-1) ?? "";
    send(stream, await service.answer({ operation, headers, message: body.subarray(PREFIX_BYTES) }));
  } catch (thrown) {
    const status = statusOf(thrown);
    sendStatus(stream, status, service.statusDetails(status));
  }
}

function send(stream: ServerHttp2Stream, answer: Answer): void {
  if (stream.destroyed || answer.kind === "none") return;
  stream.respond(HEADERS, { waitForTrailers: true });
  const frame = framed(answer.message);
  if (answer.kind === "cut") {
    stream.write(frame.subarray(0, frame.length / 2), () => stream.session?.destroy());
    return;
  }
  stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(frame);
}

/** A status without a message goes in the headers alone ("Trailers-Only"). */
function sendStatus(stream: ServerHttp2Stream, status: GrpcStatus, details: Uint8Array | undefined): void {
  if (stream.destroyed) return;
  const trailers = {
    "grpc-status": String(status.code),
    "grpc-message": status.message.replaceAll(/[^ -$&-~]/gu, encodeURIComponent),
    ...(details && { "grpc-status-details-bin": Buffer.from(details).toString("base64") }),
  };
  stream.respond({ ...HEADERS, ...trailers }, { endStream: true });
}

function framed(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(PREFIX_BYTES + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}
