/** Keyrings for tests of behaviour: whose store is watched and can fail, and whose key is known, to forge documents. */

import { KeyfoldError } from "../../src/errors.ts";
import { encodeName } from "../../src/key-hierarchy.ts";
import { createKeyring, type Keyring, type OpenKeyringOptions, openKeyring } from "../../src/keyring.ts";
import { formatKeyring, type KeyringDocument, parseKeyring } from "../../src/keyring-document.ts";
import { importKeyringKey, type KeyringKey, macOf } from "../../src/keyring-key.ts";
import type { KeyringStore, StoredKeyring } from "../../src/keyring-store.ts";
import { SpyKms, silence } from "./behaviour.ts";
import type { FakeClock } from "./fake-clock.ts";

export const project = "test";

/** A store without `watch`, that counts, fails on demand, and lets an attacker write what he likes. */
export class SpyStore implements KeyringStore {
  loads = 0;
  saves = 0;
  /** Every load fails with it, while it is set. */
  failing: Error | undefined;
  /** Runs before an answer, which waits for it; what was there before is what is answered. */
  beforeLoad: (() => Promise<void> | void) | undefined;
  beforeSave: (() => Promise<void> | void) | undefined;
  afterSave: (() => Promise<void> | void) | undefined;
  present: StoredKeyring | undefined;
  #versions = 0;

  get text(): string {
    return this.present?.text ?? "";
  }

  async load(): Promise<StoredKeyring | undefined> {
    this.loads++;
    const { present } = this;
    await this.beforeLoad?.();
    if (this.failing !== undefined) throw this.failing;
    return present;
  }

  async save(text: string, expected: string | undefined): Promise<string> {
    this.saves++;
    await this.beforeSave?.();
    if (this.present?.version !== expected) throw new KeyfoldError("ERR_KEYRING_CONFLICT");
    const { version } = this.put(text);
    await this.afterSave?.();
    return version;
  }

  /** What whoever can write the store does, without asking. */
  put(text: string): StoredKeyring {
    this.present = { text, version: `${++this.#versions}` };
    return this.present;
  }

  hang(): void {
    this.beforeLoad = silence;
  }
}

export interface Lab {
  readonly store: SpyStore;
  readonly kms: SpyKms;
  readonly id: string;
  /** The keyring key itself: what only who may unwrap has. */
  readonly key: KeyringKey;
  open(options?: Partial<OpenKeyringOptions>): Promise<Keyring>;
}

/** A new keyring of the project "test" under one master key. */
export async function lab(kms: SpyKms = new SpyKms("memory:kms"), clock?: FakeClock): Promise<Lab> {
  const store = new SpyStore();
  const { id } = await createKeyring({ project, store, masterKeys: kms, clock });
  const [bytes] = kms.keys;
  if (bytes === undefined) throw new Error("The keyring key was not wrapped.");
  const key = importKeyringKey(bytes, encodeName("project", project));
  return {
    store,
    kms,
    id,
    key,
    open: (options = {}) => openKeyring({ project, store, masterKeys: kms, clock, ...options }),
  };
}

/** A document with a change, and the mac that whoever has the keyring key would give it. */
export function resigned(
  { store, key }: Pick<Lab, "store" | "key">,
  change: (document: KeyringDocument) => Partial<KeyringDocument>,
): string {
  const document = parseKeyring(store.text);
  const next = { ...document, ...change(document) };
  return formatKeyring({ ...next, mac: macOf(key, next) });
}

/** A document with a change, and the mac that it had before. */
export function altered(
  { store }: Pick<Lab, "store">,
  change: (document: KeyringDocument) => Partial<KeyringDocument>,
): string {
  const document = parseKeyring(store.text);
  return formatKeyring({ ...document, ...change(document) });
}
