/** The reference under Node's own test runner, with one rule that it is not held to. */

import { describe, it } from "node:test";
import { testMasterKeyProvider } from "../../src/contract/suite.ts";
import { referenceSubject } from "./reference.ts";

const inapplicable = { "wrap-is-randomized": "its wraps are all alike" };

testMasterKeyProvider({ describe, it }, referenceSubject({ subject: { inapplicable } }));
