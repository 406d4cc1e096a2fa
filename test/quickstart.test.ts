/** The quickstart does what its README shows, leaks nothing on the way, and notices when something is wrong. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseEnv } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const example = fileURLToPath(new URL("../examples/quickstart", import.meta.url));
const secrets = Object.entries(parseEnv(readFileSync(join(example, "app.env"), "utf8"))).map(
  ([name, secret = ""]) => ({ name, secret }),
);
/** A run of so many characters of a secret must not show up anywhere. */
const LEAK = 12;

interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

let directory: string;
let first: Run;
let sealed: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "keyfold-quickstart-"));
  first = run("main.ts");
  sealed = readFileSync(join(directory, "app.sealed.json"), "utf8");
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe("app.env", () => {
  test("holds a dozen secrets, one of several lines and one beyond ASCII", () => {
    expect(secrets).toHaveLength(12);
    expect(secrets.every(({ secret }) => secret.length >= LEAK)).toBe(true);
    expect(secrets.filter(({ secret }) => secret.trim().includes("\n"))).toHaveLength(1);
    expect(secrets.filter(({ secret }) => Buffer.byteLength(secret) > secret.length)).toHaveLength(1);
  });
});

describe("the first run", () => {
  test("ends well, and says nothing on stderr", () => {
    expect(first).toMatchObject({ status: 0, stderr: "" });
  });

  test("seals in one process and opens in another, with one call to the master key each", () => {
    const calls = first.stdout.match(/calls to the master key: .*/g);
    expect(calls).toEqual([
      "calls to the master key: 1 wrap, 0 unwraps",
      "calls to the master key: 0 wraps, 1 unwrap",
      "calls to the master key: 1 wrap, 0 unwraps",
    ]);
    expect(first.stdout).toContain("12 secrets sealed");
    expect(first.stdout).toContain("12 secrets opened");
  });

  test("shows the refusals with their codes", () => {
    expect(first.stdout).toMatch(/under the name DATABASE_URL +ERR_CONTEXT_MISMATCH/);
    expect(first.stdout).toMatch(/with its last bit flipped +ERR_MESSAGE_ALTERED/);
  });

  test("prints as its README shows, but for keys and numbers", () => {
    const shown = /```text\n([\s\S]*?)```/.exec(readFileSync(join(example, "README.md"), "utf8"))?.[1];
    expect(unvarying(first.stdout)).toBe(unvarying(shown ?? ""));
  });

  test("uses no colours where it does not write to a terminal", () => {
    expect(first.stdout).not.toContain("\u001b");
  });

  test("makes a key file that only its owner can read", () => {
    expect(statSync(join(directory, "master.key")).mode & 0o777).toBe(0o600);
  });

  test.each(secrets)("leaks nothing of $name", ({ name, secret }) => {
    const written = `${first.stdout}${sealed}`;
    expect(runsOf(secret).filter((part) => written.includes(part))).toEqual([]);
    const envelope = Buffer.from(envelopes()[name]?.slice("kf1.".length) ?? "", "base64url");
    expect(envelope.length).toBeGreaterThan(Buffer.byteLength(secret));
    expect(runsOf(secret).filter((part) => envelope.includes(part))).toEqual([]);
  });
});

describe("later runs", () => {
  test("keep the key file as it is, and seal anew", () => {
    const key = readFileSync(join(directory, "master.key"));
    const second = run("main.ts");
    expect(second).toMatchObject({ status: 0, stderr: "" });
    expect(second.stdout).toContain("is there already");
    expect(readFileSync(join(directory, "master.key")).equals(key)).toBe(true);
    expect(readFileSync(join(directory, "app.sealed.json"), "utf8")).not.toBe(sealed);
  });

  test("fail in the second process where two envelopes are swapped", () => {
    const { SMTP_PASSWORD: one, SESSION_SECRET: other } = envelopes();
    const { status, stderr } = openAltered({ SMTP_PASSWORD: other, SESSION_SECRET: one });
    expect(status).toBe(1);
    expect(stderr).toContain("ERR_CONTEXT_MISMATCH");
  });

  test("fail in the second process where an envelope is missing", () => {
    const { status, stdout } = openAltered({ SMTP_PASSWORD: undefined });
    expect(status).toBe(1);
    expect(stdout).toContain("✗ SMTP_PASSWORD");
  });
});

function run(program: string): Run {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(example, program), directory], {
    encoding: "utf8",
    env: { ...process.env, FORCE_COLOR: undefined },
    timeout: 30_000,
  });
  return { status, stdout, stderr };
}

/** Those of the first run. */
function envelopes(): Record<string, string> {
  return JSON.parse(sealed);
}

/** Runs the second process on the envelopes of the first run, some of them replaced or, with undefined, left out. */
function openAltered(changes: Record<string, string | undefined>): Run {
  writeFileSync(join(directory, "app.sealed.json"), JSON.stringify({ ...envelopes(), ...changes }));
  return run("open.ts");
}

function runsOf(secret: string): string[] {
  return Array.from({ length: secret.length - LEAK + 1 }, (_, at) => secret.slice(at, at + LEAK));
}

/** The output without what differs from run to run: ids, the ends of envelopes, times. */
function unvarying(output: string): string {
  return output
    .trim()
    .replaceAll(/(?<=(kdkId|salt) +)[\w-]{22}/g, "(id)")
    .replaceAll(/local:[0-9a-f]{32}/g, "local:(id)")
    .replaceAll(/(?<=kf1\.S0YB…)[\w-]{8}/g, "(end)")
    .replace(/[\d.]+ s: [\d,]+ seals/, "(time)");
}
