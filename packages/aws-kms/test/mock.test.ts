/** The README's way to test with aws-sdk-client-mock. */

import { DecryptCommand, EncryptCommand, KMSClient } from "@aws-sdk/client-kms";
import { createKeyfold } from "@keyfold/core";
import { mockClient } from "aws-sdk-client-mock";
import { expect, onTestFinished, test } from "vitest";
import { awsKms } from "../src/index.ts";

const KeyId = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

test("a mock that gives back what it was given serves a keyfold, with one call each way", async () => {
  const kms = mockClient(KMSClient);
  onTestFinished(() => kms.restore());
  kms.on(EncryptCommand).callsFake(({ Plaintext }) => ({ KeyId, CiphertextBlob: Plaintext }));
  kms.on(DecryptCommand).callsFake(({ CiphertextBlob }) => ({ KeyId, Plaintext: CiphertextBlob }));

  const sealed = await keyfold().sealText("hunter2", { name: "db_password" });
  expect(await keyfold().openText(sealed, { name: "db_password" })).toBe("hunter2");
  expect(kms.commandCalls(EncryptCommand)).toHaveLength(1);
  expect(kms.commandCalls(DecryptCommand)).toHaveLength(1);
});

function keyfold() {
  const made = createKeyfold({ project: "billing/prod", masterKeys: awsKms({ keyId: KeyId }) });
  onTestFinished(() => made.close());
  return made;
}
