/** Sealed columns in SQLite: written and read through Drizzle, misused, and re-wrapped after a rotation of the master key. */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createKeyfold, type Keyfold, KeyfoldError } from "@keyfold/core";
import { createLocalKeyFile, localKeyFile, rotateLocalKeyFile } from "@keyfold/local";
import { eq } from "drizzle-orm";
import { rewrapUsers } from "./rewrap.ts";
import { drizzleOver, usersTable } from "./users.ts";

const USERS = 1_000;

const directory = await mkdtemp(join(tmpdir(), "keyfold-database-"));
const keyFile = join(directory, "master.key");
const sqlite = new DatabaseSync(join(directory, "users.db"));
const db = drizzleOver(sqlite);

try {
  await createLocalKeyFile(keyFile);
  await write();
  await read();
  await misuse();
  await rotate();
} finally {
  sqlite.close();
  await rm(directory, { recursive: true });
}

/** One process's keyfold. In production `masterKeys` names a key in a KMS, and all else stays as it is. */
function newKeyfold(): Keyfold {
  return createKeyfold({ project: "shop/prod", masterKeys: localKeyFile(keyFile) });
}

async function write(): Promise<void> {
  heading(`Write ${USERS} users through Drizzle`);
  await using keyfold = newKeyfold();
  await keyfold.ready();
  const { users, sealToken } = usersTable(keyfold);
  sqlite.exec(
    "create table users (id text primary key, name text not null, email text not null, token text not null)",
  );
  sqlite.exec("begin");
  for (let number = 1; number <= USERS; number++) {
    const id = `u${String(number).padStart(4, "0")}`;
    const token = sealToken(`token-${number}`, id);
    await db.insert(users).values({ id, name: `User ${number}`, email: `user-${number}@example.com`, token });
  }
  sqlite.exec("commit");
  for (const [column, value] of Object.entries(stored("u0007")))
    line(`${column.padEnd(6)}${abridged(value)}`);
  calls(keyfold);
}

async function read(): Promise<void> {
  heading("Look up u0007 with a keyfold of its own, as another process has");
  await using keyfold = newKeyfold();
  await keyfold.ready(Object.values(stored("u0007")).filter((value) => keyfold.isSealed(value)));
  const { users } = usersTable(keyfold);
  const [user] = await db.select().from(users).where(eq(users.id, "u0007"));
  line(`name  ${user?.name}`);
  line(`email ${user?.email}`);
  line(`token ${user?.token.open(user.id)}`);
  calls(keyfold);
}

async function misuse(): Promise<void> {
  heading("Swap the sealed values of u0007 and u0008, as somebody can who writes to the database");
  await using keyfold = newKeyfold();
  const { users } = usersTable(keyfold);
  const [seven, eight] = [stored("u0007"), stored("u0008")];
  await keyfold.ready([seven["email"] ?? "", eight["email"] ?? ""]);
  store("u0007", eight);
  store("u0008", seven);
  const [user] = await db.select().from(users).where(eq(users.id, "u0007"));
  line(`email, bound to the column: ${user?.email}`);
  line(`token, bound to the row:    ${codeOf(() => user?.token.open(user.id))}`);
  store("u0007", seven);
  store("u0008", eight);
}

async function rotate(): Promise<void> {
  heading("Rotate the master key, and re-wrap the table");
  const uri = await rotateLocalKeyFile(keyFile);
  sqlite.exec("update users set token = substr(token, 1, 256) where id = 'u0500'");
  await using keyfold = newKeyfold();
  const { rewrapped, refused } = await rewrapUsers(sqlite, keyfold);
  line(`${rewrapped} envelopes re-wrapped under ${uri}`);
  line(`${refused.length} refused, and left as it was: ${refused.join(", ")}`);
  calls(keyfold);

  heading("Take the old key out of the file, and read everything");
  const { keys, ...rest } = JSON.parse(await readFile(keyFile, "utf8"));
  await writeFile(keyFile, JSON.stringify({ ...rest, keys: keys.slice(0, 1) }));
  await using reader = newKeyfold();
  const { users } = usersTable(reader);
  await reader.ready([stored("u0001")["email"] ?? ""]);
  const everybody = await db.select().from(users);
  const opened = everybody.filter(({ id, token }) => codeOf(() => token.open(id)) === undefined);
  line(`${everybody.length} emails and ${opened.length} tokens opened`);
  calls(reader);
}

/** What the database itself holds of a row. */
function stored(id: string): Record<string, string> {
  return { ...sqlite.prepare("select name, email, token from users where id = ?").get(id) } as Record<
    string,
    string
  >;
}

function store(id: string, { email = "", token = "" }: Record<string, string>): void {
  sqlite.prepare("update users set email = ?, token = ? where id = ?").run(email, token, id);
}

function codeOf(open: () => unknown): string | undefined {
  try {
    open();
    return undefined;
  } catch (error) {
    if (error instanceof KeyfoldError) return error.code;
    throw error;
  }
}

function heading(text: string): void {
  console.log(`\n${text}`);
}

function line(text: string): void {
  console.log(`  ${text}`);
}

function abridged(text: string): string {
  return text.length > 40 ? `${text.slice(0, 8)}… (${text.length} characters)` : text;
}

function calls(keyfold: Keyfold): void {
  const { wrapCalls, unwrapCalls } = keyfold.stats();
  line(`calls to the master key: ${wrapCalls} to wrap, ${unwrapCalls} to unwrap`);
}
