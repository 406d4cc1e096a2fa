/** The fault matrix: what is varied, and how one cell of it is found out. */

import {
  type Clock,
  createKeyfold,
  createKeyring,
  type Keyfold,
  KeyfoldError,
  type Keyring,
  type KeyringStore,
  type MasterKeyProvider,
  memoryKeyringStore,
  openKeyring,
} from "@keyfold/core";

export const faults = [
  "slow",
  "throttled",
  "down",
  "denied once",
  "denied twice",
  "disabled",
  "wrong key",
  "corrupt reply",
  "late reply",
] as const;
export type Fault = (typeof faults)[number];

export const ages = ["cold", "warm", "past refreshAfter", "past expireAfter"] as const;
export type Age = (typeof ages)[number];

export const operations = ["seal", "open"] as const;
export type Operation = (typeof operations)[number];

/** What an operation gave: "ok", or the code. */
export type Result = string;

export interface Cell {
  readonly fault: Fault;
  readonly age: Age;
  readonly masterKeys: 1 | 2;
  readonly keyring: boolean;
}

export interface Outcome {
  /** At once, 31 s later and 62 s later, while the fault lasts. */
  readonly during: readonly Result[];
  /** A minute after it has ended. */
  readonly after: Result;
}

/** Master keys that are well, but for the first, which fails on demand; and the time that passes for keyfold. */
export interface World {
  readonly clock: Clock;
  /** Milliseconds. */
  readonly deadline: number;
  /** Another provider for each of the master keys: as another process has it. */
  providers(count: number): readonly MasterKeyProvider[];
  /** The first master key fails from now on, as the cell says. */
  begin(cell: Cell): void;
  end(): void;
  /** So much time passes. What is under way in the background ends, as far as it does in that time. */
  pass(ms: number): Promise<void>;
  /** Time passes until the promise has settled. */
  finish<T>(promise: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const AGES: Readonly<Record<Age, number>> = {
  cold: 0,
  warm: MINUTE,
  "past refreshAfter": 16 * MINUTE,
  "past expireAfter": 25 * HOUR,
};
/** A second denial counts 30 s after the first. */
const APART = 31 * SECOND;
/** The deadline of whoever is not examined. */
const UNHURRIED = 2 * MINUTE;

const project = "matrix";
const context = { name: "db_password" };

/** A process: it opens its keyring when it first needs it, and again where that failed. */
class Program {
  readonly #world: World;
  readonly #masterKeys: readonly MasterKeyProvider[];
  readonly #store: KeyringStore | undefined;
  #keyring: Keyring | undefined;
  #keyfold: Keyfold | undefined;

  constructor(world: World, masterKeys: readonly MasterKeyProvider[], store: KeyringStore | undefined) {
    this.#world = world;
    this.#masterKeys = masterKeys;
    this.#store = store;
  }

  async keyfold(): Promise<Keyfold> {
    const { clock, deadline } = this.#world;
    const masterKeys = this.#masterKeys;
    if (this.#keyfold !== undefined) return this.#keyfold;
    if (this.#store === undefined) {
      this.#keyfold = createKeyfold({ project, masterKeys, clock, deadline });
      return this.#keyfold;
    }
    this.#keyring = await openKeyring({ project, store: this.#store, masterKeys, clock, deadline });
    this.#keyfold = createKeyfold({ project, keyring: this.#keyring, clock });
    return this.#keyfold;
  }

  async close(): Promise<void> {
    await this.#keyfold?.close();
    await this.#keyring?.close();
    await Promise.all(this.#masterKeys.map((masterKey) => masterKey.close?.()));
  }
}

/** Finds out one half of a cell, in a world of its own. */
export async function outcomeOf(world: World, cell: Cell, operation: Operation): Promise<Outcome> {
  const finish: World["finish"] = (promise) => world.finish(promise);
  const store = cell.keyring ? await finish(storeOf(world, cell)) : undefined;
  const before = new Program({ ...world, deadline: UNHURRIED }, world.providers(cell.masterKeys), store);
  const program = new Program(world, world.providers(cell.masterKeys), store);
  try {
    const sealed = await finish(before.keyfold().then((keyfold) => keyfold.seal("secret", context)));
    const act = async () => {
      const keyfold = await program.keyfold();
      if (operation === "seal") await keyfold.seal("secret", context);
      else if ((await keyfold.openText(sealed, context)) !== "secret") throw new Error("Another secret.");
    };
    if (cell.age !== "cold") await finish(act());
    await world.pass(AGES[cell.age]);
    world.begin(cell);
    const during: Result[] = [];
    for (let use = 0; use < 3; use++) {
      if (use > 0) await world.pass(APART);
      during.push(await resultOf(finish(act())));
    }
    world.end();
    await world.pass(MINUTE);
    return { during, after: await resultOf(finish(act())) };
  } finally {
    await before.close();
    await program.close();
    await world.close();
  }
}

async function storeOf(world: World, { masterKeys: count }: Cell): Promise<KeyringStore> {
  const store = memoryKeyringStore();
  const masterKeys = world.providers(count);
  const { clock } = world;
  await createKeyring({ project, store, masterKeys, clock, deadline: UNHURRIED });
  await Promise.all(masterKeys.map((masterKey) => masterKey.close?.()));
  return store;
}

async function resultOf(promise: Promise<void>): Promise<Result> {
  try {
    await promise;
    return "ok";
  } catch (error) {
    if (error instanceof KeyfoldError) return error.code;
    throw error;
  }
}
