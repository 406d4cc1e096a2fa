/** Seals the secrets of app.env under a key file, opens them in a second process, and tries what must be refused. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { createKeyfold, KeyfoldError, type KeyfoldErrorCode } from "@keyfold/core";
import { createLocalKeyFile, localKeyFile } from "@keyfold/local";
import { abridged, count, field, heading, line, masterKeyCalls, success } from "./show.ts";

const directory = process.argv[2] ?? import.meta.dirname;
const keyFile = join(directory, "master.key");
const sealedFile = join(directory, "app.sealed.json");

heading("The master key");
if (existsSync(keyFile)) {
  line("master.key is there already.");
} else {
  await createLocalKeyFile(keyFile);
  line("made master.key, which only you can read.");
}

// In production this line names a key in a KMS, and the rest stays as it is.
const keyfold = createKeyfold({ project: "shop/prod", masterKeys: localKeyFile(keyFile) });

heading("Seal: app.env → app.sealed.json");
const secrets = parseEnv(await readFile(join(import.meta.dirname, "app.env"), "utf8"));
const sealed: Record<string, string> = {};
for (const [name, secret = ""] of Object.entries(secrets)) {
  const envelope = await keyfold.sealText(secret, { name });
  sealed[name] = envelope;
  field(name, `${String(Buffer.byteLength(secret)).padStart(3)} bytes → ${abridged(envelope)}`);
}
await writeFile(sealedFile, `${JSON.stringify(sealed, null, 2)}\n`);
success(`${count(Object.keys(sealed).length, "secret")} sealed, each bound to its name`);
masterKeyCalls(keyfold);

heading("Inspect: what anybody can read in the envelope of SMTP_PASSWORD");
const envelope = sealed["SMTP_PASSWORD"] ?? "";
for (const [name, value] of Object.entries(keyfold.inspect(envelope))) field(name, String(value));

heading("Open: app.sealed.json, in a second process");
const opener = spawn(process.execPath, [join(import.meta.dirname, "open.ts"), directory], {
  stdio: "inherit",
});
const [status] = await once(opener, "exit");
if (status !== 0) throw new Error("The second process could not open what this one sealed.");

heading("Refuse: the envelope of SMTP_PASSWORD, misused");
await refused(
  "under the name DATABASE_URL",
  "ERR_CONTEXT_MISMATCH",
  keyfold.open(envelope, { name: "DATABASE_URL" }),
);
await refused(
  "with its last bit flipped",
  "ERR_MESSAGE_ALTERED",
  keyfold.open(withLastBitFlipped(envelope), { name: "SMTP_PASSWORD" }),
);

heading("Go on: 10,000 more, each with a context of its own");
const start = performance.now();
for (let row = 0; row < 10_000; row++) {
  await keyfold.seal("an access token", { table: "customers", row: String(row) });
}
const seconds = (performance.now() - start) / 1_000;
success(`${seconds.toFixed(2)} s: ${count(Math.round(10_000 / seconds), "seal")} a second`);
masterKeyCalls(keyfold);

await keyfold.close();

async function refused(what: string, code: KeyfoldErrorCode, opening: Promise<unknown>): Promise<void> {
  const outcome = await opening.catch((error: unknown) => error);
  if (!(outcome instanceof KeyfoldError && outcome.code === code)) {
    throw new Error(`${what}: ${code} was to be expected.`, { cause: outcome });
  }
  success(`${what.padEnd(30)}${code}`);
}

/** The text form of an envelope is "kf1." and the base64url of its bytes. */
function withLastBitFlipped(text: string): Uint8Array {
  const bytes = Buffer.from(text.slice("kf1.".length), "base64url");
  return bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte));
}
