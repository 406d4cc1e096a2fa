import { inspect } from "node:util";
import { describe, expect, expectTypeOf, test } from "vitest";
import { errorTable, KeyfoldError, type KeyfoldErrorCode, requireArgument } from "../src/errors.ts";
import { refusalOf } from "./support/refusal.ts";

/** Every code, with whether the very same call may succeed later. The compiler refuses a code too many or too few. */
const retryableByCode: Record<KeyfoldErrorCode, boolean> = {
  ERR_NOT_AN_ENVELOPE: false,
  ERR_UNSUPPORTED_VERSION: false,
  ERR_MALFORMED_ENVELOPE: false,
  ERR_NO_USABLE_WRAP: false,
  ERR_UNAUTHENTICATED_WRAP: false,
  ERR_KEY_MISMATCH: false,
  ERR_HEADER_REJECTED: false,
  ERR_CONTEXT_MISMATCH: false,
  ERR_MESSAGE_ALTERED: false,
  ERR_MESSAGE_TRUNCATED: false,
  ERR_UNKNOWN_KEY: false,
  ERR_KEY_DESTROYED: false,
  ERR_MASTER_KEY_DENIED: false,
  ERR_MASTER_KEY_NOT_FOUND: false,
  ERR_MASTER_KEY_DISABLED: false,
  ERR_MASTER_KEY_THROTTLED: true,
  ERR_MASTER_KEY_UNAVAILABLE: true,
  ERR_MASTER_KEY_REJECTED: false,
  ERR_MASTER_KEY_BAD_REPLY: false,
  ERR_CREDENTIALS: false,
  ERR_UNWRAP_FAILED: false,
  ERR_INVALID_ARGUMENT: false,
  ERR_NOT_CONFIGURED: false,
  ERR_NOT_TEXT: false,
  ERR_ABORTED: false,
  ERR_NOT_READY: true,
  ERR_CLOSED: false,
  ERR_BUDGET: true,
  ERR_PROVIDER_NOT_INSTALLED: false,
  ERR_UNKNOWN_SCHEME: false,
  ERR_KEYRING_NOT_FOUND: false,
  ERR_KEYRING_UNAVAILABLE: true,
  ERR_KEYRING_INVALID: false,
  ERR_KEYRING_CONFLICT: true,
  ERR_KEYRING_ROLLBACK: false,
  ERR_KEYRING_FULL: false,
  ERR_KEYRING_READ_ONLY: false,
  ERR_KEY_FILE: false,
  ERR_FIELD: false,
  ERR_IO: false,
  ERR_FERNET_INVALID: false,
  ERR_FERNET_EXPIRED: false,
};
const codes = Object.keys(retryableByCode) as KeyfoldErrorCode[];

describe("the table", () => {
  test("has a row for every code and no other", () => {
    expect(Object.keys(errorTable).sort()).toEqual([...codes].sort());
    expectTypeOf<keyof typeof errorTable>().toEqualTypeOf<KeyfoldErrorCode>();
  });

  test("gives no two codes the same meaning", () => {
    expect(new Set(codes.map((code) => errorTable[code].meaning)).size).toBe(codes.length);
  });

  test.each(codes)("%s has a meaning and a remedy, each of whole sentences", (code) => {
    const { meaning, remedy } = errorTable[code];
    for (const text of [meaning, remedy]) expect(text).toMatch(/^[A-Z]\S* [^\n]*[^.\s]\.$/);
  });
});

