/** Who may call: a credential whose tokens the fake knows, and the challenge that says where tokens come from. */

import { randomUUID } from "node:crypto";
import { ServiceError } from "./service-error.ts";

/** Fits every `credential` parameter of the SDK. */
export interface FakeAzureCredential {
  getToken(
    scopes: string | string[],
    options?: object,
  ): Promise<{ readonly token: string; readonly expiresOnTimestamp: number }>;
}

const LIFETIME_MS = 3_600_000;
const TENANT = "72f98800-86f1-41af-91ab-2d7cd011db47";

export class Tokens {
  /** Requests that were answered with a challenge because they carried no token. */
  challenges = 0;
  /** Tokens that the credential gave. */
  given = 0;
  /** What tokens must be for, as the challenge says it. */
  resource: string;
  /** Token to the scope that it was given for. */
  readonly #valid = new Map<string, string>();
  /** Requests that were told that their token has expired, to be told so again when the SDK sends them once more. */
  readonly #told = new Set<string>();

  constructor(resource: string) {
    this.resource = resource;
  }

  readonly credential: FakeAzureCredential = {
    getToken: async (scopes) => {
      this.given++;
      const token = `fake-token-${randomUUID()}`;
      this.#valid.set(token, [scopes].flat().join(" "));
      return { token, expiresOnTimestamp: Date.now() + LIFETIME_MS };
    },
  };

  /** Ends every token that was given until now. */
  expireAll(): void {
    this.#valid.clear();
  }

  /** Refuses a request whose token is missing, unknown, ended, or for another resource. */
  require(authorization: string | undefined, requestId: string): void {
    if (authorization === undefined) {
      this.challenges++;
      throw this.#unauthorized("AKV10000: Request is missing a Bearer or PoP token.");
    }
    const scope = this.#valid.get(authorization.replace(/^Bearer /, ""));
    if (this.#told.has(requestId) || scope !== `${this.resource}/.default`) throw this.expired(requestId);
  }

  expired(requestId: string): ServiceError {
    this.#told.add(requestId);
    return this.#unauthorized("AKV10022: The token has expired, or is for another audience.");
  }

  #unauthorized(message: string): ServiceError {
    const challenge = `Bearer authorization="https://login.microsoftonline.com/${TENANT}", resource="${this.resource}"`;
    return new ServiceError(401, "Unauthorized", message, { headers: { "WWW-Authenticate": challenge } });
  }
}
