import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { test } from "node:test";
import { endAll, leftBehind, RUN_MARK } from "./left-behind.ts";

function start(mark: string): Promise<number> {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)", "stray"], {
    detached: true,
    stdio: "ignore",
    env: { ...process.env, [RUN_MARK]: mark },
  });
  return once(child, "spawn").then(() => child.pid!);
}

test("what a run started is found by its mark and ended, and nothing else", async () => {
  const [mark, other] = [randomUUID(), randomUUID()];
  const [pid, otherPid] = [await start(mark), await start(other)];

  const found = await leftBehind(mark, 0);
  assert.deepEqual(
    found.map((process) => process.pid),
    [pid],
  );
  assert.match(found[0]!.command, /stray$/);
  endAll(found);
  assert.deepEqual(await leftBehind(mark), []);
  endAll(found);

  const others = await leftBehind(other, 0);
  assert.deepEqual(
    others.map((process) => process.pid),
    [otherPid],
  );
  endAll(others);
});
