/** The one retry layer: how long a service is left alone, and which failures are no answer. */

import { afterEach, describe, expect, test, vi } from "vitest";
import { KeyfoldError, type KeyfoldErrorCode } from "../src/errors.ts";
import { asKeyfoldError, Backoff, retrying } from "../src/retries.ts";
import { rejection, silence, watch } from "./support/behaviour.ts";
import { FakeClock, settled } from "./support/fake-clock.ts";

const throttled = (retryAfter?: number) =>
  new KeyfoldError("ERR_MASTER_KEY_THROTTLED", undefined, retryAfter === undefined ? {} : { retryAfter });
const unavailable = new KeyfoldError("ERR_MASTER_KEY_UNAVAILABLE");

afterEach(() => {
  vi.restoreAllMocks();
});

function jitterOf(value: number): void {
  vi.spyOn(Math, "random").mockReturnValue(value);
}

describe("a backoff", () => {
  /** The pauses after 1, 2, 3 … failures in a row. */
  function pauses(backoff: Backoff, count: number): number[] {
    return Array.from({ length: count }, () => {
      backoff.failed(unavailable);
      return backoff.pause;
    });
  }

  test("pauses for up to 50 ms, and twice as long after each failure, up to 2 s", () => {
    jitterOf(1);
    expect(pauses(new Backoff(new FakeClock()), 9)).toEqual([
      50, 100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000,
    ]);
  });

  test("has full jitter: any share of that, down to none", () => {
    for (const share of [0, 0.25, 0.5]) {
      jitterOf(share);
      expect(pauses(new Backoff(new FakeClock()), 3)).toEqual([50 * share, 100 * share, 200 * share]);
    }
  });

  test("stays within those bounds after a million failures", () => {
    const backoff = new Backoff(new FakeClock());
    let longest = 0;
    for (let i = 0; i < 1_000_000; i++) {
      backoff.failed(unavailable);
      if (!(backoff.pause >= 0)) expect.fail(`A pause of ${backoff.pause}.`);
      longest = Math.max(longest, backoff.pause);
    }
    expect(longest).toBeLessThanOrEqual(2_000);
    expect(longest).toBeGreaterThan(1_900);
  });

  test("is no shorter than what the service asked for, and longer where that is short", () => {
    jitterOf(1);
    const backoff = new Backoff(new FakeClock());
    backoff.failed(throttled(3_000));
    expect(backoff.pause).toBe(3_000);
    const other = new Backoff(new FakeClock());
    other.failed(throttled(10));
    expect(other.pause).toBe(50);
  });

  test("is not shortened by the failure of a call that was under way when the service asked for it", async () => {
    jitterOf(1);
    const clock = new FakeClock();
    const backoff = new Backoff(clock);
    backoff.failed(throttled(3_000));
    await clock.advance(1);
    backoff.failed(unavailable);
    expect(backoff.pause).toBe(2_999);
  });

  test("runs off with the clock", async () => {
    jitterOf(1);
    const clock = new FakeClock();
    const backoff = new Backoff(clock);
    expect(backoff.pause).toBeLessThanOrEqual(0);
    backoff.failed(unavailable);
    await clock.advance(20);
    expect(backoff.pause).toBe(30);
    await clock.advance(30);
    expect(backoff.pause).toBe(0);
  });

  test("is over with an answer, and begins anew after it", () => {
    jitterOf(1);
    const backoff = new Backoff(new FakeClock());
    pauses(backoff, 5);
    expect(backoff.lastError).toBe(unavailable);
    backoff.answered();
    expect(backoff.pause).toBeLessThanOrEqual(0);
    expect(backoff.lastError).toBeUndefined();
    expect(pauses(backoff, 1)).toEqual([50]);
  });
});

describe("retrying", () => {
  const { signal: never } = new AbortController();

  /** A call that fails with these, one after the other, and then succeeds. */
  function failing(...errors: readonly unknown[]) {
    const left = [...errors];
    return vi.fn(async () => {
      if (left.length > 0) throw left.shift();
      return "answer";
    });
  }

  test("repeats a call that was throttled or found nobody, after a pause", async () => {
    jitterOf(1);
    const clock = new FakeClock();
    const call = failing(throttled(), unavailable);
    const result = retrying(clock, new Backoff(clock), never, call);
    await clock.advance(49);
    expect(call).toHaveBeenCalledTimes(1);
    await clock.advance(1);
    expect(call).toHaveBeenCalledTimes(2);
    await clock.advance(100);
    expect(await result).toBe("answer");
    expect(call).toHaveBeenCalledTimes(3);
  });

  const answers: KeyfoldErrorCode[] = [
    "ERR_MASTER_KEY_DENIED",
    "ERR_MASTER_KEY_NOT_FOUND",
    "ERR_MASTER_KEY_DISABLED",
    "ERR_MASTER_KEY_REJECTED",
    "ERR_MASTER_KEY_BAD_REPLY",
    "ERR_CREDENTIALS",
    "ERR_KEY_FILE",
    "ERR_IO",
    "ERR_BUDGET",
  ];

  test.each(answers)("takes %s for an answer: thrown as it is, and the backoff is over", async (code) => {
    const clock = new FakeClock();
    const backoff = new Backoff(clock);
    const error = new KeyfoldError(code);
    const call = failing(error);
    await expect(retrying(clock, backoff, never, call)).rejects.toBe(error);
    expect(call).toHaveBeenCalledTimes(1);
    expect(backoff.pause).toBeLessThanOrEqual(0);
  });

  test.each([new Error("boom"), "boom", undefined, null])(
    "takes what is no KeyfoldError (%o) for a bad reply, and keeps it as cause",
    async (thrown) => {
      const clock = new FakeClock();
      const error = await rejection(retrying(clock, new Backoff(clock), never, failing(thrown)));
      expect([error.code, error.cause]).toEqual(["ERR_MASTER_KEY_BAD_REPLY", thrown]);
    },
  );

  test("keeps the pause that another call under the same backoff began", async () => {
    jitterOf(1);
    const clock = new FakeClock();
    const backoff = new Backoff(clock);
    backoff.failed(throttled(1_000));
    const call = failing();
    const result = watch(retrying(clock, backoff, never, call));
    await clock.advance(999);
    expect(call).not.toHaveBeenCalled();
    await clock.advance(1);
    expect(result.settled).toBe(true);
  });

  test("ends with the signal's reason in a pause, and does not call again", async () => {
    const clock = new FakeClock();
    const controller = new AbortController();
    const call = failing(throttled(1_000));
    const result = retrying(clock, new Backoff(clock), controller.signal, call);
    await settled();
    controller.abort("enough");
    await expect(result).rejects.toBe("enough");
    await clock.advance(10_000);
    expect(call).toHaveBeenCalledTimes(1);
    expect(clock.pending).toBe(0);
  });

  test("ends with the signal's reason during a call that does not listen to it, which counts as no failure", async () => {
    const clock = new FakeClock();
    const backoff = new Backoff(clock);
    const controller = new AbortController();
    const result = retrying(clock, backoff, controller.signal, silence);
    controller.abort("enough");
    await expect(result).rejects.toBe("enough");
    expect(backoff.lastError).toBeUndefined();
  });
});

test("asKeyfoldError leaves a KeyfoldError as it is", () => {
  expect(asKeyfoldError(unavailable)).toBe(unavailable);
});
