/** Tests that need what not every machine has: skipped with the reason, but a failure with KEYFOLD_REQUIRE=1. */

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { test } from "vitest";

const required = process.env["KEYFOLD_REQUIRE"] === "1";

/** Stands for the tests that cannot run, and says why. */
export function testAbsence(name: string, reason: string): void {
  test.skipIf(!required)(`${name}: ${reason}`, () => {
    throw new Error(reason);
  });
}

/** Why there is no Python with `cryptography` here, or undefined. */
export function absenceOfPython(): string | undefined {
  const { status } = spawnSync("python3", ["-c", "import cryptography.fernet"]);
  return status === 0 ? undefined : "python3 has no cryptography here";
}

/**
 * The folder with generate.json, verify.json and invalid.json of Fernet's specification: the one that
 * KEYFOLD_FERNET_VECTORS names, or that of the Debian package python3-cryptography-vectors.
 */
export function vectorsFolder(): string | undefined {
  const named = process.env["KEYFOLD_FERNET_VECTORS"];
  if (named !== undefined) return named;
  const { status, stdout } = spawnSync("dpkg", ["-L", "python3-cryptography-vectors"], { encoding: "utf8" });
  if (status !== 0) return undefined;
  const file = stdout.split("\n").find((path) => path.endsWith("/fernet/verify.json"));
  return file !== undefined && existsSync(file) ? dirname(file) : undefined;
}
