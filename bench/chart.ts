/** results.svg: two bar charts for the README, drawn by hand. */

import { awsFrames, type BulkId } from "./bulk/index.ts";
import type { Mode } from "./contender.ts";
import type { ContenderId } from "./contenders/index.ts";
import { bulkRate, type Results, smallMicros } from "./results.ts";

const WIDTH = 800;
const NAME_WIDTH = 290;
const VALUE_WIDTH = 110;
const BAR_HEIGHT = 18;
const GAP = 6;
const HEAD = 44;
const SECRET_BYTES = 32;
const STREAM_BYTES = 64 * 2 ** 20;

interface Bar {
  readonly name: string;
  readonly value: number;
  readonly label: string;
  readonly ours: boolean;
}

interface Panel {
  readonly title: string;
  readonly bars: readonly Bar[];
}

const small: readonly (readonly [ContenderId, Mode, string])[] = [
  ["keyfold", "sync", "keyfold"],
  ["keyfold", "async", "keyfold, async"],
  ["cloak", "sync", "cloak (no key wrapping, no context)"],
  ["fernet", "sync", "fernet-nodejs (no context)"],
  ["jose", "async", "jose, A256KW (no context)"],
  ["aws-cache", "async", "AWS Encryption SDK with cache"],
  ["age", "async", "age-encryption (no context)"],
  ["aws-default", "async", "AWS Encryption SDK, default suite"],
];

const streams: readonly (readonly [readonly BulkId[], string])[] = [
  [["keyfold"], "keyfold"],
  [["secretstream"], "sodium-native secretstream (no stream)"],
  [awsFrames, "AWS Encryption SDK, best frame size"],
  [["aws"], "AWS Encryption SDK, default frame size"],
  [["age"], "age-encryption"],
];

export function chart(results: Results): string {
  const panels = [smallPanel(results), streamPanel(results)];
  let top = 0;
  const drawn = panels.map((panel) => {
    const at = top;
    top += HEAD + panel.bars.length * (BAR_HEIGHT + GAP) + GAP;
    return drawPanel(panel, at);
  });
  const caption = `Node ${results.node}, one core of ${results.cpu}; medians of one run, bench/RESULTS.md`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top + 26}" width="${WIDTH}" height="${top + 26}" role="img" aria-label="keyfold and its peers: secrets sealed a second, and megabytes streamed a second">
<style>
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.small { font-size: 11px; fill: #57606a }
.peer { fill: #8c959f }
.ours { fill: #1f6feb }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.small { fill: #9198a1 }
.peer { fill: #6e7681 }
.ours { fill: #58a6ff }
}
</style>
${drawn.join("\n")}
<text class="small" x="0" y="${top + 18}">${escaped(caption)}</text>
</svg>
`;
}

function smallPanel(results: Results): Panel {
  const bars = small.flatMap(([contender, mode, name]) => {
    const found = smallMicros(results, results.node, contender, mode, SECRET_BYTES, "seal");
    return found === undefined ? [] : [bar(name, 1e6 / found.median, "/s", contender === "keyfold")];
  });
  return { title: `Secrets of ${SECRET_BYTES} bytes sealed a second, each with a context of its own`, bars };
}

function streamPanel(results: Results): Panel {
  const largest = Math.min(STREAM_BYTES, Math.max(...results.bulk.map(({ bytes }) => bytes)));
  const bars = streams.flatMap(([contenders, name]) => {
    const rates = contenders.flatMap(
      (contender) => bulkRate(results, contender, "stream", largest, "seal")?.median ?? [],
    );
    return rates.length === 0 ? [] : [bar(name, Math.max(...rates), " MB/s", name === "keyfold")];
  });
  return { title: `Megabytes sealed a second as a stream of ${largest / 2 ** 20} MiB`, bars };
}

function bar(name: string, value: number, unit: string, ours: boolean): Bar {
  return { name, value, label: `${Math.round(value).toLocaleString("en")}${unit}`, ours };
}

function drawPanel({ title, bars }: Panel, top: number): string {
  const longest = Math.max(...bars.map(({ value }) => value));
  const room = WIDTH - NAME_WIDTH - VALUE_WIDTH;
  const lines = bars.map(({ name, value, label, ours }, i) => {
    const y = top + HEAD + i * (BAR_HEIGHT + GAP);
    const width = Math.max(1, Math.round((value / longest) * room));
    return [
      `<text x="${NAME_WIDTH - 8}" y="${y + 13}" text-anchor="end">${escaped(name)}</text>`,
      `<rect class="${ours ? "ours" : "peer"}" x="${NAME_WIDTH}" y="${y}" width="${width}" height="${BAR_HEIGHT}" rx="2"/>`,
      `<text x="${NAME_WIDTH + width + 8}" y="${y + 13}">${label}</text>`,
    ].join("\n");
  });
  return [`<text class="title" x="0" y="${top + 26}">${escaped(title)}</text>`, ...lines].join("\n");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
