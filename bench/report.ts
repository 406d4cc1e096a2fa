/** RESULTS.md. */

import type { Way } from "./bulk/contender.ts";
import { type BulkId, bulkIds, loadBulk } from "./bulk/index.ts";
import { BULK_WARM_UP_MS } from "./bulk-rounds.ts";
import type { Mode } from "./contender.ts";
import { type ContenderId, contenderIds, loadContender } from "./contenders/index.ts";
import { importMedian } from "./footprint.ts";
import { KMS_LATENCY_MS } from "./kms.ts";
import { MEMORY_LIMIT } from "./memory.ts";
import { bulkPeak, bulkRate, OPERATIONS, type Operation, type Results, smallMicros } from "./results.ts";
import type { Summary } from "./statistics.ts";
import { outcomes } from "./targets.ts";

const MIB = 2 ** 20;

export async function report(results: Results): Promise<string> {
  const sections = [
    intro(results),
    ...Object.keys(results.small).map((node) => targetSection(results, node)),
    ...(await Promise.all(Object.keys(results.small).map((node) => smallSection(results, node)))),
    await bulkSection(results),
    kmsSection(results),
    boundsSection(results),
    footprintSection(results),
    await differences(),
  ];
  return `${sections.join("\n\n")}\n`;
}

function intro({ commit, date, cpu, cores, pinnedTo, system, node }: Results): string {
  const where = pinnedTo === null ? "not held to a core" : `held to core ${pinnedTo}`;
  return `# Benchmark results

Written by \`npm run bench\`; not edited by hand. Every number is the median of the rounds of one run. In a round each contender has
child processes of its own; those that are compared are there at the same time, and take turns of some tens of milliseconds in an
order drawn anew each time, so that the good and the bad moments of the machine are for all. ± is half the distance
between the quartiles. Every round is in [results.json](results.json).

Times are processor time, of all threads of a process: what passes on a core that nobody else wants. Where a disk or a service
is waited for (files, calls to the KMS, batches, imports) it is the time that passed. results.json has both.

| | |
| --- | --- |
| Commit | ${commit} |
| Date | ${date} |
| Processor | ${cpu}, ${cores} cores; children ${where} |
| System | ${system} |
| Node | ${node} |`;
}

function targetSection(results: Results, node: string): string {
  const rows = outcomes(results, node).map(({ what, bound, reached, met }) => [
    what,
    bound,
    number(reached),
    met ? "pass" : "**miss**",
  ]);
  return `## Targets, Node ${node}\n\n${table(["How many times as fast", "Target", "Reached", ""], rows)}`;
}

async function smallSection(results: Results, node: string): Promise<string> {
  const samples = results.small[node] ?? [];
  const sizes = [...new Set(samples.map(({ size }) => size))].sort((a, b) => a - b);
  const parts = OPERATIONS.map(async (operation) => {
    const rows = (await everyMode()).map(({ contender, mode, name }) => [
      name,
      mode,
      ...sizes.map((size) => rate(smallMicros(results, node, contender, mode, size, operation))),
      ...(operation === "seal" ? [overheads(results, node, contender, mode, sizes)] : []),
    ]);
    const head = ["", "", ...sizes.map(bytes), ...(operation === "seal" ? ["Bytes over the plaintext"] : [])];
    return `### ${operation === "seal" ? "Sealed" : "Opened"} a second, Node ${node}\n\n${table(head, rows)}`;
  });
  return `## Small secrets, Node ${node}

Each secret has a context of its own. In async mode one call is awaited after the other.

${(await Promise.all(parts)).join("\n\n")}

${floorRatios(results, node)}`;
}

function floorRatios(results: Results, node: string): string {
  const size = 32;
  const ratio = (contender: ContenderId, operation: Operation) => {
    const one = smallMicros(results, node, contender, "sync", size, operation)?.median ?? Number.NaN;
    return number(
      one / (smallMicros(results, node, "keyfold", "sync", size, operation)?.median ?? Number.NaN),
    );
  };
  const both = (contender: ContenderId) =>
    `seal ${ratio(contender, "seal")}, open ${ratio(contender, "open")}`;
  return `keyfold to one AEAD call at ${size} B: ${both("aead")}; where that call pools its nonces too: ${both("aead-pooled")}. To the
bare construction where that takes the memory of its envelopes from Node's pool: ${both("bare-pooled")}.`;
}

function overheads(
  results: Results,
  node: string,
  contender: ContenderId,
  mode: Mode,
  sizes: readonly number[],
): string {
  const found = sizes.map(
    (size) =>
      results.small[node]?.find(
        (sample) => sample.contender === contender && sample.mode === mode && sample.size === size,
      )?.overhead,
  );
  return found.join(", ");
}

const WAYS: Readonly<Record<Way, string>> = {
  whole: "In one piece",
  stream: "As a stream",
  file: "From file to file",
};

async function bulkSection(results: Results): Promise<string> {
  const parts = (Object.keys(WAYS) as Way[]).map((way) => bulkTables(results, way));
  return `## Much data

MB/s are 10^6 bytes of plaintext a second. Passes over the data are repeated for ${BULK_WARM_UP_MS} ms before they are measured; 1 GiB
is measured by the first pass, from a cold start, for all of them. Sources of streams give 64 KiB in each turn of the event loop.
Peak memory is by how much a fresh process grew while it did this once; the input is not counted, the result is.

V8 frees the pieces of a stream in one of two ways, and a process mostly stays with the one it came to: by scavenges, or by marking
its whole heap again and again, which is the slower. So the rounds of a stream can differ by more than a machine's noise: apart from
this run, the AWS Encryption SDK at 64-KiB frames was seen to be twice as fast in one process as in another.

${(await Promise.all(parts)).join("\n\n")}`;
}

