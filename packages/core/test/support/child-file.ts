/** What a test hands to a second process: master keys and envelopes in one file of length-prefixed records. */

import { readFileSync, writeFileSync } from "node:fs";

/** A `MemoryKms` as it goes through a file. */
export interface SharedKms {
  readonly uri: string;
  /** Hex. */
  readonly key: string;
}

export interface Handover {
  readonly masterKeys: readonly SharedKms[];
  readonly envelopes: readonly Uint8Array[];
}

/** What the second process reports. */
export interface ChildReport {
  /** Envelopes that opened and held what was sealed. */
  readonly opened: number;
  readonly wraps: number;
  readonly unwraps: number;
}

/** The context that the envelope of this number is sealed with: no two have the same. */
export function contextOf(number: number): Record<string, string> {
  return { tenant: `tenant-${number}`, field: "password" };
}

/** The plaintext of the envelope of this number. */
export function secretOf(number: number): string {
  return `secret ${number}`;
}

export function writeHandover(path: string, { masterKeys, envelopes }: Handover): void {
  const records = [Buffer.from(JSON.stringify(masterKeys)), ...envelopes];
  const file = Buffer.alloc(records.reduce((sum, record) => sum + 4 + record.length, 0));
  let offset = 0;
  for (const record of records) {
    offset = file.writeUInt32BE(record.length, offset);
    file.set(record, offset);
    offset += record.length;
  }
  writeFileSync(path, file);
}

export function readHandover(path: string): Handover {
  const file = readFileSync(path);
  const records: Uint8Array[] = [];
  for (let offset = 0; offset < file.length; ) {
    const start = offset + 4;
    offset = start + file.readUInt32BE(offset);
    records.push(file.subarray(start, offset));
  }
  const [masterKeys, ...envelopes] = records;
  if (masterKeys === undefined) throw new Error("The file is empty.");
  return { masterKeys: JSON.parse(Buffer.from(masterKeys).toString()), envelopes };
}
