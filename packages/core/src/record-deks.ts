/** The DEKs of a record's fields: work that asks for them, whether they are in memory or have to be waited for. */

import { equalBytes } from "./bytes.ts";
import type { OperationOptions } from "./callers.ts";
import type { EnvelopeHeader } from "./envelope.ts";
import { KeyfoldError } from "./errors.ts";
import type { Operations } from "./operations.ts";

/** Work that asks for the DEK of one header after the other; whoever asks wipes it. */
export type AskingForDeks<T> = Generator<EnvelopeHeader, T, Uint8Array>;

/** The DEK of the header at hand. The fields of a record mostly have the same, which is then opened once. */
export class RecordDeks {
  #last: { readonly header: EnvelopeHeader; readonly dek: Uint8Array } | undefined;

  *of(header: EnvelopeHeader): AskingForDeks<Uint8Array> {
    if (this.#last !== undefined && isSame(this.#last.header, header)) return this.#last.dek;
    const dek = yield header;
    this.wipe();
    this.#last = { header, dek };
    return dek;
  }

  wipe(): void {
    this.#last?.dek.fill(0);
    this.#last = undefined;
  }
}

function isSame(a: EnvelopeHeader, b: EnvelopeHeader): boolean {
  return equalBytes(a.nonce, b.nonce) && equalBytes(a.sealedDek, b.sealedDek) && equalBytes(a.aad, b.aad);
}

/** Gives the work its DEKs from memory. */
export function answerNow<T>(operations: Operations, work: AskingForDeks<T>): T {
  let step = work.next();
  while (!step.done) step = resumption(operations, work, step.value)();
  return step.value;
}

function resumption<T>(
  { keys, scope }: Operations,
  work: AskingForDeks<T>,
  header: EnvelopeHeader,
): () => IteratorResult<EnvelopeHeader, T> {
  try {
    const dek = keys.openDek(header, scope);
    if (dek === undefined) throw notReady("The KDK of this envelope is not in memory.", keys.lossOf(header));
    return () => work.next(dek);
  } catch (error) {
    return () => work.throw(error);
  }
}

/** Gives the work its DEKs, from memory or by calls. */
export async function answerLater<T>(
  operations: Operations,
  work: AskingForDeks<T>,
  options?: OperationOptions,
): Promise<T> {
  let step = work.next();
  while (!step.done) {
    const resume = await operations.dekOf(step.value, options).then(
      (dek) => () => work.next(dek),
      (error: unknown) => () => work.throw(error),
    );
    step = resume();
  }
  return step.value;
}

/** @param cause why the key is not in memory any more, where it was */
export function notReady(detail: string, cause: KeyfoldError | undefined): KeyfoldError {
  return new KeyfoldError("ERR_NOT_READY", detail, cause === undefined ? {} : { cause });
}
