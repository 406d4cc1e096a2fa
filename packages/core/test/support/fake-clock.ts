import type { Clock } from "../../src/clock.ts";

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

/** A clock that moves only when told to. Its timers fire in their order, and promises settle in between. */
export class FakeClock implements Clock {
  #wall = Date.parse("2026-01-01T00:00:00Z");
  #monotonic = 0;
  readonly #timers = new Set<Timer>();

  now = (): number => this.#wall;
  monotonic = (): number => this.#monotonic;

  setTimeout = (callback: () => void, ms: number): unknown => {
    const timer = { at: this.#monotonic + ms, callback };
    this.#timers.add(timer);
    return timer;
  };

  clearTimeout = (timer: unknown): void => {
    this.#timers.delete(timer as Timer);
  };

  /** How many timers wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Moves both scales on by `ms`, firing what is due on the way. */
  async advance(ms: number): Promise<void> {
    const end = this.#monotonic + ms;
    await settled();
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#move(Math.max(0, next.at - this.#monotonic));
      this.#timers.delete(next);
      next.callback();
      await settled();
    }
    this.#move(end - this.#monotonic);
    await settled();
  }

  /** The wall clock alone moves: the machine slept, or somebody set it. */
  sleepMachine(ms: number): void {
    this.#wall += ms;
  }

  #next(end: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers)
      if (timer.at <= end && (next === undefined || timer.at < next.at)) next = timer;
    return next;
  }

  #move(ms: number): void {
    this.#wall += ms;
    this.#monotonic += ms;
  }
}

/** Lets every promise that can settle without a timer do so. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
}
