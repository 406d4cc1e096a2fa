/** What the fake AWS KMS says to requests that the SDK does not make. */

import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { type FakeAwsKms, startFakeAwsKms } from "../../src/aws/fake-aws-kms.ts";

const headers = {
  "content-type": "application/x-amz-json-1.1",
  "x-amz-target": "TrentService.Encrypt",
};
const authorization =
  "AWS4-HMAC-SHA256 Credential=AKIAX/20260131/eu-central-1/kms/aws4_request, SignedHeaders=host;x-amz-date, Signature=";

test.each([
  ["without a signature", "MissingAuthenticationToken", {}],
  ["with half of one", "IncompleteSignature", { authorization: "AWS4-HMAC-SHA256 Credential=AKIAX" }],
  ["without a date", "IncompleteSignature", { authorization: authorization + "0".repeat(64) }],
  [
    "for another service",
    "InvalidSignatureException",
    {
      authorization: authorization.replace("/kms/", "/s3/") + "0".repeat(64),
      "x-amz-date": "20260131T120000Z",
    },
  ],
])("a request %s is refused as %s, and not counted", async (_, type, more) => {
  const kms = await start();
  const response = await fetch(kms.endpoint, {
    method: "POST",
    headers: { ...headers, ...more },
    body: "{}",
  });
  expect(response.status).toBe(400);
  expect(response.headers.get("content-type")).toBe("application/x-amz-json-1.1");
  expect(response.headers.get("x-amzn-requestid")).toMatch(/^[0-9a-f-]{36}$/);
  expect(await response.json()).toMatchObject({ __type: `com.amazon.coral.service#${type}` });
  expect(kms.requests).toHaveLength(0);
});

test("close ends connections that wait for an answer, twice is fine, and so is await using", async () => {
  const kms = await startFakeAwsKms();
  const socket = connect(Number(new URL(kms.endpoint).port), "127.0.0.1");
  const ended = new Promise((resolve) => socket.once("close", resolve));
  await new Promise((resolve) => socket.once("connect", resolve));
  await kms.close();
  await kms.close();
  await kms[Symbol.asyncDispose]();
  await ended;
  await expect(fetch(kms.endpoint)).rejects.toThrow();
});

test("two servers share nothing", async () => {
  const [one, other] = [await start(), await start()];
  expect(one.endpoint).not.toBe(other.endpoint);
  expect(one.keyArn).not.toBe(other.keyArn);
  expect(one.credentials).not.toEqual(other.credentials);
});

async function start(): Promise<FakeAwsKms> {
  const kms = await startFakeAwsKms();
  onTestFinished(() => kms.close());
  return kms;
}
