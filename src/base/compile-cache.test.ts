import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { COMPILE_AHEAD } from "./compile-cache.ts";

const FUNCTIONS = 500;

test("a module is compiled whole when it is loaded, by the flags and by the call, and not before without them", () => {
  const folder = mkdtempSync(join(tmpdir(), "godwit-compile-"));
  try {
    const functions = Array.from({ length: FUNCTIONS }, (_, index) => {
      return `export function unused${index}(value) { return value.map((one) => one * ${index} + value.length); }`;
    });
    writeFileSync(join(folder, "module.mjs"), functions.join("\n"));
    const grown = (flags: readonly string[], ahead: string) => {
      const script = join(folder, "main.mjs");
      writeFileSync(
        script,
        `import { getHeapCodeStatistics } from "node:v8";
        import { compileAhead } from ${JSON.stringify(join(import.meta.dirname, "compile-cache.ts"))};
        ${ahead}
        const before = getHeapCodeStatistics().bytecode_and_metadata_size;
        await import("./module.mjs");
        console.log(getHeapCodeStatistics().bytecode_and_metadata_size - before);`,
      );
      const env = { ...process.env, NODE_DISABLE_COMPILE_CACHE: "1" };
      return Number(execFileSync(process.execPath, [...flags, script], { encoding: "utf8", env }));
    };
    const lazyBytes = grown([], "");
    for (const bytes of [grown(COMPILE_AHEAD, ""), grown([], "compileAhead();")]) {
      assert.ok(bytes > lazyBytes + 20 * FUNCTIONS, `${bytes} bytes, ${lazyBytes} lazily`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
