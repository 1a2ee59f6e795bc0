import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { qemuVersions } from "../src/lab/toolchain.ts";
import type { MigrationReport } from "../src/migration/report.ts";
import type { RunningMachine } from "../src/qemu/running-machine.ts";
import {
  assertBearsKilledDestination,
  assertMoves,
  assertUnharmed,
  at,
  busyPair,
} from "./support/busy-pair.ts";
import { speakWith } from "./support/guest.ts";
import type { Pair } from "./support/pair.ts";

/** What every failure before the commit must say. */
function assertSaid(report: MigrationReport, code: string, side: "source" | "destination"): void {
  assert.equal(report.outcome, "failed");
  assert.equal(report.error?.code, code, JSON.stringify(report.error));
  assert.equal(report.error.side, side);
  assert.equal(report.error.vmState, "running at the source");
  assert.ok(report.error.phase !== undefined && report.error.advice !== undefined);
}

const [newest] = qemuVersions();

for (const version of qemuVersions()) {
  // One guest bears all of it: each attempt is the retry of the one before, and the last one must succeed.
  test(`QEMU ${version}: whatever fails before the commit leaves the guest at the source, and a retry works`, async (t) => {
    const { pair, machine } = await busyPair(version);
    await using _ = pair;
    for (const phase of ["live", "switchover"] as const) {
      await t.test(`the destination's QEMU is killed in ${phase}`, async () => {
        await assertBearsKilledDestination(pair, machine, phase);
      });
    }
    if (version === newest) await failuresOfOurs(t, pair, machine);
    await t.test(
      "a retry works, and a migration that has completed can't be cancelled any more",
      async () => {
        const migration = pair.migration(machine, pair.a, pair.b);
        await assertMoves(pair, migration);
        assert.equal(await migration.cancel("too late"), "too-late");
      },
    );
  });
}

/** What does not depend on QEMU's version. */
async function failuresOfOurs(t: TestContext, pair: Pair, machine: RunningMachine): Promise<void> {
  await t.test("a destination that never listens leaves the guest where it is", async () => {
    const port = pair.b.port;
    await pair.b.close();
    const report = await pair.migration(machine, pair.a, { name: pair.b.name, port }).run();
    assertSaid(report, "GODWIT_CONNECT_REFUSED", "source");
    await pair.b.listen();
    await assertUnharmed(pair, machine);
  });

  for (const phase of ["setup", "live", "switchover"] as const) {
    await t.test(`a migration cancelled in ${phase} leaves the guest running at the source`, async () => {
      const migration = pair.migration(machine, pair.a, pair.b);
      let answer: Promise<string> | null = null;
      at(migration, phase, () => {
        answer = migration.cancel("changed my mind");
      });
      const result = pair.b.nextResult();
      const report = await migration.run();
      assert.equal(await answer, "cancelled");
      assert.equal(report.outcome, "cancelled");
      assert.equal(report.error?.code, "GODWIT_CANCELLED");
      await result;
      await assertUnharmed(pair, machine);
    });
  }

  await t.test(
    "a migration cancelled at once after its start leaves the guest running at the source",
    async () => {
      const migration = pair.migration(machine, pair.a, pair.b);
      const running = migration.run();
      assert.equal(await migration.cancel("changed my mind"), "cancelled");
      assert.equal((await running).outcome, "cancelled");
      await assertUnharmed(pair, machine);
    },
  );

  for (const script of ["source-process", "destination-process"]) {
    await t.test(`a ${script} killed in live leaves the guest running at the source`, async () => {
      const migration = pair.migration(machine, pair.a, pair.b, { bandwidthBytesPerSecond: 1e6 });
      at(migration, "live", () => killChild(script));
      const result = pair.b.nextResult();
      const report = await migration.run();
      assert.equal(report.outcome, "failed");
      assert.equal(report.error?.vmState, "running at the source");
      await result;
      await assertUnharmed(pair, machine);
    });
  }
}

test("a guest that powers off meanwhile ends the migration, and nothing runs anywhere", async () => {
  const { pair, machine } = await busyPair(newest!);
  await using _ = pair;
  const migration = pair.migration(machine, pair.a, pair.b, { bandwidthBytesPerSecond: 1e6 });
  using guest = await speakWith(machine);
  at(migration, "live", () => void guest.powerOff().catch(() => {}));
  const result = pair.b.nextResult();
  const report = await migration.run();
  assert.equal(report.outcome, "failed");
  assert.equal(report.error?.code, "GODWIT_GUEST_POWERED_OFF");
  assert.match(report.error?.vmState ?? "", /powered off/);
  assert.equal((await result).outcome, "abandoned");
  assert.equal(pair.runningMachines(), 0);
});

test("a guest that reboots meanwhile arrives and comes up at the destination", async () => {
  const { pair, machine } = await busyPair(newest!);
  await using _ = pair;
  const migration = pair.migration(machine, pair.a, pair.b);
  using guest = await speakWith(machine);
  at(migration, "live", () => void guest.reboot().catch(() => {}));
  const result = pair.b.nextResult();
  assert.equal((await migration.run()).outcome, "completed");
  const { machine: arrived } = await result;
  using there = await speakWith(arrived!);
  await there.ping();
});

test("the source's QEMU killed in live: the destination does not start", async () => {
  const { pair, machine } = await busyPair(newest!);
  await using _ = pair;
  const migration = pair.migration(machine, pair.a, pair.b, { bandwidthBytesPerSecond: 1e6 });
  at(migration, "live", () => void machine.kill());
  const result = pair.b.nextResult();
  const report = await migration.run();
  assert.equal(report.error?.code, "GODWIT_QEMU_GONE");
  assert.equal((await result).outcome, "abandoned");
  assert.equal(pair.runningMachines(), 0);
});

/** Kills the child of this process that runs a script. */
function killChild(script: string): void {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    if (commandOf(pid).includes(script) && parentOf(pid) === process.pid)
      process.kill(Number(pid), "SIGKILL");
  }
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

function parentOf(pid: string): number {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  } catch {
    return -1;
  }
}
