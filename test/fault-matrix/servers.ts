/** The worlds of the fault matrix over the fake servers. Calls take real time; hours pass because the clock is put forward. */

import { setTimeout as delay } from "node:timers/promises";
import { KMSClient } from "@aws-sdk/client-kms";
import { KeyManagementServiceClient } from "@google-cloud/kms";
import { awsKms } from "@keyfold/aws-kms";
import { azureKeyVault } from "@keyfold/azure-keyvault";
import type { Clock, MasterKeyProvider } from "@keyfold/core";
import { gcpKms } from "@keyfold/gcp-kms";
import {
  memoryMasterKey,
  type Fault as ServerFault,
  startFakeAwsKms,
  startFakeAzureKeyVault,
  startFakeGcpKms,
} from "@keyfold/testing";
import type { Fault, World } from "./cells.ts";

const DEADLINE = 10_000;
/** Azure is asked up to three times where others are asked once. */
const SLOW = 1_200;
const LATE = 14_000;
/** How long a refresh that gets no answer is under way, and any other, with something more for a slow machine. */
const LONG_REFRESH = DEADLINE + 4_000;
const SHORT_REFRESH = 600;
const LASTING: ReadonlySet<Fault> = new Set(["slow", "throttled", "down", "late reply"]);

/** The system's time, and what it was put forward by. */
class ForwardClock implements Clock {
  #forward = 0;

  now = (): number => Date.now() + this.#forward;
  monotonic = (): number => performance.now() + this.#forward;
  setTimeout = (callback: () => void, ms: number): unknown => setTimeout(callback, Math.min(ms, 2 ** 31 - 1));
  clearTimeout = (timer: unknown): void => clearTimeout(timer as NodeJS.Timeout);

  putForward(ms: number): void {
    this.#forward += ms;
  }
}

/** A fake service with a key. */
interface Service {
  provider(): MasterKeyProvider;
  inject(fault: ServerFault, times: number): void;
  clear(): void;
  disable(): void;
  enable(): void;
  close(): Promise<unknown>;
}

const services = {
  "AWS KMS": async (): Promise<Service> => {
    const kms = await startFakeAwsKms();
    const clients: KMSClient[] = [];
    return {
      provider: () => {
        const client = new KMSClient({ ...kms.clientConfig, maxAttempts: 1 });
        clients.push(client);
        return awsKms({ keyId: kms.keyArn, client });
      },
      inject: (fault, times) => kms.inject(fault, { times }),
      clear: () => kms.clear(),
      disable: () => kms.disable(kms.keyArn),
      enable: () => kms.enable(kms.keyArn),
      close: () => {
        for (const client of clients) client.destroy();
        return kms.close();
      },
    };
  },
  "Google Cloud KMS": async (): Promise<Service> => {
    const kms = await startFakeGcpKms();
    const version = `${kms.keyName}/cryptoKeyVersions/1`;
    const clients: KeyManagementServiceClient[] = [];
    return {
      provider: () => {
        const client = new KeyManagementServiceClient(kms.clientOptions);
        clients.push(client);
        return gcpKms({ keyName: kms.keyName, client });
      },
      // Cloud KMS does not say which key has decrypted.
      inject: (fault, times) =>
        kms.inject(fault, fault.kind === "another-key" ? { times, operation: "Encrypt" } : { times }),
      clear: () => kms.clear(),
      disable: () => kms.disable(version),
      enable: () => kms.enable(version),
      close: () => Promise.all([...clients.map((client) => client.close()), kms.close()]),
    };
  },
  "Azure Key Vault": async (): Promise<Service> => {
    const vault = await startFakeAzureKeyVault({ kty: "oct-HSM" });
    const { vaultUrl, keyName, credential, clientOptions } = vault;
    return {
      provider: () => azureKeyVault({ vaultUrl, keyName, credential, clientOptions, algorithm: "A256KW" }),
      inject: (fault, times) => vault.inject(fault, { times }),
      clear: () => vault.clear(),
      disable: () => vault.disable(),
      enable: () => vault.enable(),
      close: () => vault.close(),
    };
  },
} satisfies Record<string, () => Promise<Service>>;

export type ServiceName = keyof typeof services;
export const serviceNames = Object.keys(services) as ServiceName[];

const FOREVER = Number.POSITIVE_INFINITY;
const INJECTED: Readonly<Record<Exclude<Fault, "disabled">, [ServerFault, times: number]>> = {
  slow: [{ kind: "slow", ms: SLOW }, FOREVER],
  throttled: [{ kind: "throttled" }, FOREVER],
  down: [{ kind: "down" }, FOREVER],
  "denied once": [{ kind: "denied" }, 1],
  "denied twice": [{ kind: "denied" }, 2],
  "wrong key": [{ kind: "another-key" }, FOREVER],
  "corrupt reply": [{ kind: "malformed" }, FOREVER],
  "late reply": [{ kind: "slow", ms: LATE }, FOREVER],
};

/** The first master key is at a fake service, the second in memory. */
export async function serverWorld(name: ServiceName): Promise<World> {
  const service = await services[name]();
  const second = memoryMasterKey();
  const clock = new ForwardClock();
  let refresh = 0;
  return {
    clock,
    deadline: DEADLINE,
    providers: (count) => [service.provider(), second.reopen()].slice(0, count),
    begin: ({ fault, age }) => {
      refresh = LASTING.has(fault) && age === "past refreshAfter" ? LONG_REFRESH : SHORT_REFRESH;
      if (fault === "disabled") service.disable();
      else service.inject(...INJECTED[fault]);
    },
    end: () => {
      refresh = SHORT_REFRESH;
      service.clear();
      service.enable();
    },
    pass: async (ms) => {
      await delay(refresh);
      clock.putForward(ms);
    },
    finish: (promise) => promise,
    close: async () => {
      await service.close();
    },
  };
}
