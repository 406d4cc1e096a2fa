/** A call to a master key, as every call is made: loaded, within a deadline, retried, counted. */

import { type Clock, promptly, withDeadline } from "./clock.ts";
import { KeyfoldError } from "./errors.ts";
import { Lazy } from "./lazy.ts";
import type { MasterKeyProvider } from "./master-key.ts";
import { Backoff, retrying } from "./retries.ts";
import { codeOf, digestOf, type Reports, type RequestMessage, since, unwraps, wraps } from "./telemetry.ts";

/** Who asks, and what that allows. */
export interface Asker {
  /** Each of them ends the operation. */
  readonly signals: readonly AbortSignal[];
  /** Background work: it does not keep the process alive, and is not charged to the unwrap budget. */
  readonly background?: boolean;
  /** Whether to wait where the unwrap budget is used up, instead of `ERR_BUDGET`. */
  readonly waitsForBudget?: boolean;
  /** Milliseconds for all its calls, instead of the usual. */
  readonly deadline?: number;
}

/** Requests that went out to providers, retries included. */
export interface CallCounts {
  wrap: number;
  unwrap: number;
}

export class ProviderCalls {
  readonly counts: CallCounts = { wrap: 0, unwrap: 0 };
  readonly clock: Clock;
  readonly #deadline: number;
  readonly #backoffs = new Map<MasterKeyProvider, Backoff>();
  readonly #loads = new Map<MasterKeyProvider, Lazy<void>>();

  constructor(clock: Clock, deadline: number) {
    this.clock = clock;
    this.#deadline = deadline;
  }

  /**
   * Loads the providers, and then runs `work` under the asker's deadline. A provider that does not load fails the calls to
   * it, and only those.
   */
  async within<T>(
    providers: readonly MasterKeyProvider[],
    { signals, background = false, deadline = this.#deadline }: Asker,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const toLoad = providers.filter((provider) => provider.load !== undefined);
    if (toLoad.length > 0) {
      const loads = Promise.allSettled(toLoad.map((provider) => this.#load(provider)));
      await promptly(loads, AbortSignal.any([...signals]));
    }
    return withDeadline(this.clock, { signals, background, deadline }, work);
  }

  /** One call, repeated while the service does not answer, until the signal aborts. */
  async call<T>(
    provider: MasterKeyProvider,
    operation: keyof CallCounts,
    signal: AbortSignal,
    request: () => Promise<T>,
  ): Promise<T> {
    await this.#load(provider);
    const reports = operation === "wrap" ? wraps : unwraps;
    return retrying(this.clock, this.#backoff(provider), signal, () => {
      this.counts[operation]++;
      return observed(reports, provider, signal, request);
    });
  }

  /** The error itself, but for a deadline that passed: that one says what was last heard from the provider. */
  explain(error: unknown, provider: MasterKeyProvider, signal: AbortSignal): unknown {
    const last = this.#backoff(provider).lastError;
    if (error !== signal.reason || !isDeadline(error) || last === undefined) return error;
    return new KeyfoldError("ERR_MASTER_KEY_UNAVAILABLE", `${error.message} Before that: ${last.message}`, {
      cause: last,
      remedy: "",
    });
  }

  #backoff(provider: MasterKeyProvider): Backoff {
    const backoff = this.#backoffs.get(provider) ?? new Backoff(this.clock);
    this.#backoffs.set(provider, backoff);
    return backoff;
  }

  /** Once for each provider, and again after a failure. */
  #load(provider: MasterKeyProvider): Promise<void> {
    const load = this.#loads.get(provider) ?? new Lazy(async () => provider.load?.());
    this.#loads.set(provider, load);
    return load.get();
  }
}

/** The request, and a message about it where somebody listens. */
async function observed<T>(
  reports: Reports<RequestMessage>,
  { name }: MasterKeyProvider,
  signal: AbortSignal,
  request: () => Promise<T>,
): Promise<T> {
  const started = reports.start();
  if (Number.isNaN(started)) return request();
  try {
    const answer = await promptly(request(), signal);
    reports.report(() => ({ ms: since(started), masterKey: digestOf(name) }));
    return answer;
  } catch (error) {
    reports.report(() => ({ ms: since(started), masterKey: digestOf(name), ...codeOf(error) }));
    throw error;
  }
}

/** Whether an operation ended because its deadline passed, and not because its caller gave up. */
export function isDeadline(reason: unknown): reason is KeyfoldError {
  return reason instanceof KeyfoldError && reason.code === "ERR_MASTER_KEY_UNAVAILABLE";
}
