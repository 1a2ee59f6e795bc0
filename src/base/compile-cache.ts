import { enableCompileCache, flushCompileCache } from "node:module";
import { fileURLToPath } from "node:url";

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

/** Keeps what this thread has compiled so far: by itself Node does so at a process's end, which one by force is not. */
export function keepCompiled(): void {
  flushCompileCache();
}
