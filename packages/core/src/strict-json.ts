/**
 * JSON (RFC 8259) of which every byte counts: the subset that a keyring is written in. `JSON.parse` keeps the last of two
 * members of one name, and reads `7.0` as `7`: changes that would go unseen.
 */

/** What there may be: no `true`, `false` or `null`, and of numbers only safe integers that are not negative. */
export type StrictJson = string | number | readonly StrictJson[] | ReadonlyMap<string, StrictJson>;

/** Why a text is refused, and where: a sentence. */
export class StrictJsonError extends Error {}

/** A keyring is three deep. A bound on it keeps a hostile text from exhausting the stack. */
const MAX_DEPTH = 8;
const WHITE_SPACE = /[ \t\n\r]*/y;
const STRING = /"[^"\\]*(?:\\.[^"\\]*)*"/sy;
const INTEGER = /(?:0|[1-9][0-9]*)(?![0-9.eE])/y;
/** `\u001F` would be another spelling of `\u001f`, one byte away. */
const CAPITAL_ESCAPE = /(?<!\\)(?:\\\\)*\\u[0-9a-f]{0,3}[A-F]/;

/**
 * The value that `text` is the JSON of.
 *
 * @throws `StrictJsonError` for what is not JSON or beyond {@link StrictJson}, a member that occurs twice, ill-formed text
 * (a lone surrogate), and a `\u` escape with capital digits
 */
export function parseStrictJson(text: string): StrictJson {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.end();
  return value;
}

class Reader {
  readonly #text: string;
  #offset = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(depth: number): StrictJson {
    if (depth > MAX_DEPTH) throw this.#refused("Values are nested too deep");
    this.#skipWhiteSpace();
    const first = this.#text[this.#offset];
    if (first === "{") return this.#object(depth);
    if (first === "[") return this.#array(depth);
    return first === '"' ? this.#string() : this.#integer();
  }

  end(): void {
    this.#skipWhiteSpace();
    if (this.#offset < this.#text.length) throw this.#refused("Something follows the end");
  }

  #object(depth: number): ReadonlyMap<string, StrictJson> {
    const members = new Map<string, StrictJson>();
    this.#list("{", "}", () => {
      this.#skipWhiteSpace();
      const name = this.#string();
      if (members.has(name)) throw this.#refused("A member occurs twice");
      if (!this.#take(":")) throw this.#refused("A colon is missing");
      members.set(name, this.value(depth + 1));
    });
    return members;
  }

  #array(depth: number): readonly StrictJson[] {
    const items: StrictJson[] = [];
    this.#list("[", "]", () => {
      items.push(this.value(depth + 1));
    });
    return items;
  }

  /** What stands between the brackets, separated by commas: nothing, or each by `item`. */
  #list(open: string, close: string, item: () => void): void {
    this.#take(open);
    if (this.#take(close)) return;
    do item();
    while (this.#take(","));
    if (!this.#take(close)) throw this.#refused("A comma or a closing bracket is missing");
  }

  #string(): string {
    const token = this.#match(STRING);
    if (token === undefined) throw this.#refused("A string is missing");
    if (CAPITAL_ESCAPE.test(token)) throw this.#refused("An escape has capital digits");
    const value = this.#decoded(token);
    if (!value.isWellFormed()) throw this.#refused("Text is ill-formed (a lone surrogate)");
    return value;
  }

  #decoded(token: string): string {
    try {
      return JSON.parse(token);
    } catch (error) {
      if (error instanceof SyntaxError) throw this.#refused("A string is malformed");
      throw error;
    }
  }

  #integer(): number {
    const value = Number(this.#match(INTEGER) ?? Number.NaN);
    if (!Number.isSafeInteger(value))
      throw this.#refused("Neither text, an object, an array nor an integer from 0 to 2^53 - 1");
    return value;
  }

  #take(character: string): boolean {
    this.#skipWhiteSpace();
    if (this.#text[this.#offset] !== character) return false;
    this.#offset++;
    return true;
  }

  #skipWhiteSpace(): void {
    this.#match(WHITE_SPACE);
  }

  /** The token at the offset, which moves behind it. */
  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#offset;
    const token = pattern.exec(this.#text)?.[0];
    this.#offset += token?.length ?? 0;
    return token;
  }

  /** By line and column, as editors count, of what was read last. */
  #refused(what: string): StrictJsonError {
    const before = this.#text.slice(0, this.#offset).split("\n");
    return new StrictJsonError(
      `${what}, at line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}.`,
    );
  }
}
