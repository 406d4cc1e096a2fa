/**
 * AWS Signature Version 4, as the receiving end checks it (AWS Signature Version 4 for API requests, IAM User Guide).
 * The whole signature is computed anew, so a client that signs anything wrong is refused.
 */

import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { ServiceError } from "./service-error.ts";

/** How far the service lets a client's clock differ: five minutes. */
const MAX_SKEW_MS = 5 * 60_000;
const ALGORITHM = "AWS4-HMAC-SHA256";
const MISMATCH =
  "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.";

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** What of an HTTP request is signed. */
export interface SignedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

interface Authorization {
  readonly accessKeyId: string;
  /** Date, region, service and "aws4_request". */
  readonly scope: readonly string[];
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

/** @returns the region that the request was signed for; throws the refusal that the service would send */
export function requireSignature(request: SignedRequest, credentials: Credentials, now: number): string {
  const { accessKeyId, scope, signedHeaders, signature } = parseAuthorization(
    request.headers["authorization"],
  );
  const [date = "", region = "", service] = scope;
  const time = request.headers["x-amz-date"];
  if (time === undefined) {
    throw new ServiceError("IncompleteSignature", "Authorization header requires existence of 'X-Amz-Date'.");
  }
  if (service !== "kms") throw invalid("Credential should be scoped to correct service: 'kms'.");
  if (accessKeyId !== credentials.accessKeyId) {
    throw new ServiceError(
      "UnrecognizedClientException",
      "The security token included in the request is invalid.",
    );
  }
  requireFresh(time, now);
  const expected = sign(request, { date, region, time }, signedHeaders, credentials.secretAccessKey);
  if (!time.startsWith(date) || !sameText(expected, signature)) throw invalid(MISMATCH);
  return region;
}

function invalid(message: string): ServiceError {
  return new ServiceError("InvalidSignatureException", message);
}

function parseAuthorization(header: string | undefined): Authorization {
  if (header === undefined) {
    throw new ServiceError("MissingAuthenticationToken", "Missing Authentication Token");
  }
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/, ]+)\/([^, ]+), ?SignedHeaders=([^, ]+), ?Signature=([0-9a-f]{64})$/.exec(
      header,
    );
  const [, accessKeyId = "", scope = "", signedHeaders = "", signature = ""] = match ?? [];
  const parts = scope.split("/");
  const names = signedHeaders.split(";");
  if (parts.length !== 4 || parts[3] !== "aws4_request" || !names.includes("host")) {
    throw new ServiceError(
      "IncompleteSignature",
      "Authorization header is not a complete Signature Version 4.",
    );
  }
  return { accessKeyId, scope: parts, signedHeaders: names, signature };
}

function requireFresh(time: string, now: number): void {
  const iso = time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z");
  const skew = Date.parse(iso) - now;
  if (!(Math.abs(skew) <= MAX_SKEW_MS)) {
    const way = skew > 0 ? "not yet current" : "expired";
    throw invalid(`Signature ${way}: ${time}`);
  }
}

function sign(
  { method, path, headers, body }: SignedRequest,
  { date, region, time }: { readonly date: string; readonly region: string; readonly time: string },
  signedHeaders: readonly string[],
  secretAccessKey: string,
): string {
  const canonical = [
    method,
    path,
    "",
    ...signedHeaders.map((name) => `${name}:${(headers[name] ?? "").trim().replace(/ +/g, " ")}`),
    "",
    signedHeaders.join(";"),
    sha256(body),
  ].join("\n");
  const text = [ALGORITHM, time, `${date}/${region}/kms/aws4_request`, sha256(canonical)].join("\n");
  const key = [date, region, "kms", "aws4_request"].reduce<string | Uint8Array>(
    hmac,
    `AWS4${secretAccessKey}`,
  );
  return Buffer.from(hmac(key, text)).toString("hex");
}

function hmac(key: string | Uint8Array, text: string): Uint8Array {
  return createHmac("sha256", key).update(text).digest();
}

function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

function sameText(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}
