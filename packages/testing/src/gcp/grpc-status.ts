/** How a gRPC call ends that does not end well. */

/** The codes of gRPC that the fake uses. https://grpc.io/docs/guides/status-codes/ */
const codes = {
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

export type GrpcCode = keyof typeof codes;

/** Thrown by an operation, and sent as its status. */
export class GrpcStatus extends Error {
  readonly code: number;
  /** Milliseconds for a `google.rpc.RetryInfo` in the status's details. */
  readonly retryAfterMs: number | undefined;

  constructor(code: GrpcCode, message: string, retryAfterMs?: number) {
    super(message);
    this.name = "GrpcStatus";
    this.code = codes[code];
    this.retryAfterMs = retryAfterMs;
  }
}

/** Whatever an operation threw, as a status: what is none shows a defect of the fake. */
export function statusOf(thrown: unknown): GrpcStatus {
  return thrown instanceof GrpcStatus ? thrown : new GrpcStatus("INTERNAL", `The fake failed: ${thrown}`);
}
