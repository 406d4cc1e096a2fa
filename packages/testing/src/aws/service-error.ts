/** How AWS KMS refuses: a type, a message, an HTTP status. */

/** Where a shape lives, as `__type` spells it: KMS's own errors, and those that all services have. */
const KMS = "com.amazonaws.kms";
const COMMON = "com.amazon.coral.service";

const common: ReadonlySet<string> = new Set([
  "AccessDeniedException",
  "ExpiredTokenException",
  "IncompleteSignature",
  "InternalFailure",
  "InvalidSignatureException",
  "MissingAuthenticationToken",
  "SerializationException",
  "ServiceUnavailableException",
  "ThrottlingException",
  "UnknownOperationException",
  "UnrecognizedClientException",
  "ValidationException",
]);

/** An answer that is a refusal. Thrown where it is found, sent where the request came in. */
export class ServiceError extends Error {
  readonly type: string;
  readonly status: number;

  constructor(type: string, message: string, status = 400) {
    super(message);
    this.type = type;
    this.status = status;
  }

  /** The body, as JSON 1.1 has it. */
  toJSON(): unknown {
    const namespace = common.has(this.type) ? COMMON : KMS;
    return { __type: `${namespace}#${this.type}`, message: this.message };
  }
}

/** What the service says of a member that its model does not allow. */
export function invalidMember(member: string, constraint: string): ServiceError {
  return new ServiceError(
    "ValidationException",
    `1 validation error detected: Value at '${member}' failed to satisfy constraint: ${constraint}`,
  );
}
