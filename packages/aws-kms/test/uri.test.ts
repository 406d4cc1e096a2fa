/** A provider by its URI. */

import { describe, expect, test } from "vitest";
import { refusalOf } from "../../../test/support/refusal.ts";
import { awsKms, masterKeyFromUri } from "../src/index.ts";

const keyArn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const aliasArn = "arn:aws:kms:eu-central-1:111122223333:alias/billing";
const mrkArn = "arn:aws:kms:eu-central-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab";

describe("a URI", () => {
  test.each([
    [`aws-kms://${keyArn}`, { keyId: keyArn }],
    [`aws-kms://${aliasArn}`, { keyId: aliasArn }],
    [`aws-kms://${mrkArn}?region=us-east-1`, { keyId: mrkArn, region: "us-east-1" }],
    ["aws-kms://alias/billing", { keyId: "alias/billing" }],
    [
      "aws-kms://alias/team/billing?region=eu-central-1",
      { keyId: "alias/team/billing", region: "eu-central-1" },
    ],
    [
      "aws-kms://1234abcd-12ab-34cd-56ef-1234567890ab?region=eu-central-1",
      { keyId: "1234abcd-12ab-34cd-56ef-1234567890ab", region: "eu-central-1" },
    ],
  ])("%s is the provider with those options", (uri, options) => {
    const [byUri, byOptions] = [masterKeyFromUri(uri), awsKms(options)];
    expect(byUri.name).toBe(byOptions.name);
    expect(byUri.name).toBe(uri);
    for (const arn of [keyArn, mrkArn, keyArn.replace("eu-central-1", "us-east-1")]) {
      expect(byUri.recognizes(`aws-kms://${arn}`)).toBe(byOptions.recognizes(`aws-kms://${arn}`));
    }
  });

  test.each([
    "",
    "aws-kms://",
    "aws-kms:alias/billing",
    "AWS-KMS://alias/billing",
    "gcp-kms://alias/billing",
    "aws-kms://billing",
    "aws-kms:///alias/billing",
    "aws-kms://user@alias/billing",
    "aws-kms://AKIA:secret@alias/billing",
    "aws-kms://alias/billing@x",
    "aws-kms://alias/billing#x",
    "aws-kms://alias/billing#",
    "aws-kms://alias/bil ling",
    " aws-kms://alias/billing",
    "aws-kms://alias/billing\n",
    "aws-kms://alias%2Fbilling",
    "aws-kms://alias/billing?",
    "aws-kms://alias/billing?region",
    "aws-kms://alias/billing?region=",
    "aws-kms://alias/billing?region=mars",
    "aws-kms://alias/billing?Region=eu-central-1",
    "aws-kms://alias/billing?profile=prod",
    "aws-kms://alias/billing?region=eu-central-1&region=eu-central-1",
    "aws-kms://alias/billing?region=eu-central-1&",
    "aws-kms://alias/billing?region=eu-central-1?region=eu-central-1",
    `aws-kms://${keyArn}?region=us-east-1`,
  ])("is not %j", (uri) => {
    expect(refusalOf(() => masterKeyFromUri(uri)).code).toBe("ERR_INVALID_ARGUMENT");
  });

  test("that holds a secret is not repeated in the refusal", () => {
    const error = refusalOf(() => masterKeyFromUri("aws-kms://AKIA:hunter2@alias/billing"));
    expect(error.message).not.toContain("hunter2");
  });
});
