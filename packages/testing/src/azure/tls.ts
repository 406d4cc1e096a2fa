/** HTTPS on the loopback interface for a host name that looks like production's. */

import { Agent, type AgentOptions } from "node:https";

export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** A new certificate for `host`, which is its own authority. */
export async function certificateFor(host: string): Promise<Certificate> {
  const { generate } = await import("selfsigned");
  const { private: key, cert } = await generate([{ name: "commonName", value: host }], {
    keyType: "ec",
    curve: "P-256",
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "subjectAltName", altNames: [{ type: 2, value: host }] },
    ],
  });
  return { key, cert };
}

/** Trusts that certificate alone, and connects to a port of 127.0.0.1 whatever host is asked for; the host is still verified. */
export class PinnedAgent extends Agent {
  readonly #port: number;

  constructor(port: number, options: AgentOptions) {
    super(options);
    this.#port = port;
  }

  override createConnection(
    options: Parameters<Agent["createConnection"]>[0],
    callback?: Parameters<Agent["createConnection"]>[1],
  ): ReturnType<Agent["createConnection"]> {
    return super.createConnection({ ...options, host: "127.0.0.1", port: this.#port }, callback);
  }
}
