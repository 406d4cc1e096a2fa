/** The suite for keyring stores: keyfold's own stores pass it, and a store that breaks one rule fails that rule. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import {
  KeyfoldError,
  type KeyringStore,
  memoryKeyringStore,
  type StoredKeyring,
  staticKeyring,
} from "@keyfold/core";
import { fileKeyringStore } from "@keyfold/core/node";
import { describe, expect, it, test } from "vitest";
import type { TestRunner } from "../src/contract/suite.ts";
import {
  type KeyringStoreRule,
  type KeyringStoreSubject,
  keyringStoreCases,
  type RunningKeyringStore,
  testKeyringStore,
} from "../src/keyring-store-suite.ts";

const memory: KeyringStoreSubject = {
  name: "memoryKeyringStore",
  start: async () => sharing(memoryKeyringStore()),
};

const file: KeyringStoreSubject = {
  name: "fileKeyringStore",
  async start() {
    const folder = await mkdtemp(join(tmpdir(), "keyfold-store-"));
    return {
      store: () => fileKeyringStore(join(folder, "keyring.json")),
      stop: () => rm(folder, { recursive: true }),
    };
  },
};

const fixed: KeyringStoreSubject = {
  name: "staticKeyring",
  readOnly: true,
  start: async (text) => sharing(staticKeyring(text)),
};

testKeyringStore({ describe, it }, memory);
testKeyringStore({ describe, it }, file);
testKeyringStore({ describe, it }, fixed);

/** One store, whoever asks. */
function sharing(store: KeyringStore): RunningKeyringStore {
  return { store: () => store, stop: async () => {} };
}

/** A store that is wrong in one thing. */
interface Mutant {
  readonly rule: KeyringStoreRule;
  readonly what: string;
  readonly because: RegExp;
  readonly readOnly?: boolean;
  make(text: string): KeyringStore | RunningKeyringStore;
}

function conflict(): KeyfoldError {
  return new KeyfoldError("ERR_KEYRING_CONFLICT");
}

/** The memory store with some members replaced. */
function altered(members: (right: KeyringStore) => Partial<KeyringStore>): KeyringStore {
  const right = memoryKeyringStore();
  return { ...right, ...members(right) };
}

/** A store whose state the mutant has in its hands. */
interface Cell {
  present: StoredKeyring | undefined;
  saves: number;
}

function celled(members: (cell: Cell) => Partial<KeyringStore>): KeyringStore {
  const cell: Cell = { present: undefined, saves: 0 };
  return {
    load: async () => cell.present,
    async save(text, expected) {
      if (cell.present?.version !== expected) throw conflict();
      return put(cell, text);
    },
    ...members(cell),
  };
}

function put(cell: Cell, text: string, version = String(++cell.saves)): string {
  cell.present = { text, version };
  return version;
}

function loading(change: (stored: StoredKeyring) => StoredKeyring): KeyringStore {
  return altered((right) => ({
    async load() {
      const stored = await right.load();
      return stored && change(stored);
    },
  }));
}

function textChanged(change: (text: string) => string): KeyringStore {
  return loading(({ text, version }) => ({ text: change(text), version }));
}

const wholeRule = "another text than the one that was saved";

