/** A refusal in the words of Azure Key Vault. */

/** An HTTP status and the body `{ error: { code, message, innererror } }`. */
export class ServiceError extends Error {
  readonly status: number;
  readonly code: string;
  readonly inner: string | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    message: string,
    {
      inner,
      headers = {},
    }: { readonly inner?: string; readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message);
    this.name = "ServiceError";
    this.status = status;
    this.code = code;
    this.inner = inner;
    this.headers = headers;
  }

  get body(): object {
    const { code, message, inner } = this;
    return { error: { code, message, ...(inner === undefined ? {} : { innererror: { code: inner } }) } };
  }
}

export function badParameter(message: string): ServiceError {
  return new ServiceError(400, "BadParameter", message);
}

/** 403 with one of the many codes that stand inside. */
export function forbidden(inner: string, message: string): ServiceError {
  return new ServiceError(403, "Forbidden", message, { inner });
}

export function notFound(name: string): ServiceError {
  return new ServiceError(
    404,
    "KeyNotFound",
    `A key with (name/id) ${name} was not found in this key vault.`,
  );
}
