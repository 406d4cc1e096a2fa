/** Options, ARNs, and which keys each way to name one recognizes. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { refusalOf } from "../../../test/support/refusal.ts";
import { formatArn, type KmsArn, parseArn, sameKey } from "../src/arn.ts";
import { type AwsKmsOptions, awsKms } from "../src/aws-kms.ts";
import { configuredKey } from "../src/key-id.ts";

const id = "1234abcd-12ab-34cd-56ef-1234567890ab";
const otherId = "ffffffff-12ab-34cd-56ef-1234567890ab";
const mrk = "mrk-1234abcd12ab34cd56ef1234567890ab";
const keyArn = (region = "eu-central-1", key = id, account = "111122223333", partition = "aws") =>
  `arn:${partition}:kms:${region}:${account}:key/${key}`;
const aliasArn = "arn:aws:kms:eu-central-1:111122223333:alias/team/billing";

const text = (pattern: RegExp) => fc.stringMatching(pattern);
const arns: fc.Arbitrary<KmsArn> = fc.record({
  partition: text(/^[a-z-]{1,12}$/),
  region: text(/^[a-z0-9-]{1,20}$/),
  account: text(/^[0-9]{12}$/),
  kind: fc.constantFrom("key" as const, "alias" as const),
  name: fc.oneof(text(/^[A-Za-z0-9/_-]{1,60}$/), text(/^mrk-[0-9a-f]{32}$/)),
});

describe("an ARN", () => {
  test("is read as it was written", () => {
    fc.assert(
      fc.property(arns, (arn) => {
        expect(parseArn(formatArn(arn))).toEqual(arn);
      }),
    );
  });

  test("is written as it was read, whatever text it is", () => {
    const nearly = fc.tuple(arns, fc.nat(200), fc.string({ maxLength: 3 })).map(([arn, at, insert]) => {
      const text = formatArn(arn);
      return text.slice(0, at) + insert + text.slice(at + 1);
    });
    fc.assert(
      fc.property(fc.oneof(nearly, fc.string()), (text) => {
        const arn = parseArn(text);
        if (arn !== undefined) expect(formatArn(arn)).toBe(text);
      }),
    );
  });

  test.each([
    "",
    "arn:aws:kms:eu-central-1:111122223333:key/",
    `arn:aws:kms:eu-central-1:11112222333:key/${id}`,
    `arn:aws:s3:eu-central-1:111122223333:key/${id}`,
    `arn:aws:kms::111122223333:key/${id}`,
    ` ${keyArn()}`,
    `${keyArn()}\n`,
    `${keyArn()}?x`,
    `aws-kms://${keyArn()}`,
  ])("is not %j", (text) => {
    expect(parseArn(text)).toBeUndefined();
  });
});

describe("the same key", () => {
  test("is one with all parts equal, but for the region where it is a multi-Region key", () => {
    fc.assert(
      fc.property(arns, text(/^[a-z]{2}-[a-z]{4,8}-[1-9]$/), (arn, region) => {
        const elsewhere = { ...arn, region };
        const expected = arn.kind === "key" && (arn.name.startsWith("mrk-") || region === arn.region);
        expect(sameKey(arn, elsewhere)).toBe(expected);
        expect(sameKey(elsewhere, arn)).toBe(expected);
      }),
    );
  });

  test.each([
    ["account", keyArn("eu-central-1", mrk, "999988887777")],
    ["partition", keyArn("eu-central-1", mrk, "111122223333", "aws-cn")],
    ["id", keyArn("eu-central-1", mrk.replace("1", "2"))],
    ["kind", keyArn("eu-central-1", mrk).replace("key/", "alias/")],
  ])("is not one of another %s", (_, other) => {
    const [a, b] = [parseArn(keyArn("eu-central-1", mrk)), parseArn(other)];
    if (a === undefined || b === undefined) throw new Error("an ARN of this test is none");
    expect(sameKey(a, b)).toBe(false);
  });
});

describe("what a provider recognizes", () => {
  const recognizes = (options: AwsKmsOptions, arn: string) => awsKms(options).recognizes(`aws-kms://${arn}`);

  test("by key ARN: that key", () => {
    expect(recognizes({ keyId: keyArn() }, keyArn())).toBe(true);
    expect(recognizes({ keyId: keyArn() }, keyArn("us-east-1"))).toBe(false);
    expect(recognizes({ keyId: keyArn() }, keyArn("eu-central-1", otherId))).toBe(false);
    expect(recognizes({ keyId: keyArn() }, keyArn("eu-central-1", id, "999988887777"))).toBe(false);
    expect(recognizes({ keyId: keyArn() }, aliasArn)).toBe(false);
  });

  test("by the ARN of a multi-Region key: all its replicas, wherever it is called", () => {
    for (const region of [undefined, "us-east-1"]) {
      const options = { keyId: keyArn("eu-central-1", mrk), ...(region === undefined ? {} : { region }) };
      for (const home of ["eu-central-1", "us-east-1", "ap-south-1"]) {
        expect(recognizes(options, keyArn(home, mrk))).toBe(true);
      }
      expect(recognizes(options, keyArn("eu-central-1", mrk, "999988887777"))).toBe(false);
      expect(recognizes(options, keyArn("eu-central-1"))).toBe(false);
    }
  });

  test("by alias ARN: any key of its account and region, and multi-Region keys of its account", () => {
    expect(recognizes({ keyId: aliasArn }, keyArn())).toBe(true);
    expect(recognizes({ keyId: aliasArn }, keyArn("eu-central-1", otherId))).toBe(true);
    expect(recognizes({ keyId: aliasArn }, keyArn("us-east-1"))).toBe(false);
    expect(recognizes({ keyId: aliasArn }, keyArn("us-east-1", mrk))).toBe(true);
    expect(recognizes({ keyId: aliasArn }, keyArn("us-east-1", mrk, "999988887777"))).toBe(false);
    expect(recognizes({ keyId: aliasArn }, keyArn("eu-central-1", id, "999988887777"))).toBe(false);
    expect(recognizes({ keyId: aliasArn }, keyArn("eu-central-1", id, "111122223333", "aws-cn"))).toBe(false);
    expect(recognizes({ keyId: aliasArn }, aliasArn)).toBe(false);
  });

  test("by alias: any key of the region, and of any region where that is not known", () => {
    const there = { keyId: "alias/billing", region: "eu-central-1" };
    expect(recognizes(there, keyArn())).toBe(true);
    expect(recognizes(there, keyArn("eu-central-1", otherId, "999988887777"))).toBe(true);
    expect(recognizes(there, keyArn("us-east-1"))).toBe(false);
    expect(recognizes(there, keyArn("us-east-1", mrk))).toBe(true);
    expect(recognizes({ keyId: "alias/billing" }, keyArn("us-east-1"))).toBe(true);
    expect(recognizes({ keyId: "alias/billing" }, aliasArn)).toBe(false);
  });

  test("by key id: that id, in the region where that is known", () => {
    expect(recognizes({ keyId: id }, keyArn("us-east-1"))).toBe(true);
    expect(recognizes({ keyId: id, region: "eu-central-1" }, keyArn("us-east-1"))).toBe(false);
    expect(recognizes({ keyId: id }, keyArn("eu-central-1", otherId))).toBe(false);
    expect(recognizes({ keyId: mrk, region: "eu-central-1" }, keyArn("us-east-1", mrk))).toBe(true);
  });

  test("is nothing but an ARN behind aws-kms://, and it never throws", () => {
    const provider = awsKms({ keyId: "alias/billing" });
    for (const uri of [
      "",
      "aws-kms://",
      keyArn(),
      `gcp-kms://${keyArn()}`,
      "aws-kms://alias/billing",
      `AWS-KMS://${keyArn()}`,
    ]) {
      expect(provider.recognizes(uri)).toBe(false);
    }
    expect(provider.recognizes(undefined as unknown as string)).toBe(false);
    fc.assert(
      fc.property(fc.string(), (uri) => {
        expect(provider.recognizes(uri)).toBe(false);
      }),
    );
  });
});

describe("what a request names", () => {
  test.each([
    [keyArn(), undefined, keyArn(), "eu-central-1"],
    [keyArn(), "eu-central-1", keyArn(), "eu-central-1"],
    [keyArn("eu-central-1", mrk), undefined, keyArn("eu-central-1", mrk), "eu-central-1"],
    [keyArn("eu-central-1", mrk), "us-east-1", keyArn("us-east-1", mrk), "us-east-1"],
    [aliasArn, undefined, aliasArn, "eu-central-1"],
    ["alias/billing", undefined, "alias/billing", undefined],
    ["alias/billing", "us-gov-west-1", "alias/billing", "us-gov-west-1"],
    [id, "eusc-de-east-1", id, "eusc-de-east-1"],
    [mrk, undefined, mrk, undefined],
  ])("for keyId %s and region %s", (keyId, region, named, called) => {
    expect(configuredKey(keyId, region)).toMatchObject({ keyId: named, region: called });
  });
});

describe("awsKms", () => {
  test("is named as it was configured", () => {
    expect(awsKms({ keyId: keyArn() }).name).toBe(`aws-kms://${keyArn()}`);
    expect(awsKms({ keyId: "alias/a", region: "us-east-1" }).name).toBe("aws-kms://alias/a?region=us-east-1");
  });

  test.each([
    ["no options", undefined],
    ["no keyId", {}],
    ["an empty keyId", { keyId: "" }],
    ["a keyId that is no text", { keyId: 7 }],
    ["an alias without alias/", { keyId: "billing" }],
    ["an alias without a name", { keyId: "alias/" }],
    ["an alias with a space", { keyId: "alias/a b" }],
    ["an ARN of another service", { keyId: "arn:aws:s3:eu-central-1:111122223333:key/x" }],
    [
      "a keyId that is longer than an envelope's URI may be",
      { keyId: keyArn("eu-central-1", "k".repeat(1_024)) },
    ],
    ["a URI for a keyId", { keyId: `aws-kms://${keyArn()}` }],
    ["a region that is none", { keyId: "alias/a", region: "Frankfurt" }],
    ["an empty region", { keyId: "alias/a", region: "" }],
    ["another region than the key's", { keyId: keyArn(), region: "us-east-1" }],
    ["another region than the alias's", { keyId: aliasArn, region: "us-east-1" }],
    ["an option that does not exist", { keyId: "alias/a", kmsKeyId: "alias/b" }],
    ["a client that is none", { keyId: "alias/a", client: {} }],
    ["a client that is null", { keyId: "alias/a", client: null }],
    ["grant tokens that are no array", { keyId: "alias/a", grantTokens: "token" }],
    ["11 grant tokens", { keyId: "alias/a", grantTokens: Array.from({ length: 11 }, () => "t") }],
    ["an empty grant token", { keyId: "alias/a", grantTokens: [""] }],
  ])("refuses %s", (_, options) => {
    expect(refusalOf(() => awsKms(options as AwsKmsOptions)).code).toBe("ERR_INVALID_ARGUMENT");
  });
});
