import assert from "node:assert/strict";
import { test } from "node:test";
import { GodwitError } from "../../base/errors.ts";
import type { SourceRun } from "./run.ts";
import { switchover } from "./switchover.ts";

/** A run whose guest stands still and whose destination has prepared all; only the end of QEMU's stream is to come. */
function preparedRun(): { run: SourceRun; sent: string[]; stream: PromiseWithResolvers<void> } {
  const sent: string[] = [];
  const stream = Promise.withResolvers<void>();
  const prepared = { type: "prepared", pagesCompleteAtEpochMs: 3, loadedAtEpochMs: 4, rebuildMs: 0 };
  const run = {
    phases: { enter: () => {} },
    options: { migrationId: "m-1" },
    signal: new AbortController().signal,
    moments: { stoppedMs: 1 },
    opaque: null,
    opaqueCaptured: null,
    postcopy: null,
    qemu: { completed: async () => {} },
    link: { send: async ({ type }: { type: string }) => sent.push(type), receive: async () => prepared },
    carrier: {
      send: () => {},
      deviceState: async () => ({ bytes: new Uint8Array(5), atEpochMs: 2 }),
      pagesComplete: async () => [],
      streamEnded: () => stream.promise,
    },
  };
  return { run: run as unknown as SourceRun, sent, stream };
}

test("a destination that is prepared is not enough: QEMU's stream must have ended, and been what was told of it", async () => {
  const { run, sent, stream } = preparedRun();
  let isOver = false;
  const over = switchover(run).then(() => {
    isOver = true;
  });
  await new Promise(setImmediate);
  assert.deepEqual(sent, ["source-stopped", "device-state", "pages-complete"]);
  assert.equal(isOver, false);
  stream.resolve();
  await over;
  assert.equal(run.moments.loadedMs, 4);
});

test("a stream that was not what was told of it leads back to the source", async () => {
  const { run, stream } = preparedRun();
  stream.reject(new GodwitError("GODWIT_STREAM_BAD_DEVICES", "another device state"));
  await assert.rejects(switchover(run), { code: "GODWIT_STREAM_BAD_DEVICES" });
});
