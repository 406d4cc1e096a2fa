import { randomBytes } from "node:crypto";
import { inspect } from "node:util";
import { createKeyfold, KeyfoldError, type KeyfoldErrorCode } from "@keyfold/core";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { type MemoryFailure, type MemoryMasterKey, memoryMasterKey } from "../src/memory-master-key.ts";

const context = { "keyfold:project": "billing/prod", "keyfold:purpose": "kdk" };
const secret = Uint8Array.from({ length: 32 }, (_, i) => 0xc0 - i);

describe("a new key", () => {
  test("has a URI of its own, and wraps 61 bytes that begin with 01", async () => {
    const [one, two] = [memoryMasterKey(), memoryMasterKey()];
    expect(one.masterKey).toMatch(/^memory:[0-9a-f]{32}$/);
    expect(one.masterKey).not.toBe(two.masterKey);
    expect(one.name).toBe(one.masterKey);
    const { masterKey, ciphertext } = await one.wrapKey(secret, live());
    expect(masterKey).toBe(one.masterKey);
    expect([ciphertext.length, ciphertext[0]]).toEqual([61, 1]);
  });

  test("opens what another with the same id and key wrapped", async () => {
    const key = new Uint8Array(randomBytes(32));
    const wrapped = await memoryMasterKey({ id: "app", key }).wrapKey(secret, live());
    expect(wrapped.masterKey).toBe("memory:app");
    expect(await memoryMasterKey({ id: "app", key }).unwrapKey(wrapped, live())).toEqual(secret);
    expect(await codeOf(memoryMasterKey({ id: "app" }).unwrapKey(wrapped, live()))).toBe(
      "ERR_MASTER_KEY_REJECTED",
    );
    key.fill(0);
    expect(await codeOf(memoryMasterKey({ id: "app", key }).unwrapKey(wrapped, live()))).toBe(
      "ERR_MASTER_KEY_REJECTED",
    );
  });

  test("copies the key that it is given, and leaves it as it is", async () => {
    const key = new Uint8Array(randomBytes(32));
    const [original, masterKey] = [key.slice(), memoryMasterKey({ id: "app", key })];
    expect(key).toEqual(original);
    key.fill(0);
    const wrapped = await masterKey.wrapKey(secret, live());
    expect(await memoryMasterKey({ id: "app", key: original }).unwrapKey(wrapped, live())).toEqual(secret);
  });

  test("is trusted unless it plays an RSA key", async () => {
    expect(memoryMasterKey().authenticatesWraps).toBe(true);
    const rsa = memoryMasterKey({ authenticatesWraps: false });
    expect([rsa.authenticatesWraps, rsa.reopen().authenticatesWraps]).toEqual([false, false]);
    const keyfold = createKeyfold({ project: "billing/prod", masterKeys: rsa });
    expect(await codeOf(keyfold.seal("hunter2", {}))).toBe("ERR_UNAUTHENTICATED_WRAP");
    await keyfold.close();
  });

  test.each<[string, unknown]>([
    ["no object", "app"],
    ["another option", { name: "app" }],
    ["an empty id", { id: "" }],
    ["an id with a space", { id: "my app" }],
    ["a long id", { id: "a".repeat(1_001) }],
    ["a short key", { key: new Uint8Array(31) }],
    ["a key in text", { key: "a".repeat(32) }],
    ["authenticatesWraps as text", { authenticatesWraps: "no" }],
  ])("is refused with %s", (_, options) => {
    expect(thrown(() => memoryMasterKey(options as object)).code).toBe("ERR_INVALID_ARGUMENT");
  });
});

