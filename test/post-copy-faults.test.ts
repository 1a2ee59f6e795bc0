import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { qemuVersions } from "../src/lab/toolchain.ts";
import type { MigrationReport } from "../src/migration/report.ts";
import type { MigrationSettingsInput } from "../src/migration/settings.ts";
import { at } from "./support/busy-pair.ts";
import { assertWhole, guestMachine, loadGuest } from "./support/guest.ts";
import { Pair } from "./support/pair.ts";

const MIB = 1024 ** 2;

/** What the guest holds can't be made smaller, so that the cap is what limits: push takes seconds. */
const SATURATED: MigrationSettingsInput = {
  strategy: "post-copy",
  compression: "none",
  resumeSet: [],
  bandwidthBytesPerSecond: 20e6,
};
const HELD = { holdBytes: 96 * MIB, content: "random", hotBytes: 0, dirtyBytesPerSecond: 0 } as const;

/** Moves a guest that reads what it holds from one end to the other so fast, and returns what came of it. */
async function moved(readBytesPerSecond: number): Promise<Postcopy> {
  const [version] = qemuVersions();
  await using pair = await Pair.open(version!);
  const machine = await pair.start(pair.a, guestMachine());
  await loadGuest(machine, { ...HELD, readBytesPerSecond });
  const result = pair.b.nextResult();
  const report = await pair.migration(machine, pair.a, pair.b, SATURATED).run();
  assert.equal(report.outcome, "completed", JSON.stringify(report.error));
  await assertWhole((await result).machine!);
  assert.ok(report.postcopy !== null, "the guest resumed before its pages were there");
  assert.ok(report.postcopy.owedPages > HELD.holdBytes / 4096 / 2, "most pages came after the resume");
  return report.postcopy;
}

type Postcopy = NonNullable<MigrationReport["postcopy"]>;

test("the memory of an idle guest comes unasked", async () => {
  const { owedPages, pushedPages, faults } = await moved(0);
  assert.ok(pushedPages > owedPages * 0.9, `${pushedPages} of ${owedPages} pages were pushed`);
  assert.ok(faults < owedPages * 0.02, `${faults} of ${owedPages} pages were asked for`);
});

test("what a guest asks for does not wait behind what is pushed over a saturated link", async () => {
  const { faults, p50Us, remainderMs } = await moved(100e6);
  assert.ok(faults > 100, `${faults} faults: the reader was hardly ahead of push, and the test means little`);
  // Behind all that is pushed a fault would wait for half of the remainder, behind what is under way for some batches.
  assert.ok(p50Us < (remainderMs * 1000) / 300, `${p50Us} µs of ${remainderMs} ms`);
});

test("what continues the guest may touch any page, though all that was owed has come", async () => {
  const [version] = qemuVersions();
  await using pair = await Pair.open(version!);
  const machine = await pair.start(pair.a, guestMachine());
  await loadGuest(machine, { ...HELD, holdBytes: 16 * MIB });
  const result = pair.b.nextResult();
  const migration = pair.migration(machine, pair.a, pair.b, { strategy: "post-copy" });
  at(migration, "switchover", () => {
    const { qmp } = pair.lastStarted();
    const execute = qmp.execute.bind(qmp);
    // Reading all of it takes longer than push, and most of it is zero.
    const filename = join(pair.folder, "memory");
    qmp.execute = (async (command: "cont", ...more: []) => {
      if (command === "cont") await execute("pmemsave", { val: 0, size: 256 * MIB, filename });
      return execute(command, ...more);
    }) as typeof qmp.execute;
  });
  const run = migration.run();
  const { machine: arrived, error } = await result;
  // A destination that gave up leaves the source asking.
  if (error !== null) migration.stopAsking();
  const report = await run;
  assert.equal(report.outcome, "completed", JSON.stringify(report.error ?? error));
  assert.ok(report.postcopy!.faults > 0);
  await assertWhole(arrived!);
});
