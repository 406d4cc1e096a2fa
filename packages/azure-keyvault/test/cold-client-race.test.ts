/**
 * A client that does with request bodies what `@azure/keyvault-common` 2.1.0 does, which npm installs on Node 20. The
 * version installed here, 2.1.1, has mended it; the provider must be safe with both.
 */

import { setTimeout as wait } from "node:timers/promises";
import { RestError } from "@azure/core-rest-pipeline";
import { expect, test } from "vitest";
import { type AzureCryptographyClient, azureKeyVault } from "../src/index.ts";
import { KEY_ID } from "./support/injected.ts";
import { operation, secret } from "./support/material.ts";

type Challenge =
  | { readonly status: "none" | "complete" }
  | { readonly status: "started"; readonly body: Uint8Array };

/** Its challenge policy: one state for all requests of a client, which is where a body gets lost. */
class RacyClient {
  #challenge: Challenge = { status: "none" };
  /** The first answer is the slowest, as it is when a connection has to be made for it. */
  #delay = 30;

  async send(body: Uint8Array): Promise<Uint8Array | undefined> {
    let sent: Uint8Array | undefined = body;
    if (this.#challenge.status === "complete") return this.#answer(sent);
    if (this.#challenge.status === "none") {
      this.#challenge = { status: "started", body };
      sent = undefined;
    }
    await this.#answer(sent);
    if (sent === undefined && this.#challenge.status === "started") sent = this.#challenge.body;
    this.#challenge = { status: "complete" };
    return this.#answer(sent);
  }

  async #answer(sent: Uint8Array | undefined): Promise<Uint8Array | undefined> {
    const delay = this.#delay;
    this.#delay = 1;
    await wait(delay);
    return sent;
  }
}

/** A cryptography client over it: a request without its body is a bad parameter. */
function cryptography(): AzureCryptographyClient {
  const racy = new RacyClient();
  const answer = async (body: Uint8Array) => {
    const sent = await racy.send(body);
    if (sent === undefined) throw new RestError("no body", { statusCode: 400, code: "BadParameter" });
    return { result: new Uint8Array(72).fill(1), algorithm: "A256KW", keyID: KEY_ID };
  };
  const none = () => Promise.reject(new Error("not in this test"));
  return {
    wrapKey: (_, key) => answer(key),
    unwrapKey: (_, key) => answer(key),
    encrypt: none,
    decrypt: none,
  };
}

const options = {
  abortSignal: new AbortController().signal,
  requestOptions: { timeout: 1_000 },
  onResponse: () => undefined,
};

test("a hundred calls on such a client lose a body, when they are not held back", async () => {
  const client = cryptography();
  const calls = Array.from({ length: 100 }, () => client.wrapKey("A256KW", secret, options));
  const failed = (await Promise.allSettled(calls)).filter(({ status }) => status === "rejected");
  expect(failed).toHaveLength(1);
});

test("cold-client race: a hundred calls through the provider lose none", async () => {
  const provider = azureKeyVault({ keyId: KEY_ID, algorithm: "A256KW", client: { cryptography } });
  const calls = Array.from({ length: 100 }, () => provider.wrapKey(secret, operation()));
  expect(await Promise.all(calls)).toHaveLength(100);
});