describe("fail", () => {
  const codes: readonly MemoryFailure[] = [
    "ERR_MASTER_KEY_DENIED",
    "ERR_MASTER_KEY_NOT_FOUND",
    "ERR_MASTER_KEY_DISABLED",
    "ERR_MASTER_KEY_THROTTLED",
    "ERR_MASTER_KEY_UNAVAILABLE",
    "ERR_MASTER_KEY_REJECTED",
    "ERR_MASTER_KEY_BAD_REPLY",
    "ERR_CREDENTIALS",
  ];

  test.each(codes)("with %s, once, and with a cause", async (code) => {
    const masterKey = memoryMasterKey();
    masterKey.fail(code);
    const error = await errorOf(masterKey.wrapKey(secret, live()));
    expect(error.code).toBe(code);
    expect(error.cause).toBeInstanceOf(Error);
    expect((await masterKey.wrapKey(secret, live())).masterKey).toBe(masterKey.masterKey);
  });

  test("so many times, of one operation, in the order in which it was asked for", async () => {
    const masterKey = memoryMasterKey();
    const wrapped = await masterKey.wrapKey(secret, live());
    masterKey.fail("ERR_MASTER_KEY_THROTTLED", { times: 2, operation: "unwrap", retryAfter: 250 });
    masterKey.fail("ERR_CREDENTIALS");
    expect(await codeOf(masterKey.wrapKey(secret, live()))).toBe("ERR_CREDENTIALS");
    expect(await codeOf(masterKey.unwrapKey(wrapped, live()))).toBe("ERR_MASTER_KEY_THROTTLED");
    expect((await errorOf(masterKey.unwrapKey(wrapped, live()))).retryAfter).toBe(250);
    expect(await masterKey.unwrapKey(wrapped, live())).toEqual(secret);
  });

  test("for ever, until it is cleared", async () => {
    const masterKey = memoryMasterKey();
    masterKey.fail("ERR_MASTER_KEY_UNAVAILABLE", { times: Number.POSITIVE_INFINITY });
    for (let i = 0; i < 20; i++) {
      expect(await codeOf(masterKey.wrapKey(secret, live()))).toBe("ERR_MASTER_KEY_UNAVAILABLE");
    }
    masterKey.clear();
    expect((await masterKey.wrapKey(secret, live())).ciphertext.length).toBe(61);
  });

  test.each(["ERR_CONTEXT_MISMATCH", "ERR_ABORTED", "ERR_CLOSED", "EPIPE", "toString"])(
    "not with %s",
    (code) => {
      expect(thrown(() => memoryMasterKey().fail(code as MemoryFailure)).code).toBe("ERR_INVALID_ARGUMENT");
    },
  );

  test.each([{ times: 0 }, { times: 1.5 }, { operation: "seal" }, { retryAfter: -1 }, { after: 1 }])(
    "not with the options %o",
    (options) => {
      const fail = () => memoryMasterKey().fail("ERR_CREDENTIALS", options as object);
      expect(thrown(fail).code).toBe("ERR_INVALID_ARGUMENT");
    },
  );
});

describe("states and permissions", () => {
  test("a disabled key does nothing until it is enabled", async () => {
    const masterKey = memoryMasterKey();
    const wrapped = await masterKey.wrapKey(secret, live());
    masterKey.disable();
    const errors = [
      await errorOf(masterKey.wrapKey(secret, live())),
      await errorOf(masterKey.unwrapKey(wrapped, live())),
    ];
    expect(errors.map(({ code }) => code)).toEqual(["ERR_MASTER_KEY_DISABLED", "ERR_MASTER_KEY_DISABLED"]);
    for (const { cause } of errors) expect(cause).toBeInstanceOf(Error);
    masterKey.enable();
    expect(await masterKey.unwrapKey(wrapped, live())).toEqual(secret);
  });

  test("one permission, or both", async () => {
    const masterKey = memoryMasterKey();
    const wrapped = await masterKey.wrapKey(secret, live());
    masterKey.deny("unwrap");
    expect(await masterKey.wrapKey(secret, live())).toHaveProperty("masterKey");
    const error = await errorOf(masterKey.unwrapKey(wrapped, live()));
    expect([error.code, error.cause instanceof Error]).toEqual(["ERR_MASTER_KEY_DENIED", true]);
    masterKey.deny();
    expect(await codeOf(masterKey.wrapKey(secret, live()))).toBe("ERR_MASTER_KEY_DENIED");
    masterKey.allow("unwrap");
    expect(await masterKey.unwrapKey(wrapped, live())).toEqual(secret);
    expect(await codeOf(masterKey.wrapKey(secret, live()))).toBe("ERR_MASTER_KEY_DENIED");
    masterKey.allow();
    expect(await masterKey.wrapKey(secret, live())).toHaveProperty("masterKey");
    expect(thrown(() => masterKey.deny("seal" as "wrap")).code).toBe("ERR_INVALID_ARGUMENT");
  });

  test("what was wrapped before rotations opens, and the URI stays", async () => {
    const masterKey = memoryMasterKey();
    const wraps = [await masterKey.wrapKey(secret, live())];
    for (let i = 0; i < 3; i++) {
      masterKey.rotate();
      wraps.push(await masterKey.wrapKey(secret, live()));
    }
    for (const wrapped of wraps) {
      expect(wrapped.masterKey).toBe(masterKey.masterKey);
      expect(await masterKey.reopen().unwrapKey(wrapped, live())).toEqual(secret);
    }
  });

  test("a rotation takes another key", async () => {
    const key = randomBytes(32);
    const masterKey = memoryMasterKey({ id: "app", key });
    masterKey.rotate();
    const wrapped = await masterKey.wrapKey(secret, live());
    expect(await codeOf(memoryMasterKey({ id: "app", key }).unwrapKey(wrapped, live()))).toBe(
      "ERR_MASTER_KEY_REJECTED",
    );
  });
});

