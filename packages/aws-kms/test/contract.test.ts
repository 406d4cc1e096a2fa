/** The provider contract, over the fake AWS KMS through the real SDK. */

import { testMasterKeyProvider } from "@keyfold/testing";
import { describe, expect, it, test, vi } from "vitest";
import { withoutCredentials } from "./support/environment.ts";
import { subject } from "./support/subject.ts";

for (const [name, value] of withoutCredentials) vi.stubEnv(name, value);

testMasterKeyProvider({ describe, it }, subject);

test("it skips nothing", () => {
  const { inapplicable, withoutFailures, withoutRequests } = subject;
  expect([inapplicable, withoutFailures, withoutRequests]).toEqual([undefined, undefined, undefined]);
});
