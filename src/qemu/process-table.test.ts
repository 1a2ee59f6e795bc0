import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { identifyProcess, processArguments, processRuns, signalProcess } from "./process-table.ts";

test("a process is known by its start, not by its pid alone", async () => {
  const child = spawn("sleep", ["60"]);
  assert.ok(child.pid);
  const identity = identifyProcess(child.pid);
  assert.ok(identity);
  assert.equal(processRuns(identity), true);
  assert.equal(processRuns({ ...identity, startTicks: identity.startTicks - 1 }), false);
  assert.equal(processRuns({ ...identity, bootId: "another boot" }), false);
  assert.deepEqual(processArguments(child.pid).at(-1), "60");
  assert.equal(signalProcess({ ...identity, startTicks: 1 }, "SIGKILL"), false);
  assert.equal(signalProcess(identity, "SIGKILL"), true);
  await once(child, "exit");
  assert.equal(processRuns(identity), false);
  assert.equal(signalProcess(identity, "SIGKILL"), false);
  assert.deepEqual(processArguments(child.pid), []);
});

test("a process that ended but whose parent has not asked for its status does not run", async () => {
  const script = "sleep 0 & echo $!; exec sleep 60";
  const parent = spawn("sh", ["-c", script], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(parent.stdout, "data");
  const zombie = Number(line);
  while (identifyProcess(zombie) !== null) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(existsSync(`/proc/${zombie}/stat`), true);
  parent.kill("SIGKILL");
  await once(parent, "exit");
});

test("there is no process where nothing runs", () => {
  assert.equal(identifyProcess(2 ** 22 + 1), null);
});