const mutants: readonly Mutant[] = [
  {
    rule: "nothing-is-undefined",
    what: "gives an empty text where nothing is",
    because: /load of nothing/,
    make: () =>
      altered((right) => ({ load: async () => (await right.load()) ?? { text: "", version: "0" } })),
  },
  {
    rule: "nothing-is-undefined",
    what: "fails where nothing is",
    because: /is not there/,
    make: () =>
      altered((right) => ({
        async load() {
          const stored = await right.load();
          if (stored === undefined) throw new Error("The keyring is not there.");
          return stored;
        },
      })),
  },
  {
    rule: "exact-text",
    what: "parses JSON and writes it again",
    because: new RegExp(wholeRule),
    make: () => textChanged((text) => JSON.stringify(JSON.parse(text))),
  },
  {
    rule: "exact-text",
    what: "trims",
    because: new RegExp(wholeRule),
    make: () => textChanged((text) => text.trim()),
  },
  {
    rule: "exact-text",
    what: "ends every text with a line break",
    because: new RegExp(wholeRule),
    make: () => textChanged((text) => text.replace(/\n?$/, "\n")),
  },
  {
    rule: "exact-text",
    what: "is only read, and ends every text with a line break",
    because: new RegExp(wholeRule),
    readOnly: true,
    make: (text) => staticKeyring(text.replace(/\n?$/, "\n")),
  },
  {
    rule: "exact-text",
    what: "cuts what is long",
    because: new RegExp(wholeRule),
    make: () => textChanged((text) => text.slice(0, 400 * 1024)),
  },
  {
    rule: "exact-text",
    what: "knows one byte for a character",
    because: new RegExp(wholeRule),
    make: () => textChanged((text) => Buffer.from(text, "latin1").toString("latin1")),
  },
  {
    rule: "exact-text",
    what: "normalises Unicode",
    because: new RegExp(wholeRule),
    make: () => textChanged((text) => text.normalize()),
  },
  {
    rule: "exact-text",
    what: "is only read, and trims",
    because: new RegExp(wholeRule),
    readOnly: true,
    make: (text) => staticKeyring(text.trim()),
  },
  {
    rule: "versions-name-texts",
    what: "returns another version than load does",
    because: /the version after a save/,
    make: () =>
      altered((right) => ({
        save: async (text, expected) => `v${await right.save(text, expected?.replace(/^v/, ""))}`,
      })),
  },
  {
    rule: "versions-name-texts",
    what: "has two versions alone",
    because: /different versions/,
    make: () =>
      celled((cell) => ({
        async save(text, expected) {
          if (cell.present?.version !== expected) throw conflict();
          return put(cell, text, String(cell.saves++ % 2));
        },
      })),
  },
  {
    rule: "created-once",
    what: "creates over what is there",
    because: /expects undefined: nothing refused it/,
    make: () =>
      celled((cell) => ({
        async save(text, expected) {
          if (expected !== undefined && cell.present?.version !== expected) throw conflict();
          return put(cell, text);
        },
      })),
  },
  {
    rule: "created-once",
    what: "creates whatever is expected",
    because: /expects "": nothing refused it/,
    make: () =>
      celled((cell) => ({
        async save(text, expected) {
          if (cell.present !== undefined && cell.present.version !== expected) throw conflict();
          return put(cell, text);
        },
      })),
  },
  {
    rule: "stale-is-refused",
    what: "takes any version for the present one",
    because: /nothing refused it/,
    make: () =>
      celled((cell) => ({
        async save(text, expected) {
          if ((cell.present === undefined) !== (expected === undefined)) throw conflict();
          return put(cell, text);
        },
      })),
  },
  {
    rule: "stale-is-refused",
    what: "saves and then complains",
    because: new RegExp(wholeRule),
    make: () =>
      celled((cell) => ({
        async save(text, expected) {
          const { present } = cell;
          const version = present !== undefined && expected !== undefined ? put(cell, text) : undefined;
          if (present?.version !== expected) throw conflict();
          return version ?? put(cell, text);
        },
      })),
  },
  {
    rule: "stale-is-refused",
    what: "has another error for a conflict",
    because: /is no KeyfoldError/,
    make: () =>
      altered((right) => ({
        async save(text, expected) {
          const present = await right.load();
          if (present !== undefined && expected !== undefined && present.version !== expected)
            throw new Error("412 Precondition Failed");
          return right.save(text, expected);
        },
      })),
  },
  {
    rule: "one-writer-wins",
    what: "compares first and swaps later",
    because: /of 4 saves at once, those that succeeded/,
    make: () =>
      celled((cell) => ({
        async save(text, expected) {
          if (cell.present?.version !== expected) throw conflict();
          await nextTurn();
          return put(cell, text);
        },
      })),
  },
  {
    rule: "one-writer-wins",
    what: "lets two at once fail both",
    because: /of 4 saves at once, those that succeeded/,
    make: () => {
      let saving = 0;
      return altered((right) => ({
        async save(text, expected) {
          saving++;
          try {
            await nextTurn();
            if (saving > 1) throw conflict();
            return await right.save(text, expected);
          } finally {
            await nextTurn();
            saving--;
          }
        },
      }));
    },
  },
  {
    rule: "never-half",
    what: "writes in two halves",
    because: /a text was loaded that nobody saved/,
    make: () => {
      let half: string | undefined;
      return altered((right) => ({
        async load() {
          const stored = await right.load();
          return stored && half !== undefined
            ? { ...stored, text: half + stored.text.slice(half.length) }
            : stored;
        },
        async save(text, expected) {
          const present = await right.load();
          if (present === undefined || present.version !== expected || text.length < 10_000)
            return right.save(text, expected);
          half = text.slice(0, text.length / 2);
          await new Promise((resolve) => setTimeout(resolve, 5));
          const version = await right.save(text, expected);
          half = undefined;
          return version;
        },
      }));
    },
  },
  {
    rule: "watch-tells",
    what: "has a watch that sleeps",
    because: /the watch is told of a save: not within/,
    make: () => altered(() => ({ watch: () => () => {} })),
  },
  {
    rule: "watch-tells",
    what: "has a watch without end",
    because: /calls after the watch has ended/,
    make: () =>
      altered((right) => ({
        watch: (changed) => {
          right.watch?.(changed);
          return () => {};
        },
      })),
  },
  {
    rule: "watch-tells",
    what: "has no watch, and no reason",
    because: /has no watch/,
    make: () => {
      const { load, save } = memoryKeyringStore();
      return { load, save };
    },
  },
  {
    rule: "read-only-refuses",
    what: "takes a save and forgets it",
    because: /nothing refused it/,
    readOnly: true,
    make: (text) => ({ ...staticKeyring(text), save: async () => "static" }),
  },
  {
    rule: "read-only-refuses",
    what: "calls it a conflict",
    because: /ERR_KEYRING_CONFLICT instead of ERR_KEYRING_READ_ONLY/,
    readOnly: true,
    make: (text) => ({ ...staticKeyring(text), save: () => Promise.reject(conflict()) }),
  },
];

