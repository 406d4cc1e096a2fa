/** keyfold's messages as OpenTelemetry metrics. */

import { subscribe } from "node:diagnostics_channel";
import type { KeyfoldMessages } from "@keyfold/core";
import type { Meter } from "@opentelemetry/api";

export function meterKeyfold(meter: Meter): void {
  const secrets = meter.createHistogram("keyfold.secret.duration", { unit: "ms" });
  const requests = meter.createHistogram("keyfold.request.duration", { unit: "ms" });
  const keys = meter.createCounter("keyfold.key.events");
  const keyrings = meter.createHistogram("keyfold.keyring.duration", { unit: "ms" });
  on("keyfold:seal", ({ ms, hit, code = "ok" }) => secrets.record(ms, { operation: "seal", hit, code }));
  on("keyfold:open", ({ ms, hit, code = "ok" }) => secrets.record(ms, { operation: "open", hit, code }));
  on("keyfold:wrap", ({ ms, masterKey, code = "ok" }) =>
    requests.record(ms, { operation: "wrap", masterKey, code }),
  );
  on("keyfold:unwrap", ({ ms, masterKey, code = "ok" }) =>
    requests.record(ms, { operation: "unwrap", masterKey, code }),
  );
  on("keyfold:cache", ({ event, code = "ok" }) => keys.add(1, { event, code }));
  on("keyfold:keyring", ({ ms, event, code = "ok" }) => keyrings.record(ms, { event, code }));
}

function on<Name extends keyof KeyfoldMessages>(
  name: Name,
  use: (message: KeyfoldMessages[Name]) => void,
): void {
  subscribe(name, (message) => use(message as KeyfoldMessages[Name]));
}
