import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf, type KeyfoldMessages } from "../src/telemetry.ts";
import { context, keyfoldWith, MINUTE, rejection, sealedBy, withHeader } from "./support/behaviour.ts";
import { FakeClock, settled } from "./support/fake-clock.ts";
import { MemoryKms } from "./support/memory-kms.ts";

const names = [
  "keyfold:seal",
  "keyfold:open",
  "keyfold:wrap",
  "keyfold:unwrap",
  "keyfold:cache",
  "keyfold:keyring",
] as const satisfies readonly (keyof KeyfoldMessages)[];

let messages: { channel: string; message: Record<string, unknown> }[];

function listen(message: unknown, channel: string | symbol): void {
  messages.push({ channel: String(channel), message: message as Record<string, unknown> });
}

beforeEach(() => {
  messages = [];
  for (const name of names) subscribe(name, listen);
});

afterEach(() => {
  for (const name of names) unsubscribe(name, listen);
});

/** The messages of one channel, without their times. */
function of(channel: (typeof names)[number]): Record<string, unknown>[] {
  return messages
    .filter((one) => one.channel === channel)
    .map(({ message: { ms, age, ...rest } }) => {
      for (const time of [ms, age]) if (time !== undefined) expect(time).toBeGreaterThanOrEqual(0);
      return rest;
    });
}

describe("the messages of", () => {
  test("a first seal, a second, and a third that is synchronous", async () => {
    const kms = new MemoryKms();
    const keyfold = keyfoldWith({ masterKeys: kms });
    await keyfold.seal("secret", context);
    await keyfold.sealText("secrets", context);
    keyfold.sealSync(new Uint8Array(100), context);
    expect(of("keyfold:seal")).toEqual([
      { bytes: 6, hit: false },
      { bytes: 7, hit: true },
      { bytes: 100, hit: true },
    ]);
    expect(of("keyfold:wrap")).toEqual([{ masterKey: digestOf(kms.uri) }]);
    expect(of("keyfold:cache")).toEqual([{ event: "added", key: expect.any(String) }]);
  });

  test("an open with a call, one without, and refusals", async () => {
    const kms = new MemoryKms();
    const sealed = await sealedBy(kms);
    messages = [];
    const keyfold = keyfoldWith({ openWith: kms });
    await keyfold.open(sealed, context);
    keyfold.openSync(sealed, context);
    await rejection(keyfold.open(sealed, { name: "other" }));
    await rejection(keyfold.scoped("other").open(sealed, context));
    expect(of("keyfold:open")).toEqual([
      { bytes: 6, hit: false },
      { bytes: 6, hit: true },
      { bytes: 0, hit: true, code: "ERR_CONTEXT_MISMATCH" },
      { bytes: 0, hit: true, code: "ERR_HEADER_REJECTED" },
    ]);
    expect(of("keyfold:unwrap")).toEqual([{ masterKey: digestOf(kms.uri) }]);
  });

  test("a refused unwrap, and of every retry", async () => {
    const kms = new MemoryKms();
    const sealed = await sealedBy(kms);
    const keyfold = keyfoldWith({ openWith: kms });
    messages = [];
    let failures = 2;
    kms.before = () => {
      kms.failing = failures-- > 0 ? "ERR_MASTER_KEY_THROTTLED" : undefined;
    };
    await keyfold.open(sealed, context);
    const masterKey = digestOf(kms.uri);
    const code = "ERR_MASTER_KEY_THROTTLED";
    expect(of("keyfold:unwrap")).toEqual([{ masterKey, code }, { masterKey, code }, { masterKey }]);
    kms.before = undefined;
    const poison = withHeader(sealed, {
      kdkId: new Uint8Array(16),
      wraps: [{ masterKey: kms.uri, ciphertext: new Uint8Array(60) }],
    });
    await rejection(keyfold.open(poison, context));
    expect(of("keyfold:open").at(-1)).toEqual({ bytes: 0, hit: false, code: "ERR_MASTER_KEY_REJECTED" });
  });

  test("refreshes: confirmed, not confirmed, dropped", async () => {
    const clock = new FakeClock();
    const kms = new MemoryKms();
    const keyfold = keyfoldWith({ masterKeys: kms, clock });
    await keyfold.seal("secret", context);
    const use = async () => {
      await clock.advance(16 * MINUTE);
      keyfold.sealSync("secret", context);
      await settled();
    };
    await use();
    kms.failing = "ERR_MASTER_KEY_DENIED";
    await use();
    kms.failing = "ERR_MASTER_KEY_DISABLED";
    await use();
    const key = of("keyfold:cache")[0]?.["key"];
    expect(of("keyfold:cache")).toEqual([
      { event: "added", key },
      { event: "confirmed", key },
      { event: "unconfirmed", key, code: "ERR_MASTER_KEY_DENIED" },
      { event: "unconfirmed", key, code: "ERR_MASTER_KEY_DISABLED" },
      { event: "dropped", key, code: "ERR_MASTER_KEY_DISABLED" },
    ]);
  });

  test("a master key that never answers say how long that took", async () => {
    const clock = new FakeClock();
    const kms = new MemoryKms();
    kms.before = () => new Promise(() => {});
    const refused = rejection(keyfoldWith({ masterKeys: kms, clock }).seal("secret", context));
    await settled();
    await clock.advance(5_000);
    const { code } = await refused;
    expect(of("keyfold:wrap")).toEqual([{ masterKey: digestOf(kms.uri), code }]);
    expect(of("keyfold:seal")).toEqual([{ bytes: 0, hit: false, code }]);
  });
});

test("no message shows a key, a plaintext, a context value, a name or an id", async () => {
  const kms = new MemoryKms("memory:a-name-of-a-key");
  const keyfold = keyfoldWith({ masterKeys: kms, project: "a-project" }).scoped("a-scope");
  const secret = { name: "a-context-value" };
  const sealed = await keyfold.seal("a-plaintext", secret);
  await keyfold.open(sealed, secret);
  await rejection(keyfold.open(sealed, {}));
  const shown = JSON.stringify(messages);
  expect(messages.length).toBeGreaterThan(4);
  const { kdkId, salt } = keyfold.inspect(sealed);
  for (const hidden of ["a-name", "a-project", "a-scope", "a-context", "a-plaintext", kdkId, salt]) {
    expect(shown).not.toContain(hidden);
  }
});

test("without a listener nothing is made for a message", async () => {
  for (const name of names) unsubscribe(name, listen);
  await keyfoldWith({ masterKeys: new MemoryKms() }).seal("secret", context);
  expect(messages).toEqual([]);
});
