import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

/** Prints what a module loads out of packages. Without its input a thread fails, but only when all is loaded. */
const PROGRAM = `
  const packages = [];
  require("node:module").registerHooks({
    load(url, context, next) {
      if (url.includes("node_modules")) packages.push(url);
      return next(url, context);
    },
  });
  const end = () => { process.stdout.write(JSON.stringify(packages)); process.exit(0); };
  import(process.argv[1]).then(end, end);
`;

const scripts = readdirSync(import.meta.dirname).filter((name) => /-(process|thread)\.ts$/.test(name));

for (const script of scripts) {
  test(`${script} loads no package when it starts: every migration waits for it`, () => {
    const loaded = spawnSync(process.execPath, ["-e", PROGRAM, join(import.meta.dirname, script)], {
      encoding: "utf8",
    });
    assert.deepEqual(JSON.parse(loaded.stdout), [], loaded.stderr);
  });
}