describe("an error", () => {
  test.each(codes)("of %s says what happened, what to do, and whether to try again", (code) => {
    const { meaning, remedy } = errorTable[code];
    const error = new KeyfoldError(code);
    expect(error.code).toBe(code);
    expect(error.message).toBe(`${meaning} ${remedy}`);
    expect(error.retryable).toBe(retryableByCode[code]);
  });

  test("has a detail in the place of the meaning, and keeps the remedy", () => {
    const error = new KeyfoldError("ERR_CLOSED", "The drawer is shut.");
    expect(error.message).toBe(`The drawer is shut. ${errorTable.ERR_CLOSED.remedy}`);
  });

  test("has a remedy for its very case in the place of the table's, or none where the detail says it", () => {
    const messageWith = (remedy: string) =>
      new KeyfoldError("ERR_KEY_FILE", "It is open.", { remedy }).message;
    expect(messageWith("Run chmod 600.")).toBe("It is open. Run chmod 600.");
    expect(messageWith("")).toBe("It is open.");
  });

  test("is an Error, by class, by name and in its stack", () => {
    const error = new KeyfoldError("ERR_IO");
    expect(error).toBeInstanceOf(Error);
    expect(error).toBeInstanceOf(KeyfoldError);
    expect(error.name).toBe("KeyfoldError");
    expect(String(error)).toBe(`KeyfoldError: ${error.message}`);
    expect(error.stack).toContain(`KeyfoldError: ${error.message}`);
    expect(error.stack).toContain("errors.test.ts");
  });

  test.each([new TypeError("foreign"), "thrown text", null, undefined])("keeps the cause %s", (cause) => {
    const error = new KeyfoldError("ERR_IO", undefined, { cause });
    expect(Object.hasOwn(error, "cause")).toBe(true);
    expect(error.cause).toBe(cause);
  });

  test("has no cause, attempts or retryAfter where none was given", () => {
    const error = new KeyfoldError("ERR_IO");
    for (const property of ["cause", "attempts", "retryAfter"]) expect(property in error).toBe(false);
  });

  test("keeps the milliseconds after which the service asked to be called again, be they 0", () => {
    for (const retryAfter of [0, 1_500])
      expect(new KeyfoldError("ERR_MASTER_KEY_THROTTLED", undefined, { retryAfter }).retryAfter).toBe(
        retryAfter,
      );
  });

  test("shows its code, its cause and its attempts when it is inspected", () => {
    const cause = new TypeError("socket hang up");
    const error = failedUnwrap(new KeyfoldError("ERR_MASTER_KEY_UNAVAILABLE", undefined, { cause }));
    for (const shown of ["KeyfoldError: ", "ERR_UNWRAP_FAILED", "ERR_MASTER_KEY_UNAVAILABLE", "kms-0"])
      expect(inspect(error, { depth: 4 })).toContain(shown);
    expect(inspect(new KeyfoldError("ERR_IO", undefined, { cause }))).toContain("socket hang up");
  });

  test("shows nothing undefined when it is inspected", () => {
    expect(inspect(new KeyfoldError("ERR_IO"))).not.toContain("undefined");
  });

  test("has its code and whether to try again in JSON", () => {
    expect(JSON.parse(JSON.stringify(new KeyfoldError("ERR_BUDGET")))).toEqual({
      code: "ERR_BUDGET",
      retryable: true,
    });
  });
});

describe("a failed unwrap", () => {
  const denied = new KeyfoldError("ERR_MASTER_KEY_DENIED");
  const throttled = new KeyfoldError("ERR_MASTER_KEY_THROTTLED");

  test("keeps its attempts as they came", () => {
    const attempts = [{ provider: "kms", masterKey: "local:1", error: denied }];
    expect(new KeyfoldError("ERR_UNWRAP_FAILED", undefined, { attempts }).attempts).toBe(attempts);
  });

  test("may be tried again where any attempt may", () => {
    expect(failedUnwrap(throttled, denied).retryable).toBe(true);
    expect(failedUnwrap(denied, throttled).retryable).toBe(true);
    expect(failedUnwrap(throttled).retryable).toBe(true);
  });

  test("may not be tried again where no attempt may, or there was none", () => {
    expect(failedUnwrap(denied, denied).retryable).toBe(false);
    expect(failedUnwrap().retryable).toBe(false);
  });

  test("alone takes attempts into account", () => {
    const attempts = [{ provider: "kms", masterKey: "local:1", error: throttled }];
    expect(new KeyfoldError("ERR_KEY_MISMATCH", undefined, { attempts }).retryable).toBe(false);
  });
});

describe("requireArgument", () => {
  test("refuses with the detail that it was given", () => {
    const { code, message } = refusalOf(() => requireArgument(false, "Two is not one."));
    expect(code).toBe("ERR_INVALID_ARGUMENT");
    expect(message).toBe(`Two is not one. ${errorTable.ERR_INVALID_ARGUMENT.remedy}`);
  });

  test("lets pass what holds", () => {
    expect(() => requireArgument(true, "Never said.")).not.toThrow();
  });
});

function failedUnwrap(...errors: KeyfoldError[]): KeyfoldError {
  const attempts = errors.map((error, i) => ({ provider: `kms-${i}`, masterKey: `local:${i}`, error }));
  return new KeyfoldError("ERR_UNWRAP_FAILED", undefined, { attempts });
}
