/** A child process: opens or re-wraps very many envelopes, some of them damaged, from an async iterable. */

import { createKeyfold, type Keyfold } from "@keyfold/core";
import { masterKey } from "./master-key.ts";
import { peakMemory, resetPeak, settledMemory } from "./memory-use.ts";

export interface ManyJob {
  readonly operation: "open" | "rewrap";
  readonly envelopes: number;
  /** How many of them are damaged, spread evenly. */
  readonly damaged: number;
}

export interface ManySample extends ManyJob {
  /** That passed, without what sealing the envelopes took. */
  readonly millis: number;
  /** Resident bytes: at most, over those before. Sealing the envelopes is in it. */
  readonly rise: number;
  /** The codes of the errors, each with how often it came. */
  readonly errors: Readonly<Record<string, number>>;
}

interface Sealed {
  readonly envelope: Uint8Array<ArrayBuffer>;
  readonly context: { readonly name: string };
}

export async function measureMany(job: ManyJob): Promise<ManySample> {
  const sealer = createKeyfold({ project: "bench", masterKeys: masterKey() });
  await sealer.ready();
  const keyfold = createKeyfold({ project: "bench", masterKeys: masterKey() });
  const source = new Source(job, sealer);
  const start = settledMemory();
  resetPeak();
  const began = performance.now();
  const errors = await (job.operation === "open" ? openAll : rewrapAll)(keyfold, job, source);
  return { ...job, millis: performance.now() - began - source.millis, rise: peakMemory() - start, errors };
}

/** Envelopes that are sealed when they are asked for, each with a context of its own. */
class Source {
  /** What sealing them took so far. */
  millis = 0;
  readonly #job: ManyJob;
  readonly #sealer: Keyfold;

  constructor(job: ManyJob, sealer: Keyfold) {
    this.#job = job;
    this.#sealer = sealer;
  }

  async *items(): AsyncGenerator<Sealed> {
    for (let index = 0; index < this.#job.envelopes; index++) {
      const began = performance.now();
      const context = { name: `secret/${index}` };
      const envelope = this.#sealer.sealSync(textOf(index), context);
      if (isDamaged(this.#job, index)) damage(envelope);
      this.millis += performance.now() - began;
      yield { envelope, context };
    }
  }

  async *envelopes(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    for await (const { envelope } of this.items()) yield envelope;
  }
}

function textOf(index: number): string {
  return `secret number ${index}`;
}

/** Each result must be where its envelope was: a good one opened to its own text, or an error for a damaged one. */
async function openAll(keyfold: Keyfold, job: ManyJob, source: Source) {
  const errors: Record<string, number> = {};
  let index = 0;
  for await (const result of keyfold.openMany(source.items(), { text: true })) {
    if (result.ok ? result.value !== textOf(index) : !isDamaged(job, index))
      throw new Error(`Item ${index} is wrong.`);
    if (!result.ok) count(errors, result.error);
    index++;
  }
  requireAll(job, index, errors);
  return errors;
}

async function rewrapAll(keyfold: Keyfold, job: ManyJob, source: Source) {
  const errors: Record<string, number> = {};
  let index = 0;
  for await (const result of keyfold.rewrapMany(source.envelopes())) {
    if (result.ok === isDamaged(job, index)) throw new Error(`Item ${index} is wrong.`);
    if (!result.ok) count(errors, result.error);
    index++;
  }
  requireAll(job, index, errors);
  return errors;
}

function isDamaged({ envelopes, damaged }: ManyJob, index: number): boolean {
  return index % Math.floor(envelopes / damaged) === 0;
}

/** One bit of the sealed DEK: what opening and re-wrapping both authenticate. It stands before the message. */
function damage(envelope: Uint8Array<ArrayBuffer>): void {
  const wraps = ((envelope[36] ?? 0) << 8) | (envelope[37] ?? 0);
  const sealedDek = 38 + wraps + 12;
  envelope[sealedDek] = (envelope[sealedDek] ?? 0) ^ 1;
}

function count(errors: Record<string, number>, { code }: { readonly code: string }): void {
  errors[code] = (errors[code] ?? 0) + 1;
}

function requireAll({ envelopes, damaged }: ManyJob, results: number, errors: Record<string, number>): void {
  const failed = Object.values(errors).reduce((sum, times) => sum + times, 0);
  if (results !== envelopes || failed !== damaged) {
    throw new Error(
      `${results} results, ${failed} errors, of ${envelopes} envelopes with ${damaged} damaged.`,
    );
  }
}
