/** The client that the provider makes itself: the SDK is a stand-in, but for the test in a process of its own. */

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test, vi } from "vitest";
import { rejectionOf } from "../../../test/support/refusal.ts";
import { gcpKms } from "../src/index.ts";
import { keyName, type ScriptedClient } from "./support/scripted-client.ts";
import { key, operation, soon } from "./support/service.ts";

interface Made extends ScriptedClient {
  readonly given: unknown;
}

const sdk = vi.hoisted(() => ({
  made: [] as Made[],
  initialize: async (): Promise<void> => undefined,
}));

vi.mock("@google-cloud/kms", async () => {
  const { ScriptedClient } = await import("./support/scripted-client.ts");
  class KeyManagementServiceClient extends ScriptedClient implements Made {
    readonly given: unknown;

    constructor(options: unknown) {
      super();
      this.given = options;
      sdk.made.push(this);
    }

    initialize(): Promise<void> {
      return sdk.initialize();
    }
  }
  return { KeyManagementServiceClient };
});

afterEach(() => {
  sdk.made.length = 0;
  sdk.initialize = async () => undefined;
});

describe("the client", () => {
  test("is made by the first call and not before, and once however many call", async () => {
    const provider = gcpKms({ keyName });
    await provider.load?.();
    expect(sdk.made).toHaveLength(0);
    await Promise.all(Array.from({ length: 100 }, () => provider.wrapKey(key, operation())));
    expect(sdk.made).toHaveLength(1);
    expect(sdk.made[0]?.encrypted).toHaveLength(100);
    expect(sdk.made[0]?.given).toEqual({
      fallback: false,
      "grpc.client_idle_timeout_ms": 60_000,
      "grpc.max_reconnect_backoff_ms": 2_000,
    });
  });

  test("is made anew after it found no credentials", async () => {
    const provider = gcpKms({ keyName });
    sdk.initialize = () => Promise.reject(new Error("Could not load the default credentials."));
    expect((await rejectionOf(provider.wrapKey(key, operation()))).code).toBe("ERR_CREDENTIALS");
    sdk.initialize = async () => undefined;
    await provider.wrapKey(key, operation());
    expect(sdk.made.map(({ encrypted }) => encrypted.length)).toEqual([0, 1]);
  });

  test("that is still looking for credentials does not block past the signal, nor call after it", async () => {
    const provider = gcpKms({ keyName });
    const looking = Promise.withResolvers<void>();
    sdk.initialize = () => looking.promise;
    const refusal = await rejectionOf(provider.wrapKey(key, operation(AbortSignal.timeout(20))));
    expect(refusal.code).toBe("ERR_ABORTED");
    looking.resolve();
    await provider.wrapKey(key, operation());
    expect(sdk.made.map(({ encrypted }) => encrypted.length)).toEqual([1]);
  });

  test("is closed with the provider, once", async () => {
    const provider = gcpKms({ keyName });
    await provider.wrapKey(key, operation());
    await Promise.all([provider.close?.(), provider.close?.()]);
    await provider.close?.();
    expect(sdk.made.map(({ closed }) => closed)).toEqual([1]);
    expect((await rejectionOf(provider.wrapKey(key, operation()))).code).toBe("ERR_CLOSED");
    expect(sdk.made).toHaveLength(1);
  });

  test("is not made to be closed", async () => {
    await gcpKms({ keyName }).close?.();
    expect(sdk.made).toHaveLength(0);
  });

  test("that is closed while it looks for credentials makes no call", async () => {
    const provider = gcpKms({ keyName });
    const looking = Promise.withResolvers<void>();
    sdk.initialize = () => looking.promise;
    const pending = rejectionOf(provider.wrapKey(key, operation()));
    await expect.poll(() => sdk.made.length, soon).toBe(1);
    const closing = provider.close?.();
    looking.resolve();
    expect((await pending).code).toBe("ERR_CLOSED");
    await closing;
    expect(sdk.made.map(({ encrypted, closed }) => [encrypted.length, closed])).toEqual([[0, 1]]);
  });
});

/** The SDK would end the process: its first call without credentials leaves a rejection that nobody can catch. */
test("without credentials the real SDK's client is ERR_CREDENTIALS, and the process lives on", () => {
  const program = `
    import { gcpKms } from "@keyfold/gcp-kms";
    const provider = gcpKms({ keyName: "${keyName}" });
    const given = { context: {}, signal: AbortSignal.timeout(30_000) };
    for (let i = 0; i < 2; i++) {
      await provider.wrapKey(new Uint8Array(32), given).catch((error) => console.log(error.code, error.cause?.message));
    }
    await provider.close();
    await new Promise((resolve) => setTimeout(resolve, 100));
    console.log("alive");
  `;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
    env: { ...process.env, GOOGLE_APPLICATION_CREDENTIALS: "no-such-file.json" },
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(stdout).toMatch(/^ERR_CREDENTIALS .*no-such-file.*\nERR_CREDENTIALS .*no-such-file.*\nalive\n$/);
  expect(status).toBe(0);
});
