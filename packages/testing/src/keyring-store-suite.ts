/** What a keyring store must keep, as a suite: the cases as data, and how they are handed to a test runner. */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { KeyringStore } from "@keyfold/core";
import type { TestRunner } from "./contract/suite.ts";
import { refusal } from "./contract/tools.ts";

/** The rules of a keyring store, each a case of the suite or several under this id. */
export type KeyringStoreRule =
  | "nothing-is-undefined"
  | "exact-text"
  | "versions-name-texts"
  | "created-once"
  | "stale-is-refused"
  | "one-writer-wins"
  | "never-half"
  | "watch-tells"
  | "read-only-refuses";

/** A keyring store to be proven. */
export interface KeyringStoreSubject {
  /** For titles: `postgres`. */
  readonly name: string;
  /** Rules that it cannot be held to, each with the reason, which its title then shows. */
  readonly inapplicable?: Partial<Readonly<Record<KeyringStoreRule, string>>>;
  /** Whether the store is only read. Then `start` is given the text that is to be in it; otherwise nothing is to be there. */
  readonly readOnly?: boolean;
  /** A place of its own for one case. */
  start(text?: string): Promise<RunningKeyringStore>;
}

export interface RunningKeyringStore {
  /** Another store for the same place each time, as another process would make it; the same one where it lives in one process. */
  store(): KeyringStore;
  /** Ends the place. */
  stop(): Promise<void>;
}

/** One thing that a store must keep. */
export interface KeyringStoreCase {
  readonly id: KeyringStoreRule;
  readonly title: string;
  readonly readOnly: boolean;
  /** Throws where the rule is broken. */
  run(subject: KeyringStoreSubject): Promise<void>;
}

const WRITERS = 4;
const ROUNDS = 20;
const LARGE = 1024 * 1024;
const WATCH_MS = 5_000;
const QUIET_MS = 500;

/** As a keyring is: JSON, of which no two that differ in `n` are alike. */
function textOf(n: number, filler = ""): string {
  return `{\n  "keyfold": "keyring/1",\n  "sequence": ${n},\n  "note": "${filler}"\n}\n`;
}

const texts: readonly [what: string, text: string][] = [
  ["plain text", textOf(1)],
  ["text beyond ASCII", textOf(1, "é e\u0301 \u00df \u4e16 \u{1f511} \u202e \u2028 \ufffd")],
  ["other white space", '\r\n\t { "keyfold" :\t"keyring/1" }  '],
  ["no line break at its end", '{"keyfold":"keyring/1"}'],
  ["characters that mean something elsewhere", textOf(1, "' \\\" \\\\ % $1 ? ; -- \\u0000 <b>&amp;")],
  ["1 MiB", textOf(1, "x".repeat(LARGE))],
];

