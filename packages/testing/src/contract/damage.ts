/** damage-is-refused. */

import type { KeyfoldErrorCode, WrappedKey } from "@keyfold/core";
import { type Bytes, concat } from "@keyfold/core/provider";
import type { RunningSubject } from "../subject.ts";
import { type ContractCase, serviceCase } from "./case.ts";
import { drawKey, inBatches, operation, refusal } from "./tools.ts";

/** The service's refusal; or the provider's, where the damage lets the service answer with something of another length. */
const REFUSED: readonly KeyfoldErrorCode[] = ["ERR_MASTER_KEY_REJECTED", "ERR_MASTER_KEY_BAD_REPLY"];

interface Damage {
  readonly what: string;
  readonly ciphertext: Bytes;
}

export const damage: readonly ContractCase[] = [
  damageCase("every byte changed", changed),
  damageCase("cut", cut),
  damageCase("extended", extended),
];

function damageCase(title: string, damaged: (bytes: Bytes) => readonly Damage[]): ContractCase {
  return serviceCase("damage-is-refused", title, async (running) => {
    const wrapped = await running.provider().wrapKey(drawKey(), operation());
    await refuseAll(running, wrapped.masterKey, damaged(new Uint8Array(wrapped.ciphertext)));
  });
}

async function refuseAll(
  running: RunningSubject,
  masterKey: string,
  damaged: readonly Damage[],
): Promise<void> {
  const provider = running.provider();
  await inBatches(damaged, ({ what, ciphertext }) => {
    const wrapped: WrappedKey = { masterKey, ciphertext };
    return refusal(`a wrap with ${what}`, REFUSED, () => provider.unwrapKey(wrapped, operation()));
  });
}

/** One bit of every byte, another in each; in the scheme byte all of them. */
function changed(bytes: Bytes): readonly Damage[] {
  const everywhere = Array.from(bytes, (_, at) => change(bytes, at, 1 << (at % 8)));
  const scheme = [1, 2, 3, 4, 6, 8, 0x10, 0x20, 0x40, 0x80].map((mask) => change(bytes, 0, mask));
  return [...everywhere, ...scheme];
}

function change(bytes: Bytes, at: number, mask: number): Damage {
  const ciphertext = bytes.slice();
  ciphertext[at] = (ciphertext[at] ?? 0) ^ mask;
  return { what: `byte ${at} changed by ${mask}`, ciphertext };
}

function cut(bytes: Bytes): readonly Damage[] {
  const { length } = bytes;
  const shorter = [1, 2, length >> 1, length - 16, length - 2, length - 1].filter((at) => at > 0);
  const ends = shorter.map((at) => ({ what: `its first ${at} bytes alone`, ciphertext: bytes.slice(0, at) }));
  const middles = [1, length >> 1].map((at) => ({
    what: `byte ${at} taken out`,
    ciphertext: concat(bytes.subarray(0, at), bytes.subarray(at + 1)),
  }));
  return [...ends, ...middles];
}

function extended(bytes: Bytes): readonly Damage[] {
  const zero = new Uint8Array(1);
  const longer = [zero, bytes.subarray(-1), new Uint8Array(16), bytes.subarray(1)];
  const ends = longer.map((more) => ({
    what: `${more.length} bytes added at its end`,
    ciphertext: concat(bytes, more),
  }));
  const middles = [0, 1, bytes.length >> 1].map((at) => ({
    what: `a byte put in at ${at}`,
    ciphertext: concat(bytes.subarray(0, at), zero, bytes.subarray(at)),
  }));
  return [...ends, ...middles];
}
