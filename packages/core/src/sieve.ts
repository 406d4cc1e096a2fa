/** A bounded map that keeps what is used, by the SIEVE rule (Zhang et al., NSDI 2024). */

/** What a sieve holds: an entry is marked when it is used, by whoever uses it. */
export interface Sieved {
  visited: boolean;
}

/**
 * A map of at most `capacity` entries. When it is full a hand moves from the oldest to the newest, again and again: it
 * unmarks the entries that were visited, and removes the first that was not. So what is seen once does not push out what
 * is used often, and a hit costs one assignment.
 */
export class Sieve<V extends Sieved> {
  readonly #entries = new Map<string, V>();
  readonly #capacity: number;
  #hand: MapIterator<[string, V]>;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#hand = this.#entries.entries();
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry !== undefined) entry.visited = true;
    return entry;
  }

  set(key: string, entry: V): void {
    this.#entries.delete(key);
    if (this.#entries.size >= this.#capacity) this.#evict();
    this.#entries.set(key, entry);
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  /** Marks nothing as visited. */
  values(): Iterable<V> {
    return this.#entries.values();
  }

  deleteWhere(condition: (entry: V) => boolean): void {
    for (const [key, entry] of this.#entries) if (condition(entry)) this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
    this.#hand = this.#entries.entries();
  }

  #evict(): void {
    for (;;) {
      const { done, value } = this.#hand.next();
      if (done) {
        this.#hand = this.#entries.entries();
        continue;
      }
      const [key, entry] = value;
      if (!entry.visited) {
        this.#entries.delete(key);
        return;
      }
      entry.visited = false;
    }
  }
}
