/** The guide, followed from its first step to its last with data that Python wrote: all of its files and commands. */

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { absenceOfPython, testAbsence } from "./support/absent.ts";
import { MASTER_SECRET, temporaryDirectory } from "./support/material.ts";
import { python } from "./support/python.ts";

const packages = fileURLToPath(new URL("../..", import.meta.url));
const guide = readFileSync(join(packages, "../docs/leaving-python.md"), "utf8");

/** The database of a reader: three secrets, two of them under one DEK. */
const newDatabase = `
import json, sqlite3, sys
from secure_secrets import KeyManagement
given = json.load(sys.stdin)
keys = KeyManagement("shop", given["masterSecret"])
database = sqlite3.connect(given["path"])
database.execute("CREATE TABLE secrets (name TEXT PRIMARY KEY, encrypted_dek BLOB, salt BLOB, encrypted_secret BLOB)")
for names in [["db_password", "token"], ["käse 'n\\" \\n"]]:
    encrypted_dek, salt = keys.initialize()
    kek, _ = keys.generate_kek(salt)
    dek = keys.decrypt_dek(encrypted_dek, kek)
    for name in names:
        row = (name, encrypted_dek, salt, keys.encrypt_data("the secret of " + name, dek))
        database.execute("INSERT INTO secrets VALUES (?, ?, ?, ?)", row)
database.commit()
json.dump(None, sys.stdout)
`;

interface Block {
  readonly language: string;
  readonly note: string;
  readonly code: string;
}

const absent = absenceOfPython();
if (absent !== undefined) testAbsence("the guide", absent);
else {
  describe("the guide", () => {
    test("leads to where it says", () => {
      const directory = temporaryDirectory();
      python(newDatabase, { masterSecret: MASTER_SECRET, path: join(directory, "secrets.db") });
      install(directory);
      const { status, output } = follow(directory);
      expect(output).toBe(
        "3 migrated, 0 refused, 0 done before.\n3 of 3 are the same\nthe secret of db_password\n",
      );
      expect(status).toBe(0);
    }, 120_000);

    test("has its steps, and says of each block what it is", () => {
      const notes = blocks().map(({ language, note }) => `${language} ${note}`.trim());
      expect(notes.filter((note) => note === "sh").length).toBeGreaterThanOrEqual(6);
      for (const note of notes) expect(note).toMatch(/^(sh( no-run)?|(python|js) file=\w+\.(py|mjs))$/);
    });
  });
}

/** What npm would put there. */
function install(directory: string): void {
  const modules = join(directory, "node_modules");
  mkdirSync(join(modules, "@keyfold"), { recursive: true });
  for (const name of ["core", "local", "secure-secrets"]) {
    symlinkSync(join(packages, name), join(modules, "@keyfold", name), "junction");
  }
  const { bin } = JSON.parse(readFileSync(join(packages, "secure-secrets/package.json"), "utf8"));
  mkdirSync(join(modules, ".bin"));
  const command = `#!/bin/sh\nexec "${process.execPath}" "${join(packages, "secure-secrets", bin["secure-secrets"])}" "$@"\n`;
  writeFileSync(join(modules, ".bin/secure-secrets"), command, { mode: 0o755 });
}

/** Writes the guide's files, and runs its commands in one shell. */
function follow(directory: string): { status: number | null; output: string } {
  for (const { note, code } of blocks()) {
    const [, file] = /^file=(.+)$/.exec(note) ?? [];
    if (file !== undefined) writeFileSync(join(directory, file), code);
  }
  const commands = blocks()
    .filter(({ language, note }) => language === "sh" && note === "")
    .map(({ code }) => code)
    .join("");
  const { status, stdout } = spawnSync("sh", ["-c", `exec 2>&1\nset -e\n${commands}`], {
    cwd: directory,
    encoding: "utf8",
    env: {
      ...process.env,
      SECURE_SECRETS_MASTER_KEY: MASTER_SECRET,
      NODE_NO_WARNINGS: "1",
      // What npx itself says of this machine's settings is not the guide's.
      npm_config_loglevel: "error",
    },
  });
  return { status, output: stdout };
}

function blocks(): Block[] {
  return [...guide.matchAll(/^```(\w+) *(.*)\n([\s\S]*?)^```$/gm)].map(
    ([, language = "", note = "", code = ""]) => ({ language, note, code }),
  );
}
