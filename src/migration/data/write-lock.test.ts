import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { WriteLock } from "./write-lock.ts";

test("work of several threads under one lock never mixes", async () => {
  const lock = new WriteLock();
  const shared = new SharedArrayBuffer(8);
  const rounds = 20_000;
  const done = [0, 1, 2].map(
    () =>
      new Promise<void>((resolve, reject) => {
        const worker = new Worker(
          `const { workerData } = require("node:worker_threads");
           (async () => {
             const { WriteLock } = await import(workerData.module);
             const lock = new WriteLock(workerData.lock);
             const words = new Int32Array(workerData.shared);
             for (let round = 0; round < workerData.rounds; round++) {
               lock.run(() => { const before = words[0]; words[1] = round; words[0] = before + 1; });
             }
           })();`,
          {
            eval: true,
            workerData: {
              lock: lock.buffer,
              shared,
              rounds,
              module: new URL("./write-lock.ts", import.meta.url).href,
            },
          },
        );
        worker.once("error", reject);
        worker.once("exit", () => resolve());
      }),
  );
  await Promise.all(done);
  assert.equal(new Int32Array(shared)[0], 3 * rounds);
});

test("a lock is free again after its work threw", () => {
  const lock = new WriteLock();
  assert.throws(() =>
    lock.run(() => {
      throw new Error("no");
    }),
  );
  assert.equal(
    lock.run(() => 1),
    1,
  );
});
