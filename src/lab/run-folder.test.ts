import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { RunFolder, sweepStaleFolders } from "./run-folder.ts";

const moduleUrl = new URL("./run-folder.ts", import.meta.url).href;

/** A process that makes a run's folder, says where, and then ends as told. */
async function other(ending: string) {
  const script = `
    const { RunFolder } = await import(${JSON.stringify(moduleUrl)});
    console.log(new RunFolder().path);
    ${ending}
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await once(child.stdout, "data");
  return { child, path: String(line).trim() };
}

test("a folder goes with its run", () => {
  const folder = new RunFolder();
  assert.ok(existsSync(folder.path));
  folder[Symbol.dispose]();
  assert.equal(existsSync(folder.path), false);
});

test("a folder goes with its process", async () => {
  const { child, path } = await other("process.exit(0);");
  if (child.exitCode === null) await once(child, "exit");
  assert.equal(existsSync(path), false);
});

test("the folder of a killed run is swept, that of a living one is let be", async () => {
  using mine = new RunFolder();
  const { child, path } = await other("setInterval(() => {}, 1000);");
  await sweepStaleFolders();
  assert.ok(existsSync(path));
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.ok(existsSync(path));
  await sweepStaleFolders();
  assert.equal(existsSync(path), false);
  assert.ok(existsSync(mine.path));
});
