/** The table of users, as Drizzle sees it through one keyfold. */

import type { DatabaseSync } from "node:sqlite";
import type { Keyfold } from "@keyfold/core";
import { sqliteTable, text } from "drizzle-orm/sqlite-core";
import { drizzle, type SqliteRemoteDatabase } from "drizzle-orm/sqlite-proxy";
import { sealedCell, sealedText } from "./columns.ts";

export function usersTable(keyfold: Keyfold) {
  const email = sealedText(keyfold, { table: "users", column: "email" });
  const token = sealedCell(keyfold, { table: "users", column: "token" });
  const users = sqliteTable("users", {
    id: text().primaryKey(),
    name: text().notNull(),
    email: email("email").notNull(),
    token: token.type("token").notNull(),
  });
  return { users, sealToken: token.seal };
}

/** Drizzle over Node's own SQLite. */
export function drizzleOver(sqlite: DatabaseSync): SqliteRemoteDatabase {
  return drizzle(async (sql, params, method) => {
    const statement = sqlite.prepare(sql);
    statement.setReturnArrays(true);
    if (method === "run") {
      statement.run(...params);
      return { rows: [] };
    }
    const rows = statement.all(...params);
    // Of "get", Drizzle takes the one row itself.
    return { rows: method === "get" ? (rows[0] as unknown as unknown[]) : rows };
  });
}
