/**
 * Hostile inputs to `inspect` and `open`: only a KeyfoldError with a code of the list, no plaintext, no call to a master
 * key for what is malformed, and no memory for what a short input merely claims.
 *
 *     node test/hostile/hostile.ts [count] [seed]
 *
 * The same count and seed give the same inputs. Exit code 0 if all of it held, or 1.
 */

import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createKeyfold, type Keyfold, KeyfoldError } from "../../packages/core/src/index.ts";
import type { KeyfoldOptions } from "../../packages/core/src/options.ts";
import { drawInput, type Input } from "./inputs.ts";
import { CONTEXT, makeOriginals, masterKeys, type Originals, PROJECT } from "./originals.ts";
import { Random } from "./random.ts";

/** What `inspect` may say. */
const structural: readonly string[] = [
  "ERR_NOT_AN_ENVELOPE",
  "ERR_UNSUPPORTED_VERSION",
  "ERR_MALFORMED_ENVELOPE",
];
/** The codes of a refused envelope: each must be met. */
const expected: readonly string[] = [
  ...structural,
  "ERR_NO_USABLE_WRAP",
  "ERR_UNAUTHENTICATED_WRAP",
  "ERR_KEY_MISMATCH",
  "ERR_HEADER_REJECTED",
  "ERR_CONTEXT_MISMATCH",
  "ERR_MESSAGE_ALTERED",
  "ERR_MESSAGE_TRUNCATED",
];
/** What `open` may say: those, and what the master keys answer. */
const allowed: readonly string[] = [...expected, "ERR_MASTER_KEY_REJECTED", "ERR_UNWRAP_FAILED"];

/** From so many inputs on, each of the expected codes must have been met. */
const ENOUGH = 10_000;
/** A keyfold with nothing in memory takes the place of the last after so many inputs. */
const FRESH_FOR = 50;
/** Nothing here waits for anything but promises: after so many inputs, timers and finalizers have their turn. */
const TURN = 1_000;
/** Bytes that refusing an input may allocate over its own length. */
const MOST_ALLOCATED = 1_024;
/** The memory is measured for one input in so many, and for every one that claims more than it holds. */
const MEASURED_ONE_IN = 16;
const MOST_FAILURES = 10;

export interface Report {
  readonly seed: number;
  readonly count: number;
  readonly seconds: number;
  /** How often `open` gave each code. */
  readonly codes: ReadonlyMap<string, number>;
  /** For how many inputs the memory was measured. */
  readonly measured: number;
  readonly failures: readonly string[];
}

/** Draws `count` inputs and gives each to `inspect` and to `open`. */
export async function hostile({ count, seed }: { count: number; seed: number }): Promise<Report> {
  const random = new Random(seed);
  const originals = makeOriginals(random);
  const openers = await makeOpeners(originals);
  const codes = new Map<string, number>();
  const failures: string[] = [];
  let measured = 0;
  const start = performance.now();
  for (let index = 0; index < count && failures.length < MOST_FAILURES; index++) {
    const input = drawInput(random, originals, index);
    const keyfold = openers(index);
    if (index % TURN === 0) await setImmediate();
    try {
      if (input.kind === "claims" || random.chance(1, MEASURED_ONE_IN)) {
        requireThrift(input, keyfold);
        measured++;
      }
      const code = await judge(input, keyfold);
      codes.set(code, (codes.get(code) ?? 0) + 1);
    } catch (error) {
      failures.push(`input ${index}, ${input.kind}: ${error}\n    ${shown(input)}`);
    }
  }
  for (const original of originals.openable) await openers(0).open(original, CONTEXT);
  const missed = expected.filter((code) => count >= ENOUGH && !codes.has(code));
  failures.push(...missed.map((code) => `${code} was never met`));
  return { seed, count, seconds: (performance.now() - start) / 1_000, codes, measured, failures };
}

/** The code that an input is refused with. Throws if anything about it is not as it must be. */
async function judge({ envelope }: Input, keyfold: Keyfold): Promise<string> {
  const calls = callsSoFar();
  const inspected = inspectionOf(keyfold, envelope);
  assert.equal(keyfold.isSealed(envelope), inspected === undefined, "isSealed and inspect differ");
  const code = await rejectionOf(keyfold.open(envelope, CONTEXT));
  assert.ok(allowed.includes(code), `open gave ${code}`);
  if (inspected === undefined) assert.ok(!structural.includes(code), `inspect passed it, open gave ${code}`);
  else {
    assert.equal(code, inspected, "open and inspect differ");
    assert.equal(callsSoFar(), calls, "a master key was called for a malformed envelope");
  }
  return code;
}

