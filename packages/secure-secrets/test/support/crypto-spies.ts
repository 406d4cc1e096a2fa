/** What of node:crypto is called, in its order. The functions work as ever. */

import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { onTestFinished } from "vitest";

type Watched = "pbkdf2" | "createHmac" | "timingSafeEqual" | "createDecipheriv";

/** The names of the calls from now until the test has finished. */
export function cryptoCalls(...names: readonly Watched[]): string[] {
  const calls: string[] = [];
  const real = { ...crypto };
  for (const name of names) {
    const watched = (...args: unknown[]): unknown => {
      calls.push(name);
      return Reflect.apply(real[name], crypto, args);
    };
    Object.assign(crypto, { [name]: watched });
  }
  syncBuiltinESMExports();
  onTestFinished(() => {
    Object.assign(crypto, Object.fromEntries(names.map((name) => [name, real[name]])));
    syncBuiltinESMExports();
  });
  return calls;
}
