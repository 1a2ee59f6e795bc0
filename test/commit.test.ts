import assert from "node:assert/strict";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { qemuVersions } from "../src/lab/toolchain.ts";
import { Journal } from "../src/migration/journal.ts";
import type { RunningMachine } from "../src/qemu/running-machine.ts";
import { startMachine } from "../src/qemu/start.ts";
import { assertWhole, BUSY, guestMachine, loadGuest, speakWith } from "./support/guest.ts";
import { Pair } from "./support/pair.ts";

const [newest] = qemuVersions();

/** A raw image of 64 MiB on a path that both hosts share. */
function sharedImage(pair: Pair): string {
  const path = join(pair.folder, "shared.img");
  writeFileSync(path, "");
  truncateSync(path, 64 * 1024 ** 2);
  return path;
}

/** The disk as YAML; `cache: writeback` since the image may lie where there is no direct access. */
const diskOf = (path: string) => `disks: [{path: ${path}, format: raw, cache: writeback, serial: shared}]\n`;

/** The guest finds every record that it wrote, more than before. @returns how many */
async function assertDiskWhole(machine: RunningMachine, before: number): Promise<number> {
  using guest = await speakWith(machine);
  const verdict = await guest.verifyDisk();
  assert.equal(verdict.bad, 0, JSON.stringify(verdict));
  assert.ok(verdict.records > before, "the guest goes on writing at its new place");
  return verdict.records;
}

for (const version of qemuVersions()) {
  test(`QEMU ${version}: a guest that writes to a shared disk moves there and back and finds every record`, async () => {
    await using pair = await Pair.open(version);
    const image = sharedImage(pair);
    let machine = await pair.start(pair.a, guestMachine(version, diskOf(image)));
    await loadGuest(machine, BUSY);
    {
      using guest = await speakWith(machine);
      await guest.openDisk("/dev/vda", 1e6);
    }
    let records = 0;
    for (const [from, to] of [
      [pair.a, pair.b],
      [pair.b, pair.a],
    ] as const) {
      const result = to.nextResult();
      const report = await pair.migration(machine, from, to).run();
      assert.equal(report.outcome, "completed", JSON.stringify(report.error));
      machine = (await result).machine!;
      records = await assertDiskWhole(machine, records);
      await assertWhole(machine);
    }
  });

  test(`QEMU ${version}: whoever continues first has the disk, and a destination that can't have it refuses`, async () => {
    await using pair = await Pair.open(version);
    const image = sharedImage(pair);
    const disk = diskOf(image);
    const machine = await pair.start(pair.a, guestMachine(version, disk));
    await loadGuest(machine, BUSY);
    const migration = pair.migration(machine, pair.a, pair.b);
    // A third QEMU takes the image in the moment in which it is nobody's: after the destination has loaded.
    const result = pair.b.nextResult();
    pair.b.onIncoming = (_incoming, channel) => {
      const send = channel.send.bind(channel);
      channel.send = async (message) => {
        if (message.type === "prepared") {
          const thief = guestMachine(version, disk, "thief");
          pair.keep(await startMachine(thief, { stateFolder: pair.a.stateOf("thief"), qemu: pair.binary }));
        }
        return send(message);
      };
    };
    const report = await migration.run();
    assert.equal(report.outcome, "failed");
    assert.equal(report.error?.side, "destination", JSON.stringify(report.error));
    assert.match(report.error?.message ?? "", /lock/);
    assert.equal((await result).outcome, "abandoned");
    assert.match(report.error?.vmState ?? "", /rolling back failed too.*lock/, "the thief has the disk");
    await pair.lastStarted().kill();
    await machine.qmp.execute("cont");
    await assertWhole(machine);
  });
}