/** Every case, in the order of the rules. */
export const keyringStoreCases: readonly KeyringStoreCase[] = [
  writing("nothing-is-undefined", "where nothing is, load gives undefined, and so again", async (running) => {
    for (const store of [running.store(), running.store()]) {
      assert.equal(await store.load(), undefined, "load of nothing");
      assert.equal(await store.load(), undefined, "load of nothing, again");
    }
  }),

  ...texts.map(([what, text]) =>
    writing("exact-text", `${what}: what was saved is loaded, character for character`, async (running) => {
      await running.store().save(text, undefined);
      await holds(running.store(), text);
    }),
  ),

  ...texts.map(([what, text]) =>
    reading(
      "exact-text",
      `${what}: what is there is loaded, character for character`,
      text,
      async (running) => {
        await holds(running.store(), text);
      },
    ),
  ),

  writing(
    "versions-name-texts",
    "the version that save gives is the one that load gives",
    async (running) => {
      const saved = await running.store().save(textOf(1), undefined);
      const store = running.store();
      for (let i = 0; i < 2; i++)
        assert.equal((await store.load())?.version, saved, "the version after a save");
    },
  ),

  writing("versions-name-texts", "no two saves of different texts have one version", async (running) => {
    const store = running.store();
    const versions: string[] = [];
    for (let n = 1; n <= ROUNDS; n++) versions.push(await store.save(textOf(n), versions.at(-1)));
    assert.equal(new Set(versions).size, ROUNDS, "different versions");
    await holds(running.store(), textOf(ROUNDS), versions.at(-1));
  }),

  writing("created-once", "where something is, it is not created again", async (running) => {
    const version = await running.store().save(textOf(1), undefined);
    for (const store of [running.store(), running.store()]) await conflicts(store, textOf(2), undefined);
    await holds(running.store(), textOf(1), version);
  }),

  writing("created-once", "where nothing is, a version is refused, and nothing is made", async (running) => {
    const store = running.store();
    for (const expected of ["", "0", "1", "no such version"]) await conflicts(store, textOf(1), expected);
    assert.equal(await running.store().load(), undefined, "load after refused saves");
  }),

  writing("stale-is-refused", "with the present version it is replaced, in turn by two", async (running) => {
    const [one, other] = [running.store(), running.store()];
    const first = await one.save(textOf(1), undefined);
    const second = await other.save(textOf(2), first);
    const third = await one.save(textOf(3), second);
    await holds(other, textOf(3), third);
  }),

  writing("stale-is-refused", "with a version of the past it is not, and stays as it is", async (running) => {
    const [one, other] = [running.store(), running.store()];
    const first = await one.save(textOf(1), undefined);
    const second = await other.save(textOf(2), first);
    const third = await other.save(textOf(3), second);
    for (const store of [one, other]) {
      for (const stale of [first, second]) await conflicts(store, textOf(4), stale);
    }
    await holds(one, textOf(3), third);
  }),

  writing(
    "stale-is-refused",
    "with a version that never was it is not, and stays as it is",
    async (running) => {
      const store = running.store();
      const version = await store.save(textOf(1), undefined);
      for (const wrong of ["", "no such version", `${version}0`, version.slice(0, -1)])
        await conflicts(store, textOf(2), wrong);
      await holds(running.store(), textOf(1), version);
    },
  ),

  writing("one-writer-wins", "of several that create it at once, one does", async (running) => {
    await contest(running, 1, undefined);
  }),

  writing("one-writer-wins", "of several that replace one version at once, one does", async (running) => {
    let version = await running.store().save(textOf(0), undefined);
    for (let round = 1; round <= ROUNDS; round++) version = await contest(running, round, version);
  }),

  writing("never-half", "while it is saved, load gives one whole text or the other", async (running) => {
    const saved = new Map<string, number>();
    const [saver, loader] = [running.store(), running.store()];
    let version = await saver.save(largeText(0), undefined);
    let ended = false;
    const saving = (async () => {
      for (let n = 1; n <= ROUNDS; n++) version = await saver.save(largeText(n), version);
    })().finally(() => {
      ended = true;
    });
    while (!ended) {
      const { text, version } = (await loader.load()) ?? { text: "", version: "" };
      const n = Number(/"sequence": (\d+),/.exec(text)?.[1]);
      assert.ok(text === largeText(n), "a text was loaded that nobody saved");
      assert.equal(saved.get(version) ?? n, n, "one version for two texts");
      saved.set(version, n);
      await delay(0);
    }
    await saving;
    await holds(loader, largeText(ROUNDS), version);
  }),

  writing(
    "watch-tells",
    "a watch is told of another's save, and of none once it has ended",
    async (running) => {
      const [watched, other] = [running.store(), running.store()];
      assert.ok(watched.watch, 'The store has no watch. Give the reason in "inapplicable".');
      const first = await other.save(textOf(1), undefined);
      let calls = 0;
      const end = watched.watch(() => {
        calls++;
      });
      try {
        await quiet(() => calls);
        const before = calls;
        const second = await other.save(textOf(2), first);
        await until("the watch is told of a save", () => calls > before);
        await holds(watched, textOf(2), second);
        await quiet(() => calls);
        end();
        const ended = calls;
        await other.save(textOf(3), second);
        await delay(QUIET_MS);
        assert.equal(calls, ended, "calls after the watch has ended");
      } finally {
        end();
      }
    },
  ),

  reading("read-only-refuses", "a save is refused, and changes nothing", textOf(1), async (running) => {
    const store = running.store();
    const version = (await store.load())?.version;
    for (const expected of [version, undefined, "no such version"]) {
      await refusal("a save to a store that is only read", "ERR_KEYRING_READ_ONLY", () =>
        store.save(textOf(2), expected),
      );
    }
    await holds(store, textOf(1), version);
  }),
];

