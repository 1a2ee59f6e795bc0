import { enableCompileCache, flushCompileCache } from "node:module";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";

/**
 * Has V8 compile each module whole, and forget nothing of it. By itself it compiles a function when it is first called,
 * which for much of what a migration does is while the guest stands still, and throws away what was not called lately.
 */
export const COMPILE_AHEAD = ["--no-lazy", "--no-flush-bytecode"] as const;

/**
 * Has Node keep what it compiles, for modules that this process loads from now on and for the processes it starts:
 * types are then erased once and not at each start, which takes a data process and its threads a second.
 *
 * Not in the system's temporary folder, where others could put code for us to run.
 */
export function useCompileCache(): void {
  const cache = fileURLToPath(new URL("../../node_modules/.cache/compile", import.meta.url));
  enableCompileCache(process.env.NODE_COMPILE_CACHE ?? cache);
  process.env.NODE_COMPILE_CACHE ??= cache;
}

/** {@link COMPILE_AHEAD} for the modules that this process loads from now on. Before {@link useCompileCache}. */
export function compileAhead(): void {
  for (const flag of COMPILE_AHEAD) setFlagsFromString(flag);
}

/** Keeps what this thread has compiled so far: by itself Node does so at a process's end, which one by force is not. */
export function keepCompiled(): void {
  flushCompileCache();
}