describe("delay", () => {
  test("is on the global timers, so that fake ones move it", async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const masterKey = memoryMasterKey();
    masterKey.delay(60_000);
    let isDone = false;
    const call = masterKey.wrapKey(secret, live()).then(() => {
      isDone = true;
    });
    await vi.advanceTimersByTimeAsync(59_999);
    expect(isDone).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await call;
    masterKey.delay(0);
    expect(await masterKey.wrapKey(secret, live())).toHaveProperty("masterKey");
  });

  test("ends with an abort, and leaves no timer behind", async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const masterKey = memoryMasterKey();
    masterKey.delay(60_000);
    const controller = new AbortController();
    const call = errorOf(masterKey.wrapKey(secret, { context, signal: controller.signal }));
    await vi.advanceTimersByTimeAsync(1);
    controller.abort("enough");
    const { code, cause } = await call;
    expect([code, cause]).toEqual(["ERR_ABORTED", "enough"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("the key may be wiped while the call runs", async () => {
    const masterKey = memoryMasterKey();
    masterKey.delay(1);
    const mine = secret.slice();
    const call = masterKey.wrapKey(mine, live());
    mine.fill(0);
    expect(await masterKey.unwrapKey(await call, live())).toEqual(secret);
  });

  test.each([-1, Number.NaN, Number.POSITIVE_INFINITY, "5"])("is refused with %s", (ms) => {
    expect(thrown(() => memoryMasterKey().delay(ms as number)).code).toBe("ERR_INVALID_ARGUMENT");
  });
});

describe("calls", () => {
  test("are counted when they reach the key, also if it fails them", async () => {
    const masterKey = memoryMasterKey();
    const wrapped = await masterKey.wrapKey(secret, live());
    masterKey.fail("ERR_MASTER_KEY_THROTTLED");
    await errorOf(masterKey.unwrapKey(wrapped, live()));
    await masterKey.reopen().unwrapKey(wrapped, live());
    const { wraps, unwraps, list } = masterKey.calls;
    expect([wraps, unwraps]).toEqual([1, 2]);
    expect(list).toEqual([
      { operation: "wrap", context },
      { operation: "unwrap", context },
      { operation: "unwrap", context },
    ]);
  });

  test("are none where nothing was asked", async () => {
    const masterKey = memoryMasterKey();
    await errorOf(masterKey.wrapKey(secret.subarray(1), live()));
    await errorOf(masterKey.wrapKey(secret, { context, signal: AbortSignal.abort() }));
    await errorOf(masterKey.unwrapKey({ masterKey: "memory:other", ciphertext: secret }, live()));
    await masterKey.close();
    await errorOf(masterKey.wrapKey(secret, live()));
    expect(masterKey.calls).toEqual({ wraps: 0, unwraps: 0, list: [] });
  });

  test("what was read does not change later", async () => {
    const masterKey = memoryMasterKey();
    const before = masterKey.calls;
    await masterKey.wrapKey(secret, live());
    expect(before.list.length).toBe(0);
    expect(masterKey.calls.list.length).toBe(1);
  });
});

describe("reopen", () => {
  test("gives the same key, whose levers are shared, and which is closed alone", async () => {
    const masterKey = memoryMasterKey();
    const wrapped = await masterKey.wrapKey(secret, live());
    await masterKey.close();
    expect(await codeOf(masterKey.wrapKey(secret, live()))).toBe("ERR_CLOSED");
    expect(masterKey.recognizes(wrapped.masterKey)).toBe(true);
    const later = masterKey.reopen();
    expect(await later.unwrapKey(wrapped, live())).toEqual(secret);
    masterKey.disable();
    expect(await codeOf(later.unwrapKey(wrapped, live()))).toBe("ERR_MASTER_KEY_DISABLED");
  });
});

describe("with keyfold", () => {
  test("a restarted program opens what it sealed, with one call", async () => {
    const masterKey = memoryMasterKey();
    const sealed = await sealWith(masterKey);
    const later = masterKey.reopen();
    const keyfold = createKeyfold({ project: "billing/prod", masterKeys: later });
    expect(await keyfold.openText(sealed, { name: "db" })).toBe("hunter2");
    expect(await keyfold.openText(sealed, { name: "db" })).toBe("hunter2");
    await keyfold.close();
    expect(masterKey.calls.wraps).toBe(1);
    expect(masterKey.calls.list.at(-1)?.context).toMatchObject({ "keyfold:project": "billing/prod" });
  });

  test("throttling is ridden out, and a denial is not", async () => {
    const masterKey = memoryMasterKey();
    masterKey.fail("ERR_MASTER_KEY_THROTTLED", { times: 2 });
    const sealed = await sealWith(masterKey);
    masterKey.fail("ERR_MASTER_KEY_DENIED", { times: Number.POSITIVE_INFINITY });
    const keyfold = createKeyfold({ project: "billing/prod", masterKeys: masterKey.reopen() });
    expect(await codeOf(keyfold.openText(sealed, { name: "db" }))).toBe("ERR_MASTER_KEY_DENIED");
    await keyfold.close();
  });
});

test("no error or inspection shows the key", () => {
  const key = Uint8Array.from(secret);
  const masterKey = memoryMasterKey({ id: "app", key });
  const shown = inspect(masterKey, { showHidden: true, depth: Number.POSITIVE_INFINITY });
  expect(shown).toContain("memory:app");
  for (const spelling of ["hex", "base64", "base64url"] as const) {
    expect(shown).not.toContain(Buffer.from(key).toString(spelling).slice(0, 8));
  }
  expect(shown).not.toContain([...key.subarray(0, 4)].join(", "));
});

async function sealWith(masterKey: MemoryMasterKey): Promise<Uint8Array> {
  const keyfold = createKeyfold({ project: "billing/prod", masterKeys: masterKey });
  const sealed = await keyfold.seal("hunter2", { name: "db" });
  await keyfold.close();
  return sealed;
}

function live() {
  return { context, signal: new AbortController().signal };
}

async function errorOf(call: Promise<unknown>): Promise<KeyfoldError> {
  const [outcome] = await Promise.allSettled([call]);
  if (outcome.status === "fulfilled") expect.unreachable("It was not refused.");
  expect(outcome.reason).toBeInstanceOf(KeyfoldError);
  return outcome.reason as KeyfoldError;
}

async function codeOf(call: Promise<unknown>): Promise<KeyfoldErrorCode> {
  return (await errorOf(call)).code;
}

function thrown(call: () => unknown): KeyfoldError {
  try {
    call();
  } catch (error) {
    if (error instanceof KeyfoldError) return error;
    throw error;
  }
  return expect.unreachable("Nothing was thrown.");
}
