/** Which modules an import loads, asked in a process of its own: in this one others may have loaded them. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import type { ProviderModuleSubject } from "../subject.ts";

export interface ModuleGraph {
  /** URLs of the modules that were loaded once the import was done. */
  readonly atImport: readonly string[];
  /** And once the first call had ended. */
  readonly afterCall: readonly string[];
  /** How the first call ended: "success", or what it threw. */
  readonly outcome: string;
}

const MARK = "module graph: ";
const TIMEOUT_MS = 60_000;

const graphs = new Map<string, Promise<ModuleGraph>>();

/** Asked once for each module: its imports are the same every time, and a process takes a while. */
export function moduleGraph(module: ProviderModuleSubject): Promise<ModuleGraph> {
  const id = JSON.stringify(module);
  const graph = graphs.get(id) ?? gather(module);
  graphs.set(id, graph);
  return graph;
}

async function gather(module: ProviderModuleSubject): Promise<ModuleGraph> {
  // The options of this process, a debugger's or a test runner's, would load modules of theirs.
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script(module)], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: TIMEOUT_MS,
  });
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const line = output.split("\n").find((each) => each.startsWith(MARK));
  assert.ok(line !== undefined, `Importing ${module.url} failed:\n${errors}${output}`);
  return JSON.parse(line.slice(MARK.length)) as ModuleGraph;
}

function script({ url, firstCall }: ProviderModuleSubject): string {
  return `
    import { registerHooks } from "node:module";
    const seen = new Set();
    registerHooks({
      resolve(specifier, context, next) {
        const resolved = next(specifier, context);
        seen.add(resolved.url);
        return resolved;
      },
    });
    const provider = await import(${JSON.stringify(url)});
    const atImport = [...seen];
    const call = async (provider) => { ${firstCall}\n };
    const outcome = await call(provider).then(() => "success", (error) => String(error));
    const graph = JSON.stringify({ atImport, afterCall: [...seen], outcome });
    process.stdout.write("\\n" + ${JSON.stringify(MARK)} + graph + "\\n", () => process.exit());
  `;
}
