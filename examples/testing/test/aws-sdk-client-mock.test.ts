/** With the AWS SDK mocked: what the service sends to AWS KMS, without a server. */

import { DecryptCommand, EncryptCommand, KMSClient, KMSServiceException } from "@aws-sdk/client-kms";
import { awsKms } from "@keyfold/aws-kms";
import { createKeyfold } from "@keyfold/core";
import { mockClient } from "aws-sdk-client-mock";
import { beforeEach, describe, expect, test } from "vitest";
import { TokenStore } from "../token-store.ts";

const keyId = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555";
const client = new KMSClient({ region: "eu-central-1", maxAttempts: 1 });
const kms = mockClient(client);

beforeEach(() => {
  kms.reset();
  // Reversing the bytes is all the encryption that a mock needs.
  kms.on(EncryptCommand).callsFake(({ Plaintext }) => ({
    KeyId: keyId,
    CiphertextBlob: Uint8Array.from(Plaintext).reverse(),
  }));
  kms.on(DecryptCommand).callsFake(({ CiphertextBlob }) => ({
    KeyId: keyId,
    Plaintext: Uint8Array.from(CiphertextBlob).reverse(),
  }));
});

function startService(rows = new Map<string, string>()): TokenStore {
  const masterKeys = awsKms({ keyId, client });
  return new TokenStore(createKeyfold({ project: "shop", masterKeys, deadline: 2_000 }), rows);
}

describe("the token store, with a mocked AWS SDK", () => {
  test("encrypts once and decrypts once, under the configured key and with the project as context", async () => {
    const rows = new Map<string, string>();
    const service = startService(rows);
    await service.save("ada", "token-1");
    await service.save("bob", "token-2");
    expect(await startService(rows).read("ada")).toBe("token-1");
    const sent = { KeyId: keyId, EncryptionContext: { "keyfold:project": "shop", "keyfold:purpose": "kdk" } };
    expect(kms.commandCalls(EncryptCommand, sent)).toHaveLength(1);
    expect(kms.commandCalls(DecryptCommand, sent)).toHaveLength(1);
    expect(kms.calls()).toHaveLength(2);
  });

  test("is misconfigured where AWS denies access", async () => {
    kms
      .on(EncryptCommand)
      .rejects(new KMSServiceException({ name: "AccessDeniedException", $fault: "client", $metadata: {} }));
    expect(await startService().health()).toBe("misconfigured");
    expect(kms.calls()).toHaveLength(1);
  });
});
