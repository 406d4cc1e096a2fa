/** What the pages of docs/spec are computed with again. Nothing of keyfold is imported: the pages must be enough. */

import { createCipheriv, createHmac } from "node:crypto";

/** `name = value` in the code blocks of the section "Worked example"; a value goes on in the indented lines below it. */
export function workedExample(page: string): Record<string, string> {
  const section = /^## Worked example\n(.*?)^## /ms.exec(page)?.[1] ?? "";
  const values: Record<string, string> = {};
  let name = "";
  for (const [, block = ""] of section.matchAll(/^```text\n(.*?)^```$/gms)) {
    for (const line of block.trimEnd().split("\n")) {
      const [, newName, start] = /^(\w+) *= (.*)$/.exec(line) ?? [];
      if (newName === undefined) {
        values[name] += line.trim();
      } else {
        name = newName;
        values[name] = start ?? "";
      }
    }
  }
  return values;
}

export function inHex(values: Record<string, Buffer>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, bytes]) => [name, bytes.toString("hex")]));
}

export function lp(bytes: Buffer): Buffer {
  return Buffer.concat([u16(bytes.length), bytes]);
}

export function u16(value: number): Buffer {
  return Buffer.from([value >>> 8, value & 0xff]);
}

export function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

export function encodeMap(map: Record<string, string>): Buffer {
  const pairs = Object.entries(map).map(([key, value]) => [Buffer.from(key), Buffer.from(value)] as const);
  pairs.sort(([a], [b]) => Buffer.compare(a, b));
  return Buffer.concat([u16(pairs.length), ...pairs.flat().map(lp)]);
}

export function expand(key: Buffer, info: Buffer, length: number): Buffer {
  const t1 = createHmac("sha512", key).update(info).update(Buffer.of(1)).digest();
  const t2 = createHmac("sha512", key).update(t1).update(info).update(Buffer.of(2)).digest();
  return Buffer.concat([t1, t2]).subarray(0, length);
}

export function gcm(key: Buffer, nonce: Buffer, plaintext: Buffer, aad: Buffer): Buffer {
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(aad);
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}