function subjectOf({ rule, what, readOnly = false, make }: Mutant): KeyringStoreSubject {
  const start = async (text = "") => {
    const made = make(text);
    return "stop" in made ? made : sharing(made);
  };
  // Seconds for each mutant, and what most of them have not.
  const inapplicable: KeyringStoreSubject["inapplicable"] =
    rule === "watch-tells" ? {} : { "watch-tells": "another rule is at stake" };
  return { name: what, readOnly, inapplicable, start };
}

/** Runs the suite with a runner that collects: what ran, what was skipped, what failed and why. */
async function collect(subject: KeyringStoreSubject, canSkip = true) {
  const tests: [title: string, body: () => Promise<void>][] = [];
  const skipped: string[] = [];
  const groups: string[] = [];
  const add = (title: string, body: () => Promise<void>) => void tests.push([title, body]);
  const it = canSkip ? Object.assign(add, { skip: (title: string) => void skipped.push(title) }) : add;
  const runner: TestRunner = {
    describe: (name, body) => {
      groups.push(name);
      body();
    },
    it,
  };
  testKeyringStore(runner, subject);
  const failed = new Map<string, Error>();
  for (const [title, body] of tests) await body().catch((error: Error) => failed.set(title, error));
  return { groups, titles: tests.map(([title]) => title), skipped, failed };
}

describe("the suite", () => {
  const titles = keyringStoreCases.map(({ id, title }) => `${id}: ${title}`);

  test("has titles that are unique", () => {
    expect(new Set(titles).size).toBe(titles.length);
  });

  test.each([memory, file, fixed])("is passed by $name, with no case skipped", async (subject) => {
    const { groups, titles: ran, skipped, failed } = await collect(subject);
    expect([...failed]).toEqual([]);
    expect(skipped).toEqual([]);
    expect(groups).toEqual([`${subject.name} keeps what a keyring store must`]);
    const meant = keyringStoreCases.filter(({ readOnly }) => readOnly === (subject.readOnly ?? false));
    expect(ran).toEqual(meant.map(({ id, title }) => `${id}: ${title}`));
    expect(ran.length).toBeGreaterThan(5);
  });

  test("skips what is inapplicable, with the reason in its title", async () => {
    const subject = { ...memory, inapplicable: { "watch-tells": "it has no watch" } as const };
    const { skipped, titles: ran } = await collect(subject);
    expect(skipped.length).toBe(1);
    expect(skipped[0]).toMatch(/^watch-tells: .* \(skipped: it has no watch\)$/);
    expect(ran.filter((title) => title.startsWith("watch-tells"))).toEqual([]);
    const withoutSkip = await collect(subject, false);
    expect(withoutSkip.titles).toContain(skipped[0]);
    expect([...withoutSkip.failed]).toEqual([]);
  });

  test("starts a place for each case and stops it, whether it passes or fails", async () => {
    let started = 0;
    let running = 0;
    const start = async () => {
      started++;
      running++;
      return {
        ...sharing({ ...memoryKeyringStore(), load: async () => undefined }),
        stop: async () => void running--,
      };
    };
    const { titles: ran, failed } = await collect({ ...memory, start });
    expect(failed.size).toBeGreaterThan(0);
    expect(started).toBe(ran.length);
    expect(running).toBe(0);
  });
});

describe("its rule fails for a store that", () => {
  const collected = new Map<Mutant, ReturnType<typeof collect>>();
  const collectedOf = (mutant: Mutant) => {
    const running = collected.get(mutant) ?? collect(subjectOf(mutant));
    collected.set(mutant, running);
    return running;
  };

  test.each(mutants)("$what: $rule", async (mutant) => {
    const { failed } = await collectedOf(mutant);
    const messages = [...failed].flatMap(([title, { message }]) =>
      title.startsWith(`${mutant.rule}: `) ? [message] : [],
    );
    expect(messages.length).toBeGreaterThan(0);
    expect(messages.join("\n")).toMatch(mutant.because);
  });

  test("of those that break one thing alone, no other fails", async () => {
    const narrow = mutants.filter(({ rule }) => ["one-writer-wins", "never-half"].includes(rule));
    expect(narrow.length).toBe(3);
    for (const mutant of narrow) {
      const { failed } = await collectedOf(mutant);
      expect([...new Set([...failed.keys()].map(ruleOf))], mutant.what).toEqual([mutant.rule]);
    }
  });

  test("and every case fails for some mutant", async () => {
    const caught = new Set<string>();
    for (const mutant of mutants)
      for (const title of (await collectedOf(mutant)).failed.keys()) caught.add(title);
    expect(
      keyringStoreCases.map(({ id, title }) => `${id}: ${title}`).filter((title) => !caught.has(title)),
    ).toEqual([]);
  });
});

function ruleOf(title: string): string {
  return title.slice(0, title.indexOf(":"));
}
