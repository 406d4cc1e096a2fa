#!/usr/bin/env node
import { main } from "./main.ts";

/** Signals that end the run in good order, with the exit status that a shell gives their numbers. */
const endings = { SIGINT: 130, SIGTERM: 143 } as const;

const stop = new AbortController();
let ending: number | undefined;
for (const [signal, status] of Object.entries(endings)) {
  process.once(signal, () => {
    ending = status;
    stop.abort();
  });
}

const { argv, env, stdin, stdout, stderr } = process;
const status = await main({ args: argv.slice(2), env, stdin, stdout, stderr, signal: stop.signal });
process.exitCode = ending ?? status;
stdin.destroy();