async function bulkTables(results: Results, way: Way): Promise<string> {
  const here = results.bulk.filter((sample) => sample.way === way);
  const sizes = [...new Set(here.map((sample) => sample.bytes))].sort((a, b) => a - b);
  const contenders = bulkIds.filter((id) => here.some(({ contender }) => contender === id));
  const names = await Promise.all(contenders.map(async (id) => (await loadBulk(id)).name));
  const rows = (cell: (contender: BulkId, size: number, operation: Operation) => string) =>
    contenders.flatMap((contender, i) =>
      OPERATIONS.map((operation) => [
        names[i] ?? "",
        operation,
        ...sizes.map((size) => cell(contender, size, operation)),
      ]),
    );
  const head = ["", "", ...sizes.map(bytes)];
  const speed = rows((contender, size, operation) =>
    spread(bulkRate(results, contender, way, size, operation)),
  );
  const peak = rows((contender, size, operation) => {
    const found = bulkPeak(results, contender, way, size, operation);
    return found === undefined ? "" : number(found.median / MIB);
  });
  return `### ${WAYS[way]}, MB/s\n\n${table(head, speed)}\n\n### ${WAYS[way]}, peak memory in MiB\n\n${table(head, peak)}`;
}

const KMS_NAMES = {
  keyfold: "keyfold",
  "aws-cache": "AWS Encryption SDK with its cache, room for every context",
};

function kmsSection({ kms }: Results): string {
  const rows = kms.map(({ contender, contexts, opener, operations, calls, millis }) => [
    KMS_NAMES[contender],
    contexts === "one" ? "one for all" : "one each",
    opener === "same" ? "the one that sealed" : "another",
    operations.toLocaleString("en"),
    calls.toLocaleString("en"),
    ((calls / operations) * 100_000).toLocaleString("en"),
    number(millis / 1_000),
  ]);
  const head = ["", "Contexts", "Opened by", "Sealed, and opened", "Calls", "For 100,000", "Seconds"];
  return `## Calls to the KMS

Counted by a fake AWS KMS on the loopback interface that answers after ${KMS_LATENCY_MS} ms. "For 100,000" is the count, in proportion where fewer
were done; one context takes the same two calls however many there are.

${table(head, rows)}`;
}

function boundsSection({ memory, many }: Results): string {
  const memories = memory.map(({ bytes: size, rise }) => [
    `seal and open ${bytes(size)} in one pipeline`,
    `${number(rise / MIB)} MiB (limit ${MEMORY_LIMIT / MIB})`,
    "",
    "",
  ]);
  const batches = many.map(({ operation, envelopes, damaged, millis, rise, errors }) => [
    `${operation}Many, ${envelopes.toLocaleString("en")} envelopes, ${damaged.toLocaleString("en")} damaged`,
    `${number(rise / MIB)} MiB`,
    `${Math.round(envelopes / (millis / 1_000)).toLocaleString("en")} a second`,
    Object.entries(errors)
      .map(([code, times]) => `${code} ${times.toLocaleString("en")} times`)
      .join(", "),
  ]);
  const head = ["", "Memory grew by", "Rate", "Errors"];
  return `## Bounds

Batches ran with a young generation of 12 MiB: by itself V8's grows to 48 in the course of a million items.

${table(head, [...memories, ...batches])}`;
}

function footprintSection({ footprint }: Results): string {
  const rows = footprint.map((found) => [
    found.package.replaceAll("+", " and "),
    found.version,
    number(importMedian(found)),
    number(found.installedBytes / MIB),
    String(found.packages),
  ]);
  const head = ["", "Version", "Import in a new process, ms", "Installed, MiB", "Packages"];
  return `## Before the first secret\n\n${table(head, rows)}`;
}

async function differences(): Promise<string> {
  const small = await Promise.all(contenderIds.map(loadContender));
  const bulk = await Promise.all(bulkIds.map(loadBulk));
  const rows = [...small, ...bulk]
    .filter(({ differs }) => differs !== "")
    .map(({ name, differs }) => [name, differs]);
  return `## What is not alike

keyfold seals each secret under a key of its own, commits to it, binds a context that is not stored, and gives an envelope that
says which key opens it. Its peers:

${table(["", ""], rows)}`;
}

async function everyMode(): Promise<{ contender: ContenderId; mode: Mode; name: string }[]> {
  const each = contenderIds.map(async (contender) => {
    const { modes, name } = await loadContender(contender);
    return modes.map((mode) => ({ contender, mode, name }));
  });
  return (await Promise.all(each)).flat();
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function rate(summary: Summary | undefined): string {
  if (summary === undefined) return "";
  const perSecond = 1e6 / summary.median;
  const half = (1e6 / summary.low - 1e6 / summary.high) / 2;
  return `${Math.round(perSecond).toLocaleString("en")} ± ${Math.round((half / perSecond) * 100)} %`;
}

function spread(summary: Summary | undefined): string {
  if (summary === undefined) return "";
  const half = (summary.high - summary.low) / 2;
  return `${number(summary.median)} ± ${Math.round((half / summary.median) * 100)} %`;
}

function number(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(value >= 10 ? 1 : 2);
}

function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB"];
  const unit = count < 1_024 ? 0 : Math.floor(Math.log2(count) / 10);
  return `${count / 1_024 ** unit} ${units[unit]}`;
}
