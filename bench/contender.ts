/** What is measured: one way to seal a secret and to open it again. */

/** Text to text, a context of its own for every secret. */
export type Context = Readonly<Record<string, string>>;

/** Whether a call gives its result or a promise of it. */
export type Mode = "sync" | "async";

/** What a contender is given: bytes, or ASCII text of as many characters where it takes nothing else. */
export type Plaintext = Uint8Array | string;

export interface Sealer {
  /** Sync: what was sealed. Async: a promise of it. */
  seal(plaintext: Plaintext, context: Context): unknown;
  /** Sync: the plaintext. Async: a promise of it. Whatever `seal` gave, and the same context. */
  open(sealed: unknown, context: Context): unknown;
  /** How many bytes, or characters of ASCII, are stored for what `seal` gave. */
  stored(sealed: unknown): number;
}

export interface Contender {
  readonly name: string;
  /** Where it comes from, for its version; none for what is part of Node. */
  readonly package?: string;
  readonly modes: readonly Mode[];
  readonly takes: "bytes" | "text";
  /** Where it does less than keyfold, or something else: so that nobody compares what is not alike. */
  readonly differs: string;
  start(mode: Mode): Promise<Sealer>;
}
