/** What becomes of a derivation: that fails, that was aborted, and of the buffers that it used. */

import * as crypto from "node:crypto";
import { beforeEach, expect, test, vi } from "vitest";
import { rejectionOf } from "../../../test/support/refusal.ts";
import { passphraseKey } from "../src/passphrase.ts";
import { kmsContext, operation, secret } from "./support/material.ts";

vi.mock("node:crypto", async (importOriginal) => {
  const real = await importOriginal<typeof import("node:crypto")>();
  return { ...real, scrypt: vi.fn(real.scrypt) };
});

const scrypt = vi.mocked(crypto.scrypt);
const PASSPHRASE = "correct horse battery stäple";

beforeEach(() => {
  scrypt.mockClear();
});

test("scrypt that cannot run says how much memory it wants, and may be tried again", async () => {
  const cause = new Error("malloc failure");
  scrypt.mockImplementationOnce((_password, _salt, _length, _options, callback) => {
    callback(cause, Buffer.alloc(0));
  });
  const refusal = await rejectionOf(passphraseKey(PASSPHRASE).wrapKey(secret, operation()));
  expect(refusal.code).toBe("ERR_MASTER_KEY_UNAVAILABLE");
  expect(refusal.message).toContain("128 MiB");
  expect(refusal.retryable).toBe(true);
  expect(refusal.cause).toBe(cause);
});

test("what scrypt was given and what it gave is wiped", async () => {
  const { scrypt: real } = await vi.importActual<typeof import("node:crypto")>("node:crypto");
  const buffers: Uint8Array[] = [];
  scrypt.mockImplementationOnce((password, salt, length, options, callback) => {
    expect(Buffer.from(password as Uint8Array).toString()).toBe(PASSPHRASE);
    real(password, salt, length, options, (error, derived) => {
      expect(derived.some((byte) => byte !== 0)).toBe(true);
      buffers.push(password as Uint8Array, derived);
      callback(error, derived);
    });
  });
  await passphraseKey(PASSPHRASE, { log2N: 15 }).wrapKey(secret, operation());
  expect(buffers.map((buffer) => buffer.every((byte) => byte === 0))).toEqual([true, true]);
});

test("once it has ended, nothing listens to the signal any more", async () => {
  const { signal } = new AbortController();
  const added = vi.spyOn(signal, "addEventListener");
  const removed = vi.spyOn(signal, "removeEventListener");
  await passphraseKey(PASSPHRASE, { log2N: 15 }).wrapKey(secret, operation(kmsContext, signal));
  expect(added).toHaveBeenCalledOnce();
  expect(removed.mock.calls[0]?.slice(0, 2)).toEqual(added.mock.calls[0]?.slice(0, 2));
});
