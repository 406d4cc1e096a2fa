/** The fault matrix as a page. */

import { ages, type Cell, faults, type Operation, type Outcome, operations } from "./cells.ts";

/** What one cell gave, for each operation. */
export type Halves = Readonly<Record<Operation, Outcome>>;

export interface Found {
  readonly cell: Cell;
  readonly halves: Halves;
}

const variants = [
  { keyring: false, masterKeys: 1 },
  { keyring: false, masterKeys: 2 },
  { keyring: true, masterKeys: 1 },
  { keyring: true, masterKeys: 2 },
] as const;

export const cells: readonly Cell[] = variants.flatMap((variant) =>
  faults.flatMap((fault) => ages.map((age) => ({ fault, age, ...variant }))),
);

const INTRODUCTION = `# What faults of a KMS do

Written by [test/fault-matrix](../test/fault-matrix/matrix.test.ts), which runs all of it again and compares:
\`KEYFOLD_WRITE=1 vitest run test/fault-matrix\` writes this page anew.

A process seals, or opens an envelope that another process sealed, while its master key does what the row says. With two
master keys the second is well. The process has just started (_cold_), used its key a minute ago (_warm_), 16 minutes ago
(_past \`refreshAfter\`_), or 25 hours ago (_past \`expireAfter\`_). A cold process with a keyring opens the keyring first.

It tries at once, 31 s later and 62 s later, while the fault lasts: \`ok → DISABLED\` worked at first and then
did not. Results that repeat are left out, so where there is only \`ok\`, nobody noticed. A minute after the fault has ended it
tries again, and that works in every cell; one where it did not would say so. \`DISABLED\` stands for
\`ERR_MASTER_KEY_DISABLED\`, and so on; all codes are on [the page of errors](errors.md).

| fault         | the master key                                                 |
| ------------- | -------------------------------------------------------------- |
| slow          | takes seconds, of a deadline of 5 s                            |
| throttled     | answers that there are too many calls                          |
| down          | answers that it is not available                               |
| denied once   | refuses the first call, and no other                           |
| denied twice  | refuses the first two calls                                    |
| disabled      | answers that it is disabled                                    |
| wrong key     | wraps under another name; unwraps another key than was wrapped |
| corrupt reply | wraps to nothing; unwraps one byte too few                     |
| late reply    | answers rightly after 7 s, when nobody waits any more          |
`;

/** The page: all cells in memory, and for each service those that came out otherwise there. */
export function page(memory: readonly Found[], served: ReadonlyMap<string, readonly Found[]>): string {
  const tables = variants.map((variant) => section(variant, memory));
  const services = [...served].map(([name, found]) => differences(name, memory, found));
  return `${[INTRODUCTION, ...tables, ...services].join("\n").trimEnd()}\n`;
}

function section(variant: (typeof variants)[number], found: readonly Found[]): string {
  const rows = faults.flatMap((fault) =>
    ages.map((age, i) => [i === 0 ? fault : "", age, ...textsOf(at(found, { fault, age, ...variant }))]),
  );
  return `## ${titleOf(variant)}\n\n${table(["fault", "keys", "seal", "open"], rows)}`;
}

function differences(name: string, memory: readonly Found[], found: readonly Found[]): string {
  const rows = cells.flatMap((cell) => {
    const here = textsOf(at(found, cell));
    const isSame = here.join("|") === textsOf(at(memory, cell)).join("|");
    return isSame ? [] : [[titleOf(cell), cell.fault, cell.age, ...here]];
  });
  const introduction = `The same cells over the wire, with the real SDK: ${cells.length - rows.length} of ${cells.length} are as in memory`;
  if (rows.length === 0) return `## ${name}\n\n${introduction}.\n`;
  return `## ${name}\n\n${introduction}. The others:\n\n${table(["with", "fault", "keys", "seal", "open"], rows)}`;
}

function titleOf({ keyring, masterKeys }: Pick<Cell, "keyring" | "masterKeys">): string {
  return `${keyring ? "A keyring" : "No keyring"}, ${masterKeys === 1 ? "one master key" : "two master keys"}`;
}

function at(found: readonly Found[], wanted: Cell): Halves {
  const match = found.find(
    ({ cell }) =>
      cell.fault === wanted.fault &&
      cell.age === wanted.age &&
      cell.keyring === wanted.keyring &&
      cell.masterKeys === wanted.masterKeys,
  );
  if (match === undefined) throw new Error(`The cell ${nameOf(wanted)} was not run.`);
  return match.halves;
}

export function nameOf({ fault, age, ...variant }: Cell): string {
  return `${titleOf(variant)}: ${fault}, ${age}`;
}

function textsOf(halves: Halves): string[] {
  return operations.map((operation) => textOf(halves[operation]));
}

function textOf({ during, after }: Outcome): string {
  const results = during.filter((result, i) => result !== during[i - 1]).join(" → ");
  return short(after === "ok" ? results : `${results}; afterwards ${after}`);
}

function short(text: string): string {
  return text.replaceAll("ERR_MASTER_KEY_", "");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => ""), ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  const text = lines.map((line, i) => {
    const filled = widths.map((width, column) =>
      i === 1 ? "-".repeat(width) : (line[column] ?? "").padEnd(width),
    );
    return `| ${filled.join(" | ")} |`;
  });
  return `${text.join("\n")}\n`;
}
