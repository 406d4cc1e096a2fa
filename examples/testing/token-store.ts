/** The service under test: it keeps the API tokens that users entrust to it, sealed. */

import { type Keyfold, KeyfoldError } from "@keyfold/core";

export class TokenStore {
  readonly #keyfold: Keyfold;
  /** Stands for a table: user → sealed token. */
  readonly #rows: Map<string, string>;

  constructor(keyfold: Keyfold, rows: Map<string, string>) {
    this.#keyfold = keyfold;
    this.#rows = rows;
  }

  /** Seals a token, bound to its user: in another user's row it does not open. */
  async save(user: string, token: string): Promise<void> {
    this.#rows.set(user, await this.#keyfold.sealText(token, { user, kind: "api-token" }));
  }

  async read(user: string): Promise<string | undefined> {
    const sealed = this.#rows.get(user);
    return sealed === undefined ? undefined : this.#keyfold.openText(sealed, { user, kind: "api-token" });
  }

  /** What the service's health check says. */
  async health(): Promise<"ok" | "degraded" | "misconfigured"> {
    try {
      await this.#keyfold.ready();
      return "ok";
    } catch (error) {
      return error instanceof KeyfoldError && error.retryable ? "degraded" : "misconfigured";
    }
  }
}
