/**
 * {faults} × {ages of the keys} × {one master key, two} × {keyring, none}: what each cell gives, in memory and over the fake
 * services, compared with docs/fault-matrix.md. `KEYFOLD_WRITE=1` writes the page anew: read it before you commit it.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { type Cell, outcomeOf, type World } from "./cells.ts";
import { memoryWorld } from "./memory.ts";
import { serverWorld, serviceNames } from "./servers.ts";
import { cells, type Found, nameOf, page } from "./table.ts";

const file = new URL("../../docs/fault-matrix.md", import.meta.url);
const isWriting = process.env["KEYFOLD_WRITE"] === "1";
/** Each has a server of its own, and mostly waits. */
const AT_ONCE = 16;
const LONG = 300_000;

let memory: readonly Found[] = [];
const served = new Map<string, readonly Found[]>();

beforeAll(async () => {
  memory = await runAll(async () => memoryWorld(), 8);
  const all = serviceNames.map((name) => runAll(() => serverWorld(name), AT_ONCE));
  for (const [i, found] of (await Promise.all(all)).entries()) served.set(serviceNames[i] ?? "", found);
  if (isWriting) writeFileSync(file, page(memory, served));
}, 4 * LONG);

test("has every cell", () => {
  expect(memory).toHaveLength(9 * 4 * 2 * 2);
  for (const found of served.values()) expect(found).toHaveLength(memory.length);
});

test("comes out as docs/fault-matrix.md says", () => {
  expect(page(memory, served).split("\n")).toEqual(readFileSync(file, "utf8").split("\n"));
});

describe("what holds in every cell, in memory and over every service", () => {
  const everywhere = () => [memory, ...served.values()].flat();
  const unlike = (isRight: (found: Found) => boolean) =>
    everywhere()
      .filter((found) => !isRight(found))
      .map(({ cell }) => nameOf(cell));

  test("all is well a minute after the fault has ended", () => {
    expect(unlike(({ halves: { seal, open } }) => seal.after === "ok" && open.after === "ok")).toEqual([]);
  });

  test("warm keys notice nothing at first, whatever the fault", () => {
    const isWarm = ({ age }: Cell) => age === "warm" || age === "past refreshAfter";
    const isRight = ({ cell, halves: { seal, open } }: Found) =>
      !isWarm(cell) || (seal.during[0] === "ok" && open.during[0] === "ok");
    expect(unlike(isRight)).toEqual([]);
  });

  test("what expired is not used: in memory, sealing and opening are as in a process that has just started", () => {
    const cold = (cell: Cell) =>
      memory.find((other) => nameOf(other.cell) === nameOf({ ...cell, age: "cold" }));
    for (const { cell, halves } of memory.filter((found) => found.cell.age === "past expireAfter"))
      expect(halves, nameOf(cell)).toEqual(cold(cell)?.halves);
  });

  test("with a second master key that is well, every envelope opens under every fault", () => {
    const isRight = ({ cell, halves: { open } }: Found) =>
      cell.masterKeys === 1 || open.during.every((result) => result === "ok");
    expect(unlike(isRight)).toEqual([]);
  });

  test("with a keyring and a second master key that is well, sealing goes on as well", () => {
    const isRight = ({ cell, halves: { seal } }: Found) =>
      cell.masterKeys === 1 || !cell.keyring || seal.during.every((result) => result === "ok");
    expect(unlike(isRight)).toEqual([]);
  });
});

/** All cells, so many at a time. */
async function runAll(makeWorld: () => Promise<World>, atOnce: number): Promise<readonly Found[]> {
  const found: Found[] = [];
  const left = cells.values();
  const worker = async () => {
    for (const cell of left) {
      const [seal, open] = await Promise.all([
        outcomeOf(await makeWorld(), cell, "seal"),
        outcomeOf(await makeWorld(), cell, "open"),
      ]);
      found.push({ cell, halves: { seal, open } });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return found;
}
