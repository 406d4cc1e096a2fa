/** A client without a service: it answers as it is told, with replies that are right unless a test spoils them. */

import { crc32c } from "../../src/crc32c.ts";
import type {
  GcpCallOptions,
  GcpDecryptReply,
  GcpDecryptRequest,
  GcpEncryptReply,
  GcpEncryptRequest,
  GcpKmsClient,
} from "../../src/index.ts";

export const keyName = "projects/p-1/locations/global/keyRings/r/cryptoKeys/k";

type Spoil<Reply> = (reply: Reply) => unknown;

export class ScriptedClient implements GcpKmsClient {
  readonly options: GcpCallOptions[] = [];
  /** With copies of the plaintexts. */
  readonly encrypted: GcpEncryptRequest[] = [];
  /** The plaintexts themselves. */
  readonly lent: Uint8Array[] = [];
  readonly decrypted: GcpDecryptRequest[] = [];
  closed = 0;
  #encrypt: Spoil<GcpEncryptReply> = (reply) => reply;
  #decrypt: Spoil<GcpDecryptReply> = (reply) => reply;

  /** What a reply is instead; a promise that rejects is a failure. */
  spoil(encrypt: Spoil<GcpEncryptReply>, decrypt: Spoil<GcpDecryptReply> = (reply) => reply): this {
    this.#encrypt = encrypt;
    this.#decrypt = decrypt;
    return this;
  }

  async encrypt(request: GcpEncryptRequest, options: GcpCallOptions): Promise<[GcpEncryptReply]> {
    this.encrypted.push({ ...request, plaintext: request.plaintext.slice() });
    this.lent.push(request.plaintext);
    this.options.push(options);
    const ciphertext = Buffer.concat([request.plaintext, Buffer.alloc(16, 0xaa)]);
    return [
      (await this.#encrypt({
        name: `${request.name}/cryptoKeyVersions/1`,
        ciphertext,
        ciphertextCrc32c: { value: String(crc32c(ciphertext)) },
        verifiedPlaintextCrc32c: true,
        verifiedAdditionalAuthenticatedDataCrc32c: true,
      })) as GcpEncryptReply,
    ];
  }

  async decrypt(request: GcpDecryptRequest, options: GcpCallOptions): Promise<[GcpDecryptReply]> {
    this.decrypted.push(request);
    this.options.push(options);
    const plaintext = Buffer.from(request.ciphertext.subarray(0, -16));
    const plaintextCrc32c = { value: String(crc32c(plaintext)) };
    return [(await this.#decrypt({ plaintext, plaintextCrc32c })) as GcpDecryptReply];
  }

  async close(): Promise<void> {
    this.closed++;
  }
}

/** Whatever it is asked, it rejects with `error`. */
export function failingClient(error: unknown): ScriptedClient {
  return new ScriptedClient().spoil(
    () => Promise.reject(error),
    () => Promise.reject(error),
  );
}
