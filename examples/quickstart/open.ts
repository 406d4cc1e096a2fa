/** The second process: opens what main.ts sealed, with the key file and nothing else, and compares it with app.env. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { createKeyfold } from "@keyfold/core";
import { localKeyFile } from "@keyfold/local";
import { count, failure, masterKeyCalls, success } from "./show.ts";

const directory = process.argv[2] ?? import.meta.dirname;
const expected = parseEnv(await readFile(join(import.meta.dirname, "app.env"), "utf8"));
const sealed: Record<string, string> = JSON.parse(await readFile(join(directory, "app.sealed.json"), "utf8"));

const keyfold = createKeyfold({
  project: "shop/prod",
  masterKeys: localKeyFile(join(directory, "master.key")),
});

const opened: Record<string, string> = {};
for (const [name, envelope] of Object.entries(sealed)) {
  opened[name] = await keyfold.openText(envelope, { name });
}

const names = Object.keys(expected);
const different = names.filter((name) => opened[name] !== expected[name]);
for (const name of different) failure(`${name} is not what app.env holds`);
if (different.length === 0) success(`${count(names.length, "secret")} opened, each as in app.env`);
else process.exitCode = 1;
masterKeyCalls(keyfold);

await keyfold.close();
