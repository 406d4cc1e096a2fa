/** Both ways with the real `cryptography` of Python, through the Python program as it is described. */

import { randomBytes, randomInt } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createKeyManagement, type KeyManagement } from "../src/key-management.ts";
import { createMigration } from "../src/migration.ts";
import { absenceOfPython, testAbsence } from "./support/absent.ts";
import { newKeyfold } from "./support/material.ts";
import { python } from "./support/python.ts";

const SECRETS = 1_000;
/** Salts and DEKs that they are spread over. */
const DEKS = 10;
const project = "käufe 🔑";
const masterSecret = "a literal – in the source";

interface Stored {
  readonly encrypted_dek: string;
  /** Hex. */
  readonly salt: string;
  readonly encrypted_secret: string;
  readonly secret: string;
}

const writeAll = `
import json, random, sys
from secure_secrets import KeyManagement
given = json.load(sys.stdin)
keys = KeyManagement(given["project"], given["masterSecret"])
deks = []
for _ in range(given["deks"]):
    encrypted_dek, salt = keys.initialize()
    kek, _ = keys.generate_kek(salt)
    deks.append((encrypted_dek, salt, keys.decrypt_dek(encrypted_dek, kek)))
stored = []
for i in range(given["secrets"]):
    secret = "".join(chr(random.choice([random.randrange(0x80), random.randrange(0xe000, 0x110000)])) for _ in range(random.randrange(80)))
    encrypted_dek, salt, dek = deks[i % len(deks)]
    token = keys.encrypt_data(secret, dek)
    stored.append(dict(encrypted_dek=encrypted_dek.decode(), salt=salt.hex(), encrypted_secret=token.decode(), secret=secret))
json.dump(stored, sys.stdout)
`;

const readAll = `
import json, sys
from secure_secrets import KeyManagement
given = json.load(sys.stdin)
keys = KeyManagement(given["project"], given["masterSecret"])
keks = {}
secrets = []
for each in given["stored"]:
    salt = bytes.fromhex(each["salt"])
    if each["salt"] not in keks:
        keks[each["salt"]], _ = keys.generate_kek(salt)
    dek = keys.decrypt_dek(each["encrypted_dek"].encode(), keks[each["salt"]])
    secrets.append(keys.decrypt_data(each["encrypted_secret"].encode(), dek))
json.dump(secrets, sys.stdout)
`;

const absent = absenceOfPython();
if (absent !== undefined) {
  testAbsence("interoperation with Python", absent);
} else {
  describe("interoperation with Python", () => {
    test(`${SECRETS} secrets that Python wrote are read here`, async () => {
      const stored = writtenByPython(SECRETS, DEKS);
      expect(new Set(stored.map(({ secret }) => secret)).size).toBeGreaterThan(SECRETS * 0.9);
      const keys = createKeyManagement({ project, masterSecret });
      const read = await Promise.all(stored.map((each) => readWith(keys, each)));
      expect(read).toEqual(stored.map(({ secret }) => secret));
      expect(read).toHaveLength(SECRETS);
    });

    test(`${SECRETS} secrets that were written here are read by Python`, async () => {
      const keys = createKeyManagement({ project, masterSecret: new TextEncoder().encode(masterSecret) });
      const deks = await Promise.all(Array.from({ length: DEKS }, () => keys.initialize()));
      const stored = await Promise.all(
        Array.from({ length: SECRETS }, async (_, i): Promise<Stored> => {
          const { encryptedDek, salt } = deks[i % DEKS] ?? (await keys.initialize());
          const { kek } = await keys.generateKek(salt);
          const secret = randomBytes(randomInt(80)).toString("utf16le").toWellFormed();
          const token = keys.encryptData(secret, keys.decryptDek(encryptedDek, kek));
          return {
            encrypted_dek: encryptedDek,
            salt: Buffer.from(salt).toString("hex"),
            encrypted_secret: token,
            secret,
          };
        }),
      );
      const read = python<string[]>(readAll, { project, masterSecret, stored });
      expect(read).toEqual(stored.map(({ secret }) => secret));
      expect(read).toHaveLength(SECRETS);
    });

    test("what Python wrote migrates", async () => {
      const { keyfold } = newKeyfold();
      const migration = createMigration({
        from: createKeyManagement({ project, masterSecret }),
        to: keyfold,
      });
      for (const { encrypted_dek, salt, encrypted_secret, secret } of writtenByPython(20, 2)) {
        const record = { encryptedDek: encrypted_dek, salt, encryptedSecret: encrypted_secret, context: {} };
        expect(await keyfold.openText(await migration.migrate(record), {})).toBe(secret);
      }
    });

    test("a salt gives both the same KEK", async () => {
      const salt = randomBytes(16);
      const program = `
import json, sys
from secure_secrets import KeyManagement
given = json.load(sys.stdin)
json.dump(KeyManagement(given["project"], given["masterSecret"]).generate_kek(bytes.fromhex(given["salt"]))[0].decode(), sys.stdout)
`;
      const { kek } = await createKeyManagement({ project, masterSecret }).generateKek(salt);
      expect(python<string>(program, { project, masterSecret, salt: salt.toString("hex") })).toBe(
        kek.exportKey(),
      );
    });
  });
}

function writtenByPython(secrets: number, deks: number): readonly Stored[] {
  return python<Stored[]>(writeAll, { project, masterSecret, secrets, deks });
}

async function readWith(
  keys: KeyManagement,
  { encrypted_dek, salt, encrypted_secret }: Stored,
): Promise<string> {
  const { kek } = await keys.generateKek(Buffer.from(salt, "hex"));
  return keys.decryptData(encrypted_secret, keys.decryptDek(encrypted_dek, kek));
}
