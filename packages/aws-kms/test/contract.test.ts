/** The provider contract, over the fake AWS KMS through the real SDK. */

import { testMasterKeyProvider } from "@keyfold/testing";
import { describe, it, vi } from "vitest";
import { withoutCredentials } from "./support/environment.ts";
import { subject } from "./support/subject.ts";

for (const [name, value] of withoutCredentials) vi.stubEnv(name, value);

testMasterKeyProvider({ describe, it }, subject);
