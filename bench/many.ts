/** A child process: opens or re-wraps very many envelopes, some of them damaged, from an async iterable. */

import { createKeyfold, type Keyfold } from "@keyfold/core";
import { memoryMasterKey } from "@keyfold/testing";
import { peakMemory, resetPeak, settledMemory } from "./memory-use.ts";

export interface ManyJob {
  readonly operation: "open" | "rewrap";
  readonly envelopes: number;
  /** How many of them are damaged, spread evenly. */
  readonly damaged: number;
}

export interface ManySample extends ManyJob {
  readonly millis: number;
  /** Resident bytes: at most, over those before. */
  readonly rise: number;
  /** The codes of the errors, each with how often it came. */
  readonly errors: Readonly<Record<string, number>>;
}

/** Envelopes are drawn from so many distinct ones, each sealed with a context of its own. */
const DISTINCT = 1_000;

interface Sealed {
  readonly envelope: Uint8Array<ArrayBuffer>;
  readonly context: { readonly name: string };
}

export async function measureMany(job: ManyJob): Promise<ManySample> {
  const masterKey = memoryMasterKey();
  const sealer = createKeyfold({ project: "bench", masterKeys: masterKey });
  const sealed: Sealed[] = [];
  for (let i = 0; i < DISTINCT; i++) {
    const context = { name: `secret/${i}` };
    sealed.push({ context, envelope: await sealer.seal(`secret number ${i}`, context) });
  }
  const keyfold = createKeyfold({ project: "bench", masterKeys: masterKey.reopen() });
  const start = settledMemory();
  resetPeak();
  const began = performance.now();
  const errors = await (job.operation === "open" ? openAll : rewrapAll)(keyfold, job, sealed);
  return { ...job, millis: performance.now() - began, rise: peakMemory() - start, errors };
}

/** Each result must be where its envelope was: a good one opened to its own text, or an error for a damaged one. */
async function openAll(keyfold: Keyfold, job: ManyJob, sealed: readonly Sealed[]) {
  const errors: Record<string, number> = {};
  let index = 0;
  for await (const result of keyfold.openMany(items(job, sealed), { text: true })) {
    const expected = `secret number ${index % DISTINCT}`;
    if (result.ok ? result.value !== expected : !isDamaged(job, index))
      throw new Error(`Item ${index} is wrong.`);
    if (!result.ok) count(errors, result.error);
    index++;
  }
  requireAll(job, index, errors);
  return errors;
}

async function rewrapAll(keyfold: Keyfold, job: ManyJob, sealed: readonly Sealed[]) {
  const errors: Record<string, number> = {};
  let index = 0;
  for await (const result of keyfold.rewrapMany(envelopes(job, sealed))) {
    if (result.ok === isDamaged(job, index)) throw new Error(`Item ${index} is wrong.`);
    if (!result.ok) count(errors, result.error);
    index++;
  }
  requireAll(job, index, errors);
  return errors;
}

async function* items(job: ManyJob, sealed: readonly Sealed[]): AsyncGenerator<Sealed> {
  for (let index = 0; index < job.envelopes; index++) {
    const item = sealed[index % DISTINCT] as Sealed;
    yield isDamaged(job, index) ? { ...item, envelope: damage(item.envelope) } : item;
  }
}

async function* envelopes(job: ManyJob, sealed: readonly Sealed[]): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for await (const { envelope } of items(job, sealed)) yield envelope;
}

function isDamaged({ envelopes, damaged }: ManyJob, index: number): boolean {
  return index % Math.floor(envelopes / damaged) === 0;
}

/** One bit of the sealed DEK: what opening and re-wrapping both authenticate. It stands before the message. */
function damage(envelope: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const copy = envelope.slice();
  const wraps = ((copy[36] ?? 0) << 8) | (copy[37] ?? 0);
  const sealedDek = 38 + wraps + 12;
  copy[sealedDek] = (copy[sealedDek] ?? 0) ^ 1;
  return copy;
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