/**
 * Proves that a keyring store keeps what a keyring relies on: above all the compare-and-swap, by which no change is lost.
 * Each case starts a place of its own and stops it. A case that the subject declares inapplicable is skipped, with the
 * reason in its title.
 *
 * ```ts
 * import { testKeyringStore } from "@keyfold/testing";
 * import { describe, it } from "vitest";
 *
 * testKeyringStore({ describe, it }, subject);
 * ```
 *
 * @param runner the functions of the test runner, which is yours to choose; give a test 60 seconds
 */
export function testKeyringStore({ describe, it }: TestRunner, subject: KeyringStoreSubject): void {
  describe(`${subject.name} keeps what a keyring store must`, () => {
    for (const each of keyringStoreCases) register(it, each, subject);
  });
}

function register(it: TestRunner["it"], each: KeyringStoreCase, subject: KeyringStoreSubject): void {
  if (each.readOnly !== (subject.readOnly ?? false)) return;
  const title = `${each.id}: ${each.title}`;
  const reason = subject.inapplicable?.[each.id];
  if (reason === undefined) {
    it(title, () => each.run(subject));
    return;
  }
  const skip = it.skip ?? it;
  skip(`${title} (skipped: ${reason})`, async () => {});
}

type Body = (running: RunningKeyringStore) => Promise<void>;

/** A case for a store that can be written, where nothing is yet. */
function writing(id: KeyringStoreRule, title: string, body: Body): KeyringStoreCase {
  return { id, title, readOnly: false, run: (subject) => withPlace(subject.start(), body) };
}

/** A case for a store that is only read, where `text` is. */
function reading(id: KeyringStoreRule, title: string, text: string, body: Body): KeyringStoreCase {
  return { id, title, readOnly: true, run: (subject) => withPlace(subject.start(text), body) };
}

async function withPlace(started: Promise<RunningKeyringStore>, body: Body): Promise<void> {
  const running = await started;
  try {
    await body(running);
  } finally {
    await running.stop();
  }
}

/** Asserts that this very text is there, and under this version where one is given. */
async function holds(store: KeyringStore, text: string, version?: string): Promise<void> {
  const stored = await store.load();
  assert.ok(stored !== undefined, "load: nothing is there");
  assert.ok(stored.text === text, "load: another text than the one that was saved");
  if (version !== undefined) assert.equal(stored.version, version, "load: another version");
}

async function conflicts(store: KeyringStore, text: string, expected: string | undefined): Promise<void> {
  await refusal(`a save that expects ${JSON.stringify(expected)}`, "ERR_KEYRING_CONFLICT", () =>
    store.save(text, expected),
  );
}

/** Several save at once: one wins, the others are told so, and what the winner saved is there. @returns its version */
async function contest(
  running: RunningKeyringStore,
  round: number,
  expected: string | undefined,
): Promise<string> {
  const contenders = Array.from({ length: WRITERS }, (_, i) => textOf(round * WRITERS + i));
  const saves = contenders.map((text) => running.store().save(text, expected));
  const outcomes = await Promise.allSettled(saves);
  const winners = outcomes.flatMap((outcome, i) =>
    outcome.status === "fulfilled" ? [{ text: contenders[i] ?? "", version: outcome.value }] : [],
  );
  assert.equal(winners.length, 1, `of ${WRITERS} saves at once, those that succeeded`);
  for (const [i, { status }] of outcomes.entries()) {
    if (status === "rejected") {
      await refusal("a save that lost", "ERR_KEYRING_CONFLICT", () => saves[i] ?? Promise.resolve());
    }
  }
  const [winner] = winners;
  await holds(running.store(), winner?.text ?? "", winner?.version);
  return winner?.version ?? "";
}

/** Large enough that a write takes more than one step, and of one letter, so that a mixture shows. */
function largeText(n: number): string {
  return textOf(n, String.fromCharCode(97 + (n % 26)).repeat(LARGE / 4));
}

async function until(what: string, holdsNow: () => boolean): Promise<void> {
  for (const end = performance.now() + WATCH_MS; !holdsNow(); await delay(10)) {
    assert.ok(performance.now() < end, `${what}: not within ${WATCH_MS} ms`);
  }
}

/** Waits until the number stays the same for a while. */
async function quiet(count: () => number): Promise<void> {
  for (let last = -1; last !== count(); ) {
    last = count();
    await delay(QUIET_MS);
  }
}
