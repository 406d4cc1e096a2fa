/** The stores without a file system. What every store must keep is proven by `testKeyringStore` in @keyfold/testing. */

import { describe, expect, expectTypeOf, test, vi } from "vitest";
import { type KeyringStore, memoryKeyringStore, staticKeyring } from "../src/keyring-store.ts";
import { codeOf, refusalOf } from "./support/refusal.ts";

describe("memoryKeyringStore", () => {
  test("keeps each store's text apart", async () => {
    const [one, other] = [memoryKeyringStore(), memoryKeyringStore()];
    await one.save("1", undefined);
    expect(await other.load()).toBeUndefined();
    await other.save("2", undefined);
    expect((await one.load())?.text).toBe("1");
  });

  test("tells each watch of each save, until it has ended", async () => {
    const store = memoryKeyringStore();
    const [one, other] = [vi.fn(), vi.fn()];
    const end = store.watch?.(one);
    store.watch?.(other);
    const version = await store.save("1", undefined);
    await expect(store.save("2", undefined)).rejects.toMatchObject({ code: "ERR_KEYRING_CONFLICT" });
    end?.();
    end?.();
    await store.save("2", version);
    await Promise.resolve();
    expect([one.mock.calls.length, other.mock.calls.length]).toEqual([1, 2]);
  });

  test("tells one function that watches twice twice, and ends each watch by itself", async () => {
    const store = memoryKeyringStore();
    const changed = vi.fn();
    const end = store.watch?.(changed);
    store.watch?.(changed);
    const version = await store.save("1", undefined);
    end?.();
    await store.save("2", version);
    await Promise.resolve();
    expect(changed).toHaveBeenCalledTimes(3);
  });
});

describe("staticKeyring", () => {
  test("gives the text, and refuses to save", async () => {
    const store = staticKeyring(" { } \n");
    expect(await store.load()).toEqual({ text: " { } \n", version: "static" });
    await expect(store.save("{}", "static")).rejects.toMatchObject({ code: "ERR_KEYRING_READ_ONLY" });
    expect((await store.load())?.text).toBe(" { } \n");
    expect(store.watch).toBeUndefined();
    expectTypeOf(store).toEqualTypeOf<KeyringStore>();
  });

  test.each([undefined, "", "  \n\t"])("is refused the text %j, and says what to do", (text) => {
    const { code, message } = refusalOf(() => staticKeyring(text));
    expect(code).toBe("ERR_INVALID_ARGUMENT");
    expect(message).toMatch(
      /^staticKeyring was given no text\. Set the environment variable, or read the file/,
    );
  });

  test.each([null, 7, {}, Buffer.from("{}"), Promise.resolve("{}")])("is refused %o", (text) => {
    expect(codeOf(() => staticKeyring(text as string))).toBe("ERR_INVALID_ARGUMENT");
  });
});