test("a link that breaks between Commit and its answer leaves one copy, and the source learns which", async () => {
  await using pair = await Pair.open(newest!);
  const machine = await pair.start(pair.a, guestMachine(newest!));
  await loadGuest(machine, BUSY);
  const migration = pair.migration(machine, pair.a, pair.b);
  const phases: string[] = [];
  migration.onEvent((event) => event.type === "phase" && phases.push(event.phase));
  pair.b.onIncoming = (incoming, channel) => {
    incoming.onEvent((event) => {
      if (event.type === "phase" && event.phase === "completed") void channel.close();
    });
    pair.b.onIncoming = () => {};
  };
  const result = pair.b.nextResult();
  const report = await migration.run();
  assert.equal(report.outcome, "completed", JSON.stringify(report.error));
  assert.ok(phases.includes("paused"), "the source was in doubt for a while");
  assert.equal(machine.runs, false);
  const { machine: arrived } = await result;
  await assertWhole(arrived!);
  assert.equal(pair.runningMachines(), 1);
});

test("a link that breaks before Commit arrives leaves the guest at the source", async () => {
  await using pair = await Pair.open(newest!);
  const machine = await pair.start(pair.a, guestMachine(newest!));
  await loadGuest(machine, BUSY);
  pair.b.onIncoming = (_incoming, channel) => {
    const receive = channel.receive.bind(channel);
    channel.receive = ((types: string, options: object) => {
      if (types === "commit") void channel.close();
      return receive(types as "commit", options);
    }) as typeof channel.receive;
    pair.b.onIncoming = () => {};
  };
  const result = pair.b.nextResult();
  const migration = pair.migration(machine, pair.a, pair.b);
  const report = await migration.run();
  assert.equal(report.outcome, "failed", JSON.stringify(report.error));
  assert.equal(report.error?.vmState, "running at the source");
  assert.equal((await result).outcome, "abandoned");
  await assertWhole(machine);
  assert.equal(pair.runningMachines(), 1);
  assert.equal(Journal.read(join(pair.a.folder, report.migrationId)).state, "rolled-back");
  assert.equal(Journal.read(join(pair.b.folder, report.migrationId)).state, "abandoned");
});

test("a doubt about a destination that never answers again ends by an operator's word", async () => {
  await using pair = await Pair.open(newest!);
  const machine = await pair.start(pair.a, guestMachine(newest!));
  await loadGuest(machine, BUSY);
  for (const owner of ["here", "there"] as const) {
    pair.b.onIncoming = (incoming, channel) => {
      const lost = () => {
        void channel.close();
        void pair.b.close();
      };
      incoming.onEvent((event) => {
        if (owner === "there" && event.type === "phase" && event.phase === "completed") lost();
      });
      const receive = channel.receive.bind(channel);
      channel.receive = (async (types: string, options: object) => {
        if (owner === "here" && types === "commit") {
          // Once it is here, the source has sent it and is in doubt about it; here it is lost.
          await receive("commit", options);
          lost();
        }
        return receive(types as "commit", options);
      }) as typeof channel.receive;
    };
    const result = pair.b.nextResult();
    const migration = pair.migration(machine, pair.a, pair.b);
    migration.onEvent((event) => {
      if (event.type !== "phase") return;
      if (event.phase === "paused") migration.decide(owner);
      else assert.throws(() => migration.decide(owner), { code: "GODWIT_NOT_IN_DOUBT" });
    });
    const report = await migration.run();
    const { machine: arrived } = await result;
    assert.equal(report.outcome, owner === "here" ? "failed" : "completed", JSON.stringify(report.error));
    await assertWhole(owner === "here" ? machine : arrived!);
    assert.equal(machine.runs, owner === "here");
    assert.equal(pair.runningMachines(), 1);
    const { entries } = Journal.read(join(pair.a.folder, report.migrationId));
    const end = owner === "here" ? ["refused", "rolled-back"] : ["handed-over", "released"];
    assert.deepEqual(entries.map(({ state }) => state).slice(-2), end);
    if (owner === "here") await pair.b.listen();
  }
});
