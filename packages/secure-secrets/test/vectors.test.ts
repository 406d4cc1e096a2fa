/** The vectors that Fernet's specification publishes. They are read from where they are installed, and not copied. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { refusalOf } from "../../../test/support/refusal.ts";
import { decodeBase64 } from "../src/base64.ts";
import { encryptWith, takeKeys } from "../src/cipher.ts";
import { fernet } from "../src/fernet.ts";
import { testAbsence, vectorsFolder } from "./support/absent.ts";

interface Vector {
  readonly token: string;
  /** A date with its time zone. */
  readonly now: string;
  readonly secret: string;
}
interface Generate extends Vector {
  readonly iv: readonly number[];
  readonly src: string;
}
interface Verify extends Vector {
  readonly ttl_sec: number;
  readonly src: string;
}
interface Invalid extends Vector {
  readonly desc: string;
  readonly ttl_sec: number;
}

/** What our refusal says of each invalid token, so that none is refused for another reason than its own. */
const reasons: Readonly<Record<string, readonly [code: string, detail: string]>> = {
  "incorrect mac": ["ERR_FERNET_INVALID", "HMAC"],
  "too short": ["ERR_FERNET_INVALID", "73 bytes"],
  "invalid base64": ["ERR_FERNET_INVALID", "base64url"],
  // 15 bytes of ciphertext: less than a block.
  "payload size not multiple of block size": ["ERR_FERNET_INVALID", "73 bytes"],
  "payload padding error": ["ERR_FERNET_INVALID", "padding"],
  "far-future TS (unacceptable clock skew)": ["ERR_FERNET_INVALID", "clockSkew"],
  "expired TTL": ["ERR_FERNET_EXPIRED", "time to live"],
  "incorrect IV (causes padding error)": ["ERR_FERNET_INVALID", "padding"],
};

const folder = vectorsFolder();
if (folder === undefined) {
  testAbsence("the vectors of Fernet's specification", "python3-cryptography-vectors is not installed");
} else {
  const vectors = <T>(name: string): readonly T[] =>
    JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));

  describe("the vectors of Fernet's specification", () => {
    test.each(vectors<Generate>("generate"))("generate: $src", ({ token, now, iv, src, secret }) => {
      const keys = takeKeys(decodeBase64(secret) ?? new Uint8Array());
      const seconds = BigInt(Date.parse(now) / 1_000);
      expect(encryptWith(keys, Buffer.from(src), seconds, Uint8Array.from(iv))).toBe(token);
    });

    test.each(vectors<Verify>("verify"))("verify: $src", ({ token, now, ttl_sec, src, secret }) => {
      const options = { timeToLive: ttl_sec * 1_000, now: Date.parse(now) };
      expect(fernet(secret).decryptText(token, options)).toBe(src);
    });

    test.each(vectors<Invalid>("invalid"))("invalid: $desc", ({ desc, token, now, ttl_sec, secret }) => {
      const options = { timeToLive: ttl_sec * 1_000, now: Date.parse(now) };
      const { code, message } = refusalOf(() => fernet(secret).decrypt(token, options));
      expect([code, message]).toEqual([
        reasons[desc]?.[0],
        expect.stringContaining(reasons[desc]?.[1] ?? "?"),
      ]);
    });

    test("are all there", () => {
      const counts = ["generate", "verify", "invalid"].map((name) => vectors(name).length);
      expect(counts).toEqual([1, 1, Object.keys(reasons).length]);
    });
  });
}
