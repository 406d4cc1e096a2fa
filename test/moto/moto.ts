/** AWS KMS as moto has it, on loopback: another's server, so that ours and our provider cannot share a misunderstanding. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { KMSClient } from "@aws-sdk/client-kms";

const STARTUP_MS = 60_000;

export interface Moto {
  readonly client: KMSClient;
  /** What a process needs in its environment in order to call it. */
  readonly environment: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** Why there can be no moto here, or undefined. */
export function absenceOfMoto(): string | undefined {
  const { status, stderr, error } = spawnSync("python3", ["-c", "import moto.server"], { encoding: "utf8" });
  if (status === 0) return undefined;
  return `python3 has no moto (${(error?.message ?? stderr).trim().split("\n").at(-1)})`;
}

export async function startMoto(): Promise<Moto> {
  const port = await freePort();
  const server = spawn("python3", ["-m", "moto.server", "-H", "127.0.0.1", "-p", String(port)], {
    stdio: "ignore",
  });
  const endpoint = `http://127.0.0.1:${port}`;
  try {
    await answering(endpoint, server);
  } catch (error) {
    server.kill();
    throw error;
  }
  const environment = {
    AWS_ENDPOINT_URL_KMS: endpoint,
    AWS_REGION: "eu-central-1",
    AWS_ACCESS_KEY_ID: "a",
    AWS_SECRET_ACCESS_KEY: "b",
  };
  const credentials = { accessKeyId: "a", secretAccessKey: "b" };
  const client = new KMSClient({ endpoint, region: environment.AWS_REGION, credentials, maxAttempts: 1 });
  return { client, environment, stop: () => stop(server, client) };
}

async function stop(server: ChildProcess, client: KMSClient): Promise<void> {
  client.destroy();
  const ended = new Promise((resolve) => server.once("exit", resolve));
  server.kill();
  await ended;
}

async function answering(endpoint: string, server: ChildProcess): Promise<void> {
  const until = Date.now() + STARTUP_MS;
  while (Date.now() < until && server.exitCode === null) {
    const answer = await fetch(`${endpoint}/moto-api/data.json`).catch(() => undefined);
    if (answer?.ok === true) return;
    await sleep(100);
  }
  throw new Error(`moto did not answer at ${endpoint} (exit code ${server.exitCode}).`);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? (address?.port ?? 0) : 0));
    });
  });
}
