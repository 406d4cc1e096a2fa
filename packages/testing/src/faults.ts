/** What a fake server can be told to do wrong, and what it was asked: one vocabulary for all of them. */

/** What a fake server does once, or for a while, instead of answering as it should. */
export type Fault =
  /** Answers as it should, but so many milliseconds later. */
  | { readonly kind: "slow"; readonly ms: number }
  /** Takes the request and never answers. */
  | { readonly kind: "silent" }
  /** Refuses for the rate of requests, with the service's Retry-After where it is given and the protocol has one. */
  | { readonly kind: "throttled"; readonly retryAfterMs?: number }
  /** Refuses for want of a permission. */
  | { readonly kind: "denied" }
  /** Refuses the credentials as expired. */
  | { readonly kind: "expired-credentials" }
  /** Answers that the service is not available, HTTP 503 or its like. */
  | { readonly kind: "down" }
  /** Ends the connection in the middle of the answer. */
  | { readonly kind: "cut" }
  /** Answers with something that the protocol does not allow. */
  | { readonly kind: "malformed" }
  /** Does the work, but says in the reply that another key did. */
  | { readonly kind: "another-key" }
  /** Does the work, but replies with one byte altered and the checksum of the unaltered. */
  | { readonly kind: "bad-checksum" }
  /** Unwraps to one byte too few; wraps to nothing. */
  | { readonly kind: "bad-length" };

/** A request as a fake server saw it. */
export interface FakeRequest {
  /** The service's name for it: `Encrypt`, `wrapKey`. */
  readonly operation: string;
  /** The key as the request named it, an alias where it named an alias; "" where it names none. */
  readonly key: string;
  /** Milliseconds on the clock of `performance.now()`. */
  readonly at: number;
}

export interface InjectOptions {
  /** How many requests it befalls; 1 by default, `Infinity` until `clear`. */
  readonly times?: number;
  /** Only requests of this operation. */
  readonly operation?: string;
}

interface Planned {
  readonly fault: Fault;
  readonly operation: string | undefined;
  left: number;
}

/** The faults that are to come, in the order in which they were injected, and the requests that came. */
export class Script {
  readonly requests: FakeRequest[] = [];
  #planned: Planned[] = [];

  inject(fault: Fault, { times = 1, operation }: InjectOptions = {}): void {
    this.#planned.push({ fault, operation, left: times });
  }

  /** Forgets the faults that are still to come; the requests stay. */
  clear(): void {
    this.#planned = [];
  }

  /** Notes a request, and gives the fault that befalls it. */
  meet(operation: string, key: string): Fault | undefined {
    this.requests.push({ operation, key, at: performance.now() });
    const next = this.#planned.find((planned) => (planned.operation ?? operation) === operation);
    if (next === undefined) return undefined;
    next.left--;
    if (next.left <= 0) this.#planned = this.#planned.filter((planned) => planned !== next);
    return next.fault;
  }
}
