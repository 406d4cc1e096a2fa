/** abort-is-prompt. */

import { AssertionError } from "node:assert/strict";
import { setImmediate as turn, setTimeout as wait } from "node:timers/promises";
import type { MasterKeyProvider, WrappedKey } from "@keyfold/core";
import type { ProviderSubject, RunningSubject } from "../subject.ts";
import { type ContractCase, lever, serviceCase } from "./case.ts";
import { drawKey, operation, refusal, withoutRequest } from "./tools.ts";

/** Milliseconds after which the service would answer, and those in which an aborted call must have ended: far apart. */
const ANSWER_MS = 30_000;
const PROMPT_MS = 2_500;
/** Milliseconds that a request has to reach the service. Later it is aborted on its way, which must be prompt as well. */
const ARRIVAL_MS = 1_000;

type Call = (provider: MasterKeyProvider, signal: AbortSignal) => Promise<unknown>;

export const abort: readonly ContractCase[] = [
  serviceCase("abort-is-prompt", "an aborted signal rejects before any request", async (running) => {
    const warm = running.provider();
    const calls = callsFor(await warm.wrapKey(drawKey(), operation()));
    for (const provider of [running.provider(), warm]) {
      for (const [what, call] of calls) {
        await withoutRequest(running, `${what} with an aborted signal`, () =>
          refusal(what, "ERR_ABORTED", () => call(provider, AbortSignal.abort())),
        );
      }
    }
  }),

  serviceCase("abort-is-prompt", "an abort in flight rejects at once", async (running, subject) => {
    const warm = running.provider();
    const calls = callsFor(await warm.wrapKey(drawKey(), operation()));
    const cold = running.provider();
    hold(running, subject);
    for (const [what, call] of calls) {
      for (const provider of [warm, cold]) {
        if (running.delay === undefined) await abortedOrDone(what, (signal) => call(provider, signal));
        else await abortedInFlight(running, what, (signal) => call(provider, signal));
      }
    }
  }),
];

function callsFor(wrapped: WrappedKey): readonly (readonly [string, Call])[] {
  return [
    ["wrapKey", (provider, signal) => provider.wrapKey(drawKey(), operation(undefined, signal))],
    ["unwrapKey", (provider, signal) => provider.unwrapKey(wrapped, operation(undefined, signal))],
  ];
}

/** Only a provider without requests may lack the lever. */
function hold(running: RunningSubject, { withoutRequests }: ProviderSubject): void {
  if (running.delay === undefined && withoutRequests !== undefined) return;
  lever(running, "delay")(ANSWER_MS);
}

async function abortedInFlight(
  running: RunningSubject,
  what: string,
  call: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const before = running.requests();
  const controller = new AbortController();
  const refused = observed(refusal(what, "ERR_ABORTED", () => call(controller.signal)));
  const begun = performance.now();
  // A cold provider may first import its SDK or ask for something else, and is then aborted at that.
  while (running.requests() === before && performance.now() - begun < ARRIVAL_MS) await wait(5);
  controller.abort();
  await promptly(what, refused);
}

/** Without requests, a call has succeeded by the next turn of the event loop, or is at work and can be aborted. */
async function abortedOrDone(what: string, call: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  const controller = new AbortController();
  let isSettled = false;
  const outcome = observed(
    call(controller.signal).finally(() => {
      isSettled = true;
    }),
  );
  await turn();
  if (isSettled) {
    await outcome;
    return;
  }
  controller.abort();
  await promptly(
    what,
    refusal(what, "ERR_ABORTED", () => outcome),
  );
}

/** The promise, whose rejection somebody will look at later, though not at once. */
function observed<T>(promise: Promise<T>): Promise<T> {
  void Promise.allSettled([promise]);
  return promise;
}

async function promptly(what: string, refused: Promise<unknown>): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const message = `${what}: it had not rejected ${PROMPT_MS} ms after the abort`;
  const timer = setTimeout(() => reject(new AssertionError({ message })), PROMPT_MS);
  await Promise.race([refused, late]).finally(() => clearTimeout(timer));
}
