/** What something took, on two clocks. */

/** Milliseconds. */
export interface Spent {
  /** That passed. */
  readonly wall: number;
  /** Of the processor, by all threads of this process. */
  readonly cpu: number;
}

/** Since moments that do not matter. */
export function spentUntilNow(): Spent {
  const { user, system } = process.cpuUsage();
  return { wall: performance.now(), cpu: (user + system) / 1_000 };
}

export function spentBetween(start: Spent, end: Spent): Spent {
  return { wall: end.wall - start.wall, cpu: end.cpu - start.cpu };
}

export const NOTHING: Spent = { wall: 0, cpu: 0 };

export function addSpent(some: Spent, more: Spent): Spent {
  return { wall: some.wall + more.wall, cpu: some.cpu + more.cpu };
}
