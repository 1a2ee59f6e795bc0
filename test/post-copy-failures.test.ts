import assert from "node:assert/strict";
import { test } from "node:test";
import { LinkSimulator } from "../src/lab/link-simulator.ts";
import { qemuVersions } from "../src/lab/toolchain.ts";
import type { MigrationSettingsInput } from "../src/migration/settings.ts";
import {
  assertBearsKilledDestination,
  assertMoves,
  assertUnharmed,
  at,
  busyPair,
} from "./support/busy-pair.ts";

/** The far end of the simulated link: an address of the loopback device that nobody else uses. */
const SIMULATED = "127.83.71.3";
const BULK_PORTS = [17_492, 17_494] as const;

/** So slow that a remainder is still under way when something happens to it. */
const SLOW: MigrationSettingsInput = { strategy: "post-copy", bandwidthBytesPerSecond: 5e6 };

const [newest] = qemuVersions();

for (const version of qemuVersions()) {
  // One guest bears all of it: each attempt is the retry of the one before, and the last one must succeed.
  test(`QEMU ${version}: a post-copy that fails before its commit leaves the guest at the source, and a retry works`, async (t) => {
    const { pair, machine } = await busyPair(version);
    await using _ = pair;

    await t.test("the destination's QEMU is killed in the switchover of a hybrid", async () => {
      await assertBearsKilledDestination(pair, machine, "switchover", { strategy: "hybrid" });
    });

    if (version !== newest) {
      await t.test("a retry works", async () => {
        await assertMoves(pair, pair.migration(machine, pair.a, pair.b, { strategy: "hybrid" }));
      });
      return;
    }

    await t.test(
      "a post-copy cancelled in its switchover leaves the guest running at the source",
      async () => {
        const migration = pair.migration(machine, pair.a, pair.b, { strategy: "post-copy" });
        let answer: Promise<string> | null = null;
        at(migration, "switchover", () => {
          answer = migration.cancel("changed my mind");
        });
        const result = pair.b.nextResult();
        const report = await migration.run();
        assert.equal(await answer, "cancelled");
        assert.equal(report.outcome, "cancelled", JSON.stringify(report.error));
        await result;
        await assertUnharmed(pair, machine);
      },
    );

    await t.test("a post-copy can't be cancelled in its remainder and completes", async () => {
      const migration = pair.migration(machine, pair.a, pair.b, SLOW);
      let answer: Promise<string> | null = null;
      at(migration, "remainder", () => {
        answer = migration.cancel("changed my mind");
      });
      await assertMoves(pair, migration);
      assert.equal(await answer, "too-late");
    });
  });
}

test("a link cut in the remainder pauses the guest at the destination, and both QEMUs keep what they have", async () => {
  const { pair, machine } = await busyPair(newest!, SIMULATED);
  await using _ = pair;
  const through = (port: number) => ({
    ...{ listenHost: SIMULATED, listenPort: port, targetHost: "127.0.0.1", targetPort: port },
  });
  const ports = [BULK_PORTS[0], BULK_PORTS[0] + 1, BULK_PORTS[1]];
  await using link = await LinkSimulator.start([pair.b.port, ...ports].map(through));
  const migration = pair.migration(machine, pair.a, pair.b, SLOW, {
    destination: { host: SIMULATED, port: pair.b.port, name: "beta" },
    bulkListen: { host: "127.0.0.1", ports: BULK_PORTS },
    lostAfterMs: 2_000,
  });
  at(migration, "remainder", () => link.cut("reset"));
  const result = pair.b.nextResult();
  const report = await migration.run();
  assert.equal(report.outcome, "paused", JSON.stringify(report.error));
  assert.equal(report.error?.phase, "remainder");
  assert.match(report.error?.vmState ?? "", /waits at the destination/);
  assert.match(report.error?.advice ?? "", /keep both QEMUs/);
  assert.equal(report.sourceEnded, false);
  assert.ok(machine.runs, "the source's QEMU has the pages");
  assert.equal((await machine.qmp.execute("query-status")).running, false, "and its guest stays stopped");
  const { outcome, machine: arrived, error } = await result;
  assert.equal(outcome, "running");
  assert.ok(error !== null);
  assert.ok(arrived?.runs, "the destination's QEMU waits");
});
