/** Calls that must not run at the same time, and the version that is asked for again. */

import { KeyfoldError } from "@keyfold/core";
import { describe, expect, test } from "vitest";
import { ColdStart, Turns } from "../src/turns.ts";
import { CurrentVersion, RESOLVE_AFTER_MS } from "../src/version.ts";
import { rejectionOf } from "./support/material.ts";

const { signal } = new AbortController();

async function ticks(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
}

describe("turns", () => {
  test("tasks run one after the other, in order, whatever becomes of each", async () => {
    const turns = new Turns();
    const log: string[] = [];
    const tasks = [0, 1, 2, 3].map((i) =>
      turns.run(async () => {
        log.push(`begin ${i}`);
        await ticks(4 - i);
        log.push(`end ${i}`);
        if (i === 1) throw new Error("failed");
        return i;
      }, signal),
    );
    const settled = await Promise.allSettled(tasks);
    expect(log).toEqual([0, 1, 2, 3].flatMap((i) => [`begin ${i}`, `end ${i}`]));
    expect(settled.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
  });

  test("who waits and is aborted leaves at once, and the next still waits for the first", async () => {
    const turns = new Turns();
    const first = Promise.withResolvers<void>();
    const controller = new AbortController();
    const log: string[] = [];
    const running = turns.run(() => first.promise, signal);
    const aborted = turns.run(async () => log.push("aborted"), controller.signal);
    const next = turns.run(async () => log.push("next"), signal);
    controller.abort();
    expect((await rejectionOf(aborted)).code).toBe("ERR_ABORTED");
    await ticks(3);
    expect(log).toEqual([]);
    first.resolve();
    await Promise.all([running, next]);
    expect(log).toEqual(["next"]);
  });
});

describe("a cold start", () => {
  /** Runs calls through it and tells how many were under way at most. */
  async function most(cold: ColdStart, count: number, call: () => Promise<unknown>): Promise<number> {
    let running = 0;
    let highest = 0;
    const counted = async () => {
      highest = Math.max(highest, ++running);
      await ticks(2);
      return call().finally(() => running--);
    };
    await Promise.allSettled(Array.from({ length: count }, () => cold.run(counted, signal)));
    return highest;
  }

  test("lets one call through, and the others together once it has succeeded", async () => {
    const cold = new ColdStart();
    expect(await most(cold, 1, async () => 1)).toBe(1);
    expect(await most(cold, 10, async () => 1)).toBe(10);
    let begun = 0;
    const first = Promise.withResolvers<void>();
    const other = new ColdStart();
    const call = async () => {
      if (++begun === 1) await first.promise;
    };
    const calls = Array.from({ length: 10 }, () => other.run(call, signal));
    await ticks(3);
    expect(begun).toBe(1);
    first.resolve();
    await Promise.all(calls);
    expect(begun).toBe(10);
  });

  test.each(["ERR_MASTER_KEY_UNAVAILABLE", "ERR_CREDENTIALS", "ERR_ABORTED"] as const)(
    "stays cold after %s, which may have come before a token",
    async (code) => {
      const failing = () => Promise.reject(new KeyfoldError(code));
      expect(await most(new ColdStart(), 5, failing)).toBe(1);
    },
  );

  test.each(["ERR_MASTER_KEY_DENIED", "ERR_MASTER_KEY_NOT_FOUND", "ERR_MASTER_KEY_REJECTED"] as const)(
    "is over after %s, which the service gives to who has a token",
    async (code) => {
      const failing = () => Promise.reject(new KeyfoldError(code));
      expect(await most(new ColdStart(), 5, failing)).toBe(4);
    },
  );
});

describe("the current version", () => {
  function counting(now: () => number) {
    let asked = 0;
    const current = new CurrentVersion(async () => `version ${++asked}`, now);
    return { current, asked: () => asked };
  }

  test("is asked for once, however many wait", async () => {
    const { current, asked } = counting(() => 0);
    const versions = await Promise.all(Array.from({ length: 100 }, () => current.get(signal)));
    expect(new Set(versions)).toEqual(new Set(["version 1"]));
    expect(asked()).toBe(1);
  });

  test("is asked for again after five minutes, and when the clock was set back", async () => {
    let now = 1_000_000_000;
    const { current } = counting(() => now);
    expect(await current.get(signal)).toBe("version 1");
    now += RESOLVE_AFTER_MS - 1;
    expect(await current.get(signal)).toBe("version 1");
    now += 1;
    expect(await current.get(signal)).toBe("version 2");
    now -= 1;
    expect(await current.get(signal)).toBe("version 3");
  });

  test("is asked for again once it was refused, unless another is current by then", async () => {
    const { current } = counting(() => 0);
    expect(await current.get(signal)).toBe("version 1");
    current.forget("version 0");
    expect(await current.get(signal)).toBe("version 1");
    current.forget("version 1");
    expect(await current.get(signal)).toBe("version 2");
  });

  test("is asked for again after a failure, by the next who waits", async () => {
    let asked = 0;
    const current = new CurrentVersion(async () => {
      if (++asked === 1) throw new KeyfoldError("ERR_MASTER_KEY_UNAVAILABLE");
      return "version";
    }, Date.now);
    const [first, second] = await Promise.allSettled([current.get(signal), current.get(signal)]);
    expect([first?.status, second?.status]).toEqual(["rejected", "fulfilled"]);
    expect(asked).toBe(2);
  });
});
