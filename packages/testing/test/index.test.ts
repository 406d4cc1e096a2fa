import { expect, test } from "vitest";
import * as testing from "../src/index.ts";

test("the package exports what its README lists", () => {
  expect(Object.keys(testing).sort()).toEqual([
    "memoryMasterKey",
    "startFakeAwsKms",
    "startFakeAzureKeyVault",
    "startFakeGcpKms",
    "testKeyringStore",
    "testMasterKeyProvider",
  ]);
});
