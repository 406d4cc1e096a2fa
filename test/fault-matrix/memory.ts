/** The world of the fault matrix in memory, on a clock that moves only when told to. */

import type { KeyOperation, MasterKeyProvider, WrappedKey } from "@keyfold/core";
import { KeyfoldError } from "@keyfold/core";
import { type MemoryMasterKey, memoryMasterKey } from "@keyfold/testing";
import { FakeClock } from "../../packages/core/test/support/fake-clock.ts";
import type { Fault, World } from "./cells.ts";

const DEADLINE = 5_000;
/** Longer than a master key may be silent before the next is asked, and shorter than the deadline. */
const SLOW = 3_000;
const LATE = 7_000;
const STEP = 100;
const LONGEST = 60_000;

export function memoryWorld(): World {
  const clock = new FakeClock();
  const keys = [memoryMasterKey(), memoryMasterKey()];
  const ills = new Ills(clock);
  return {
    clock,
    deadline: DEADLINE,
    providers: (count) =>
      keys.slice(0, count).map((key, i) => (i === 0 ? new Ailing(key.reopen(), ills) : key.reopen())),
    begin: ({ fault }) => ills.begin(fault),
    end: () => ills.end(),
    pass: (ms) => clock.advance(ms),
    finish: (promise) => settling(clock, promise),
    close: async () => undefined,
  };
}

async function settling<T>(clock: FakeClock, promise: Promise<T>): Promise<T> {
  let settled = false;
  const end = () => {
    settled = true;
  };
  promise.then(end, end);
  await clock.advance(0);
  for (let passed = 0; !settled && passed < LONGEST; passed += STEP) await clock.advance(STEP);
  if (!settled) throw new Error("It never ended.");
  return promise;
}

/** What the first master key does instead of answering. */
class Ills {
  readonly #clock: FakeClock;
  #fault: Fault | undefined;
  #denials = 0;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  begin(fault: Fault): void {
    this.#fault = fault;
    this.#denials = { "denied once": 1, "denied twice": 2 }[fault as string] ?? 0;
  }

  end(): void {
    this.#fault = undefined;
    this.#denials = 0;
  }

  get fault(): Fault | undefined {
    return this.#fault;
  }

  /** Before an answer: a refusal, or time. */
  async befall(signal: AbortSignal): Promise<void> {
    if (this.#denials-- > 0) throw new KeyfoldError("ERR_MASTER_KEY_DENIED");
    if (this.#fault === "throttled") throw new KeyfoldError("ERR_MASTER_KEY_THROTTLED");
    if (this.#fault === "down") throw new KeyfoldError("ERR_MASTER_KEY_UNAVAILABLE");
    if (this.#fault === "disabled") throw new KeyfoldError("ERR_MASTER_KEY_DISABLED");
    if (this.#fault === "slow") await this.#wait(SLOW, signal);
    if (this.#fault === "late reply") await this.#wait(LATE, signal);
  }

  #wait(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimeout(resolve, ms);
      signal.addEventListener("abort", () => {
        this.#clock.clearTimeout(timer);
        reject(new KeyfoldError("ERR_ABORTED", undefined, { cause: signal.reason }));
      });
    });
  }
}

class Ailing implements MasterKeyProvider {
  readonly name: string;
  readonly authenticatesWraps = true;
  readonly #key: MemoryMasterKey;
  readonly #ills: Ills;

  constructor(key: MemoryMasterKey, ills: Ills) {
    this.name = key.name;
    this.#key = key;
    this.#ills = ills;
  }

  recognizes(masterKey: string): boolean {
    return this.#key.recognizes(masterKey);
  }

  async wrapKey(key: Uint8Array, operation: KeyOperation): Promise<WrappedKey> {
    await this.#ills.befall(operation.signal);
    const wrap = await this.#key.wrapKey(key, operation);
    if (this.#ills.fault === "wrong key") return { ...wrap, masterKey: "memory:another" };
    if (this.#ills.fault === "corrupt reply") return { ...wrap, ciphertext: new Uint8Array(0) };
    return wrap;
  }

  async unwrapKey(wrapped: WrappedKey, operation: KeyOperation): Promise<Uint8Array<ArrayBuffer>> {
    await this.#ills.befall(operation.signal);
    const key = await this.#key.unwrapKey(wrapped, operation);
    if (this.#ills.fault === "wrong key") return Uint8Array.from(key, (byte) => byte ^ 1);
    if (this.#ills.fault === "corrupt reply") return Uint8Array.from(key.subarray(1));
    return Uint8Array.from(key);
  }
}