/** Bytes only: text is decoded into a pool, which Node allocates now and then, whatever the input. */
function requireThrift({ envelope }: Input, keyfold: Keyfold): void {
  if (typeof envelope === "string") return;
  const isMalformed = inspectionOf(keyfold, envelope) !== undefined;
  const opening = () => refusalOf(() => keyfold.openSync(envelope, CONTEXT));
  for (const action of [() => inspectionOf(keyfold, envelope), ...(isMalformed ? [opening] : [])]) {
    const bytes: number = allocatedBy(action);
    const most: number = envelope.length + MOST_ALLOCATED;
    assert.ok(bytes <= most, `${bytes} bytes were allocated for an input of ${envelope.length}`);
  }
}

/** Bytes of array buffers that an action took, those included that it has dropped since, unless they were collected. */
function allocatedBy(action: () => unknown): number {
  const before = process.memoryUsage().arrayBuffers;
  action();
  return process.memoryUsage().arrayBuffers - before;
}

/** The code that `inspect` gives, one that it may give; undefined for an envelope whose header is sound. */
function inspectionOf(keyfold: Keyfold, envelope: Uint8Array | string): string | undefined {
  const code = refusalOf(() => keyfold.inspect(envelope));
  assert.ok(code === undefined || structural.includes(code), `inspect gave ${code}`);
  return code;
}

function refusalOf(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return codeOf(error);
  }
}

function rejectionOf(opening: Promise<unknown>): Promise<string> {
  return opening.then(() => assert.fail("it was opened"), codeOf);
}

function codeOf(error: unknown): string {
  if (error instanceof KeyfoldError) return error.code;
  throw error;
}

function callsSoFar(): number {
  return masterKeys.reduce((calls, { unwraps }) => calls + unwraps, 0);
}

/** The keyfold for each input: in turn one that knows every key, one that forgets them, a new one, and a credulous one. */
async function makeOpeners({ openable }: Originals): Promise<(index: number) => Keyfold> {
  const warm = opener({});
  await warm.ready(openable);
  const forgetful = opener({ maxKeys: 1 });
  const credulous = opener({ acceptUnauthenticatedWraps: true });
  let fresh = opener({});
  return (index) => {
    if (index % FRESH_FOR === 0) {
      fresh.close();
      fresh = opener({});
    }
    // Mutants have even indices: every kind of input meets every opener.
    return [warm, warm, forgetful, fresh, credulous][(index >> 1) % 5] ?? warm;
  };
}

function opener(options: Partial<KeyfoldOptions>): Keyfold {
  const unwrapBudget = { burst: Number.POSITIVE_INFINITY };
  return createKeyfold({ project: PROJECT, openWith: masterKeys, unwrapBudget, ...options });
}

function shown({ envelope }: Input): string {
  return typeof envelope === "string" ? JSON.stringify(envelope) : Buffer.from(envelope).toString("hex");
}

/** The report as a person reads it. */
function print({ seed, count, seconds, codes, measured, failures }: Report): void {
  const rate = Math.round(count / seconds).toLocaleString("en");
  console.log(
    `${count.toLocaleString("en")} inputs in ${seconds.toFixed(1)} s, ${rate} a second; seed ${seed}`,
  );
  for (const code of [...allowed, ...[...codes.keys()].filter((code) => !allowed.includes(code))])
    console.log(`  ${code.padEnd(28)} ${(codes.get(code) ?? 0).toLocaleString("en").padStart(9)}`);
  console.log(`  memory measured for ${measured.toLocaleString("en")}`);
  for (const failure of failures) console.error(`FAILED: ${failure}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [count = "1000000", seed = `${randomInt(2 ** 31)}`] = process.argv.slice(2);
  const report = await hostile({ count: Number(count), seed: Number(seed) });
  print(report);
  process.exitCode = report.failures.length === 0 ? 0 : 1;
}
