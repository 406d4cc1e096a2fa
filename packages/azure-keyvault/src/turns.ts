/** Calls that must not run at the same time. */

import { KeyfoldError, type KeyfoldErrorCode } from "@keyfold/core";
import { promptly } from "@keyfold/core/provider";

/** Runs tasks one after the other, in the order in which they came. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Waits for its turn at most until `signal` aborts (`ERR_ABORTED`), and then for the task itself. */
  async run<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const before = this.#last;
    const done = Promise.withResolvers<void>();
    this.#last = Promise.all([before, done.promise]);
    try {
      await promptly(before, signal);
      return await task();
    } finally {
      done.resolve();
    }
  }
}

/** Failures that the service gave after it had accepted the token. */
const AUTHENTICATED: ReadonlySet<KeyfoldErrorCode> = new Set([
  "ERR_MASTER_KEY_DENIED",
  "ERR_MASTER_KEY_DISABLED",
  "ERR_MASTER_KEY_NOT_FOUND",
  "ERR_MASTER_KEY_REJECTED",
]);

/**
 * Lets the calls of an SDK client through one at a time until the client holds a token, and freely from then on.
 *
 * A client sends its first request without its body, for the service to say where tokens come from. In
 * `@azure/keyvault-common` 2.1.0, which npm installs on Node 20, a second request at that moment makes the SDK forget
 * the first one's body: the service is sent nothing and refuses it as a bad parameter, which looks like a damaged wrap.
 */
export class ColdStart {
  readonly #turns = new Turns();
  #warm = false;

  async run<T>(call: () => Promise<T>, signal: AbortSignal): Promise<T> {
    if (!this.#warm) {
      const first = await this.#turns.run(
        async () => (this.#warm ? undefined : await this.#heat(call)),
        signal,
      );
      if (first !== undefined) return first.value;
    }
    return call();
  }

  async #heat<T>(call: () => Promise<T>): Promise<{ readonly value: T }> {
    try {
      const value = await call();
      this.#warm = true;
      return { value };
    } catch (error) {
      this.#warm = error instanceof KeyfoldError && AUTHENTICATED.has(error.code);
      throw error;
    }
  }
}
