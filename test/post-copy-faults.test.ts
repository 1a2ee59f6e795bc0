import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { qemuVersions } from "../src/lab/toolchain.ts";
import type { MigrationReport } from "../src/migration/report.ts";
import type { MigrationSettingsInput } from "../src/migration/settings.ts";
import type { SourceMigration } from "../src/migration/source.ts";
import type { RunningMachine } from "../src/qemu/running-machine.ts";
import { at } from "./support/busy-pair.ts";
import { assertWhole, guestMachine, loadGuest, speakWith } from "./support/guest.ts";
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

type Postcopy = NonNullable<MigrationReport["postcopy"]>;

/** A guest that goes from one host to the other and back again. */
class Traveller {
  readonly pair: Pair;
  machine: RunningMachine;

  constructor(pair: Pair, machine: RunningMachine) {
    this.pair = pair;
    this.machine = machine;
  }

  /** Moves it, and returns what came of it. */
  async move(
    settings: MigrationSettingsInput,
    begin: (run: SourceMigration) => void = () => {},
  ): Promise<Postcopy> {
    const { a, b } = this.pair;
    const [from, to] = this.machine.folder.startsWith(a.folder) ? [a, b] : [b, a];
    const result = to.nextResult();
    const migration = this.pair.migration(this.machine, from, to, settings);
    begin(migration);
    const run = migration.run();
    const { machine, error } = await result;
    // A destination that gave up leaves the source asking.
    if (error !== null) migration.stopAsking();
    const report = await run;
    assert.equal(report.outcome, "completed", JSON.stringify(report.error ?? error));
    this.machine = machine!;
    await assertWhole(machine!);
    assert.ok(report.postcopy !== null, "the guest resumed before its pages were there");
    return report.postcopy;
  }
}

test("a guest that resumed lacks most of its pages", async (t) => {
  const [version] = qemuVersions();
  await using pair = await Pair.open(version!);
  const traveller = new Traveller(pair, await pair.start(pair.a, guestMachine(version!)));
  await loadGuest(traveller.machine, HELD);

  await t.test("the memory of an idle guest comes unasked", async () => {
    const { owedPages, pushedPages, bubblePages, faults } = await traveller.move(SATURATED);
    assert.ok(owedPages > HELD.holdBytes / 4096 / 2, "most pages came after the resume");
    // Even an idle guest asks for some, and each of these brings its neighbourhood.
    const unasked = pushedPages + bubblePages;
    assert.ok(unasked > owedPages * 0.9, `${unasked} of ${owedPages} pages came unasked`);
    assert.ok(pushedPages > owedPages / 2, `${pushedPages} of ${owedPages} pages were pushed`);
    assert.ok(faults < owedPages * 0.02, `${faults} of ${owedPages} pages were asked for`);
  });

  await t.test(
    "what a guest asks for does not wait behind what is pushed over a saturated link",
    async () => {
      {
        using guest = await speakWith(traveller.machine);
        await guest.set({ readBytesPerSecond: 100e6 });
      }
      const decisions: string[] = [];
      const { faults, p50Us, remainderMs } = await traveller.move(
        { ...SATURATED, compression: "auto" },
        (migration) =>
          migration.onEvent((event) => {
            if (event.type === "decision") decisions.push(event.what);
          }),
      );
      assert.ok(
        faults > 100,
        `${faults} faults: the reader was hardly ahead of push, and the test means little`,
      );
      // Behind all that is pushed a fault would wait for half of the remainder, behind what is under way for some batches.
      assert.ok(p50Us < (remainderMs * 1000) / 300, `${p50Us} µs of ${remainderMs} ms`);
      assert.ok(decisions.includes("push pages uncompressed where that is faster"), decisions.join("; "));
    },
  );

  await t.test("what continues the guest may touch any page, though all that was owed has come", async () => {
    await loadGuest(traveller.machine, { ...HELD, holdBytes: 16 * MIB });
    // Reading all of it takes longer than push, and most of it is zero.
    const filename = join(pair.folder, "memory");
    const { faults } = await traveller.move({ strategy: "post-copy" }, (migration) =>
      at(migration, "switchover", () => {
        const { qmp } = pair.lastStarted();
        const execute = qmp.execute.bind(qmp);
        qmp.execute = (async (command: "cont", ...more: []) => {
          if (command === "cont") await execute("pmemsave", { val: 0, size: 256 * MIB, filename });
          return execute(command, ...more);
        }) as typeof qmp.execute;
      }),
    );
    assert.ok(faults > 0);
  });
});
