/** The command with streams of the test's own: terminals, failing master keys, odd input. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough, Readable, Writable } from "node:stream";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { linesOf } from "../../src/command/lines.ts";
import { main } from "../../src/command/main.ts";
import { absenceOfPython, testAbsence } from "../support/absent.ts";
import { bin, commandEnv } from "../support/command.ts";
import { lineOf, PROJECT, recordsOf, temporaryDirectory } from "../support/material.ts";
import { python } from "../support/python.ts";

/** To the start of the line, and erase it. */
const CLEAR = "\r\u001b[K";

/** A stream that keeps what is written to it. */
class Kept extends Writable {
  text = "";
  isTTY = false;

  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.text += chunk.toString("utf8");
    done();
  }
}

async function runMain(
  args: readonly string[],
  input: Readable,
  isTTY = false,
  env = commandEnv,
  stdout: Kept = new Kept(),
) {
  process.env["MASTER_KEY"] = commandEnv["MASTER_KEY"];
  const stderr = new Kept();
  stderr.isTTY = isTTY;
  const io = { args, env, stdin: input, stdout, stderr, signal: new AbortController().signal };
  const status = await main(io);
  return { status, stdout: stdout.text, stderr: stderr.text };
}

const migrate = ["migrate", "--project", PROJECT, "--no-context"];
const inputOf = async (count: number) =>
  (await recordsOf(Array.from({ length: count }, (_, i) => `secret ${i}`))).map((record) => lineOf(record));

describe("progress", () => {
  test("is shown on a terminal, in a line that is cleared in the end", async () => {
    const { stderr } = await runMain(
      migrate,
      Readable.from([Buffer.from((await inputOf(50)).join(""))]),
      true,
    );
    expect(stderr.startsWith(`${CLEAR}1 migrated, `)).toBe(true);
    expect(stderr).toMatch(/1 migrated, [\d,]+ a second/);
    expect(stderr.endsWith(`${CLEAR}50 migrated, 0 refused.\n`)).toBe(true);
  });

  test("is not shown anywhere else", async () => {
    const { stderr } = await runMain(migrate, Readable.from([Buffer.from((await inputOf(50)).join(""))]));
    expect(stderr).toBe("50 migrated, 0 refused.\n");
  });

  const absent = absenceOfPython();
  if (absent !== undefined) testAbsence("progress on a real terminal", absent);
  else {
    test("is shown on a real terminal, and the envelopes go to their file", async () => {
      const directory = temporaryDirectory();
      writeFileSync(join(directory, "records.jsonl"), (await inputOf(50)).join(""));
      const program = `
import json, os, pty, sys
given = json.load(sys.stdin)
os.chdir(given["directory"])
os.environ.update(given["env"])
shown = b""
def read(terminal):
    global shown
    chunk = os.read(terminal, 4096)
    shown += chunk
    return chunk
# pty.spawn copies to the standard output, which is for the result.
result = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
pty.spawn(given["command"], read)
os.write(result, json.dumps(shown.decode()).encode())
`;
      const command = [process.execPath, bin, ...migrate, "--output", "new.jsonl", "records.jsonl"];
      const shown = python<string>(program, { directory, env: commandEnv, command });
      expect(shown).toMatch(/1 migrated, [\d,]+ a second/);
      expect(shown).toContain(`${CLEAR}50 migrated, 0 refused.`);
      expect(readFileSync(join(directory, "new.jsonl"), "utf8").match(/kf1\./g)).toHaveLength(50);
    });
  }
});

describe("input", () => {
  test("comes in chunks of any size, with line breaks of JSON's own text in them", async () => {
    const id = '"a\u2028b\\n"';
    const lines = (await inputOf(1)).map((line) => line.replace('"id":0', `"id":${id}`));
    const bytes = Buffer.from(`\r\n${lines.join("")}  \n`);
    const single = Readable.from([...bytes].map((byte) => Buffer.of(byte)));
    const { status, stdout } = await runMain(migrate, single);
    expect([status, JSON.parse(stdout).id]).toEqual([0, "a\u2028b\n"]);
  });

  test("needs no line feed at its end", async () => {
    const { status, stdout } = await runMain(
      migrate,
      Readable.from([Buffer.from((await inputOf(1)).join("").trimEnd())]),
    );
    expect([status, stdout.split("\n").length]).toEqual([0, 2]);
  });

  test("may be empty", async () => {
    const { status, stdout, stderr } = await runMain(migrate, Readable.from([]));
    expect([status, stdout, stderr]).toEqual([0, "", "0 migrated, 0 refused.\n"]);
  });

  test("that fails ends the run, after what came before", async () => {
    const input = new PassThrough();
    input.write((await inputOf(1)).join(""));
    setTimeout(() => input.destroy(new Error("the disk is gone")), 500);
    const { status, stdout, stderr } = await runMain(migrate, input);
    expect([status, stdout.split("\n").length, stderr]).toEqual([
      3,
      2,
      "1 migrated, 0 refused.\nsecure-secrets: the disk is gone\n",
    ]);
  });

  test("is cut into lines as split does it, however it is cut into chunks", async () => {
    const chunks = fc.array(fc.string({ unit: fc.constantFrom("a", "ü", "\n", "\r") }));
    await fc.assert(
      fc.asyncProperty(chunks, async (parts) => {
        const lines: string[] = [];
        let last = true;
        for await (const { bytes, number, isWhole } of linesOf(
          Readable.from(parts.map((part) => Buffer.from(part))),
        )) {
          lines.push(Buffer.from(bytes).toString("utf8"));
          expect([number, last]).toEqual([lines.length, true]);
          last = isWhole;
        }
        const expected = parts.join("").split("\n");
        if (expected.at(-1) === "") expected.pop();
        expect(lines).toEqual(expected);
      }),
    );
  });
});

test("a master key that fails ends the run, rather than being said of each record", async () => {
  const env = { ...commandEnv, KEYFOLD_MASTER_KEY: "env:NO_SUCH_VARIABLE" };
  const input = Readable.from([Buffer.from((await inputOf(20)).join(""))]);
  const { status, stdout, stderr } = await runMain(migrate, input, false, env);
  expect([status, stdout]).toEqual([3, ""]);
  expect(stderr).toMatch(/^0 migrated, 0 refused\.\nsecure-secrets: ERR_KEY_FILE: .*NO_SUCH_VARIABLE.*\n$/);
});

test("a reader of its output that goes away ends the run", async () => {
  class Broken extends Kept {
    override _write(_: Buffer, __: string, done: (error?: Error) => void): void {
      done(new Error("write EPIPE"));
    }
  }
  const input = Readable.from([Buffer.from((await inputOf(20)).join(""))]);
  const { status, stderr } = await runMain(migrate, input, false, commandEnv, new Broken());
  expect([status, stderr]).toEqual([3, expect.stringMatching(/secure-secrets: write EPIPE\n$/)]);
});

test("the old master key is in no message, whatever fails", async () => {
  const secret = commandEnv["SECURE_SECRETS_MASTER_KEY"] ?? "";
  const lines = [`${secret}\n`, `{"${secret}":1}\n`, `"${secret}"\n`, `{"id":1,"salt":"${secret}"}\n`];
  const wrong = { ...commandEnv, SECURE_SECRETS_MASTER_KEY: `${secret}!` };
  for (const [input, env] of [
    [lines, commandEnv],
    [await inputOf(3), wrong],
  ] as const) {
    const { status, stdout, stderr } = await runMain(
      migrate,
      Readable.from([Buffer.from(input.join(""))]),
      true,
      env,
    );
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("line 1");
    expect(stderr).not.toContain(secret);
  }
});
