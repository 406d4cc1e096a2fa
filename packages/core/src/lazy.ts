/** A value that is made when it is first asked for: once, however many ask at the same time, and again after a failure. */
export class Lazy<T> {
  readonly #make: () => Promise<T>;
  #made: Promise<T> | undefined;

  constructor(make: () => Promise<T>) {
    this.#make = make;
  }

  get(): Promise<T> {
    if (this.#made === undefined) {
      const made = this.#make();
      this.#made = made;
      made.catch(() => {
        this.#made = undefined;
      });
    }
    return this.#made;
  }

  /** What was made or is being made, if anything. */
  get made(): Promise<T> | undefined {
    return this.#made;
  }
}
