import { describe, expect, test } from "vitest";
import {
  aborted,
  badReply,
  Lazy,
  promptly,
  rejected,
  requireKey,
  requireNotAborted,
  requireOpen,
  requireOptions,
  retryAfterMs,
  takeBytes,
} from "../src/provider.ts";
import { codeOf, refusalOf } from "./support/refusal.ts";

const invalid = "ERR_INVALID_ARGUMENT";

describe("checks", () => {
  test("requireOptions refuses what is no object, and an option that does not exist", () => {
    expect(() => requireOptions({ keyId: 1 }, ["keyId"], "awsKms")).not.toThrow();
    expect(codeOf(() => requireOptions(undefined, [], "awsKms"))).toBe(invalid);
    expect(codeOf(() => requireOptions(null, [], "awsKms"))).toBe(invalid);
    expect(codeOf(() => requireOptions("arn", [], "awsKms"))).toBe(invalid);
    const error = refusalOf(() => requireOptions({ keyID: 1 }, ["keyId", "region"], "awsKms"));
    expect(error).toMatchObject({ code: invalid });
    expect(String(error)).toContain('awsKms has no option "keyID". Its options: keyId, region.');
  });

  test("requireKey wants 32 bytes", () => {
    expect(() => requireKey(new Uint8Array(32))).not.toThrow();
    expect(() => requireKey(Buffer.alloc(32))).not.toThrow();
    for (const wrong of [new Uint8Array(31), new Uint8Array(33), new Uint8Array(0), "k".repeat(32), null]) {
      expect(codeOf(() => requireKey(wrong))).toBe(invalid);
    }
  });

  test("requireOpen gives what is held", () => {
    expect(requireOpen(7, "a")).toBe(7);
    expect(codeOf(() => requireOpen(undefined, "a"))).toBe("ERR_CLOSED");
  });

  test("requireNotAborted keeps the reason", () => {
    const reason = new Error("enough");
    expect(() => requireNotAborted(new AbortController().signal)).not.toThrow();
    expect(refusalOf(() => requireNotAborted(AbortSignal.abort(reason)))).toMatchObject({
      code: "ERR_ABORTED",
      cause: reason,
    });
  });

  test("an error of a refused wrap or reply has a cause only where one is given", () => {
    const cause = new Error("sdk");
    expect(rejected("No.", cause)).toMatchObject({ code: "ERR_MASTER_KEY_REJECTED", cause });
    expect(badReply("No.", cause)).toMatchObject({ code: "ERR_MASTER_KEY_BAD_REPLY", cause });
    expect("cause" in rejected("No.")).toBe(false);
    expect("cause" in badReply("No.")).toBe(false);
  });
});

describe("promptly", () => {
  test("gives what the promise gives, or its error", async () => {
    const { signal } = new AbortController();
    const error = new Error("sdk");
    await expect(promptly(Promise.resolve(1), signal)).resolves.toBe(1);
    await expect(promptly(Promise.reject(error), signal)).rejects.toBe(error);
  });

  test("is ERR_ABORTED as soon as the signal aborts, though the promise never settles", async () => {
    const controller = new AbortController();
    const waiting = promptly(new Promise(() => {}), controller.signal);
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(waiting).rejects.toMatchObject({ code: "ERR_ABORTED", cause: reason });
    await expect(promptly(new Promise(() => {}), controller.signal)).rejects.toMatchObject({
      code: "ERR_ABORTED",
    });
  });

  test("leaves an error that came before the abort", async () => {
    const controller = new AbortController();
    const error = new Error("sdk");
    const failing = promptly(Promise.reject(error), controller.signal);
    await expect(failing).rejects.toBe(error);
    controller.abort();
  });

  test("aborted is what it throws", () => {
    expect(aborted(AbortSignal.abort("why"))).toMatchObject({ code: "ERR_ABORTED", cause: "why" });
  });
});

test("takeBytes copies out of a pool and wipes what it took", () => {
  const pool = new Uint8Array([9, 1, 2, 3, 9]);
  const taken = takeBytes(pool.subarray(1, 4));
  expect([...taken]).toEqual([1, 2, 3]);
  expect(taken.buffer.byteLength).toBe(3);
  expect([...pool]).toEqual([9, 0, 0, 0, 9]);
});

describe("Lazy", () => {
  test("makes once, however many ask", async () => {
    let made = 0;
    const lazy = new Lazy(async () => ++made);
    expect(lazy.made).toBeUndefined();
    expect(await Promise.all([lazy.get(), lazy.get(), lazy.get()])).toEqual([1, 1, 1]);
    expect(await lazy.made).toBe(1);
  });

  test("makes again after a failure", async () => {
    let tries = 0;
    const lazy = new Lazy(async () => {
      if (++tries === 1) throw new Error("first");
      return tries;
    });
    await expect(lazy.get()).rejects.toThrow("first");
    expect(await lazy.get()).toBe(2);
  });
});

describe("retryAfterMs", () => {
  const now = Date.parse("Tue, 24 Nov 2026 08:00:00 GMT");

  test.each([
    ["3", 3_000],
    [" 0 ", 0],
    ["Tue, 24 Nov 2026 08:00:05 GMT", 5_000],
    ["Tue, 24 Nov 2026 07:00:00 GMT", 0],
    ["", undefined],
    [undefined, undefined],
    [null, undefined],
    ["-1", undefined],
    ["1.5", undefined],
    ["soon", undefined],
    ["12345678901", undefined],
  ])("reads %j as %j", (text, expected) => {
    expect(retryAfterMs(text, now)).toBe(expected);
  });
});
