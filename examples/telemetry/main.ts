/** A little work with a keyring, and what the metrics say of it. */

import { createKeyfold, createKeyring, memoryKeyringStore, openKeyring } from "@keyfold/core";
import { memoryMasterKey } from "@keyfold/testing";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { meterKeyfold } from "./metrics.ts";

const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
meterKeyfold(new MeterProvider({ readers: [reader] }).getMeter("keyfold"));

const masterKeys = memoryMasterKey({ id: "demo" });
const store = memoryKeyringStore();
await createKeyring({ project: "shop", store, masterKeys });
masterKeys.fail("ERR_MASTER_KEY_THROTTLED");
const keyring = await openKeyring({ project: "shop", store, masterKeys });
const keyfold = createKeyfold({ project: "shop", keyring });
const sealed = await Promise.all(
  Array.from({ length: 1_000 }, (_, row) => keyfold.seal(`secret ${row}`, { row: String(row) })),
);
for (const [row, envelope] of sealed.entries()) await keyfold.open(envelope, { row: String(row) });
await keyfold
  .open(sealed[0] ?? "", { row: "another" })
  .catch(() => console.log("A row that is not its own does not open.\n"));
await keyring.rotate();

await reader.forceFlush();
for (const { scopeMetrics } of exporter.getMetrics()) {
  for (const { metrics } of scopeMetrics) {
    for (const { descriptor, dataPoints } of metrics) {
      console.log(descriptor.name);
      for (const { attributes, value } of dataPoints) {
        const labels = Object.entries(attributes).map(([name, label]) => `${name}=${label}`);
        console.log(
          `  ${String(typeof value === "number" ? value : value.count).padStart(5)}  ${labels.join(" ")}`,
        );
      }
    }
  }
}
await keyfold.close();
await keyring.close();
await reader.shutdown();
