/** What `createKeyfold`, `createKeyring` and `openKeyring` check of their options alike. */

import { type Clock, systemClock } from "./clock.ts";
import { requireArgument } from "./errors.ts";
import type { MasterKeyProvider } from "./master-key.ts";

export const SECOND = 1_000;
export const MINUTE: number = 60 * SECOND;
export const HOUR: number = 60 * MINUTE;
/** What `setTimeout` can wait for: 24.8 days. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** How long a key in memory may be used, and what all the calls of one operation may take: milliseconds. */
export interface Times {
  readonly refreshAfter: number;
  readonly expireAfter: number;
  readonly deadline: number;
  readonly clock: Clock;
}

/** The same, as options. */
export interface TimeOptions {
  readonly refreshAfter?: number | undefined;
  readonly expireAfter?: number | undefined;
  readonly deadline?: number | undefined;
  readonly clock?: Clock | undefined;
}

/** With their standards: 15 minutes, 24 hours, 5 seconds, the system's clock. @throws `ERR_INVALID_ARGUMENT` */
export function times(options: TimeOptions): Times {
  return {
    refreshAfter: duration("refreshAfter", options.refreshAfter, 15 * MINUTE),
    expireAfter: duration("expireAfter", options.expireAfter, 24 * HOUR),
    deadline: duration("deadline", options.deadline, 5 * SECOND, LONGEST_TIMER),
    clock: clockOf(options.clock),
  };
}

/**
 * Refuses what is not an object of the options `known`: a misspelt option must not be a silent default.
 *
 * @param factory the function's name, for the message of `ERR_INVALID_ARGUMENT`
 */
export function requireOptions(options: unknown, known: readonly string[], factory: string): void {
  requireArgument(
    typeof options === "object" && options !== null,
    `The options of ${factory} must be an object.`,
  );
  for (const name of Object.keys(options)) {
    requireArgument(
      known.includes(name),
      `${factory} has no option "${name}". Its options: ${known.join(", ")}.`,
    );
  }
}

/** The providers of an option: one, several or none. @throws `ERR_INVALID_ARGUMENT` */
export function providerList(
  name: string,
  given: MasterKeyProvider | readonly MasterKeyProvider[] | undefined,
): readonly MasterKeyProvider[] {
  const all = given === undefined ? [] : Array.isArray(given) ? [...given] : [given];
  for (const provider of all) {
    requireArgument(
      ["wrapKey", "unwrapKey", "recognizes"].every(
        (method) => typeof Reflect.get(Object(provider), method) === "function",
      ),
      `${name} holds something that is no master key provider (was an "await" forgotten?).`,
    );
  }
  requireArgument(new Set(all).size === all.length, `${name} holds one master key twice.`);
  return all;
}

function clockOf(given: Clock | undefined): Clock {
  const chosen = given ?? systemClock;
  for (const method of ["now", "monotonic", "setTimeout", "clearTimeout"] as const) {
    requireArgument(typeof chosen[method] === "function", `The clock lacks ${method}().`);
  }
  return chosen;
}

/** Milliseconds, above 0. @throws `ERR_INVALID_ARGUMENT` */
export function duration(
  name: string,
  given: number | undefined,
  standard: number,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  const ms = given ?? standard;
  requireArgument(
    typeof ms === "number" && ms > 0 && ms <= most,
    `${name} must be a number of milliseconds above 0${most < Number.MAX_SAFE_INTEGER ? ` and at most ${most}` : ""}.`,
  );
  return ms;
}
