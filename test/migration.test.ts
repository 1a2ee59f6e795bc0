import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { qemuVersions } from "../src/lab/toolchain.ts";
import type { MigrationEvent } from "../src/migration/events.ts";
import type { MigrationReport } from "../src/migration/report.ts";
import type { MigrationSettingsInput } from "../src/migration/settings.ts";
import { GuestMemory } from "../src/qemu/guest-memory.ts";
import { surveyMemory } from "../src/qemu/memory-layout.ts";
import type { RunningMachine } from "../src/qemu/running-machine.ts";
import { assertWhole, BUSY, guestMachine, loadGuest } from "./support/guest.ts";
import { type Host, Pair } from "./support/pair.ts";

/** Moves a machine and expects that all goes well. */
async function move(
  pair: Pair,
  machine: RunningMachine,
  from: Host,
  to: Host,
  settings: MigrationSettingsInput = {},
): Promise<{ arrived: RunningMachine; report: MigrationReport; events: MigrationEvent[] }> {
  const migration = pair.migration(machine, from, to, settings);
  const events: MigrationEvent[] = [];
  migration.onEvent((event) => events.push(event));
  const result = to.nextResult();
  const report = await migration.run();
  assert.equal(report.outcome, "completed", JSON.stringify(report.error));
  const { machine: arrived } = await result;
  assert.ok(arrived !== null);
  return { arrived, report, events };
}

/** A digest of each MiB of a stopped machine's RAM. */
async function imageOf(machine: RunningMachine): Promise<string[]> {
  const { sources } = await surveyMemory(machine);
  const main = sources.find(({ block }) => block === "pc.ram")!;
  const memory = new GuestMemory([main]);
  const content = Buffer.alloc(2 ** 20);
  const image: string[] = [];
  for (let page = 0; page < main.usedBytes / 4096; page += 256) {
    const bytes = memory.read(0, page, Math.min(256, main.usedBytes / 4096 - page), content, 0);
    image.push(createHash("sha1").update(content.subarray(0, bytes)).digest("hex"));
  }
  memory.close();
  return image;
}

for (const version of qemuVersions()) {
  const variants: [string, MigrationSettingsInput][] = [
    ["pre-copy", {}],
    ["stop-and-copy", { strategy: "stop-and-copy" }],
    ["pre-copy with contents from QEMU's stream", { contents: "stream" }],
    ["pre-copy without compression", { compression: "none" }],
    ["pre-copy over one connection", { bulkConnections: 1 }],
  ];

  test(`QEMU ${version}: a busy guest moves`, async (t) => {
    await using pair = await Pair.open(version);
    let machine = await pair.start(pair.a, guestMachine(version));
    await loadGuest(machine, BUSY);
    await assertWhole(machine);
    let [from, to] = [pair.a, pair.b];
    for (const [name, settings] of variants) {
      await t.test(`by ${name}`, async () => {
        const { arrived, report } = await move(pair, machine, from, to, settings);
        assert.equal(machine.runs, false, "the source's QEMU has ended");
        assert.ok(report.sourceEnded);
        assert.ok(report.downtimeMs !== null && report.downtimeMs > 0);
        assert.ok(report.pages.sent >= BUSY.holdBytes / 4096, "what the guest holds was sent");
        machine = arrived;
        [from, to] = [to, from];
        await assertWhole(machine);
      });
    }
  });

  test(`QEMU ${version}: a paused guest arrives paused, byte for byte, and goes on when continued`, async () => {
    await using pair = await Pair.open(version);
    const machine = await pair.start(pair.a, guestMachine(version));
    await loadGuest(machine, BUSY);
    await machine.qmp.execute("stop");
    const before = await imageOf(machine);
    const { arrived } = await move(pair, machine, pair.a, pair.b);
    assert.equal((await arrived.qmp.execute("query-status")).running, false);
    assert.deepEqual(await imageOf(arrived), before);
    await arrived.qmp.execute("cont");
    await assertWhole(arrived);
  });
}

test("a live migration made two passes or more and its events tell the story in order", async () => {
  const [newest] = qemuVersions();
  await using pair = await Pair.open(newest!);
  const machine = await pair.start(pair.a, guestMachine(newest!));
  await loadGuest(machine, BUSY);
  // Nobody can be asked by a doorbell here: that is told, and changes nothing.
  const { report, events } = await move(pair, machine, pair.a, pair.b, { freePages: "held-locks" });
  assert.ok(report.rounds >= 2, `${report.rounds} rounds`);
  assert.ok(report.pages.resent > 0);
  const phases = events.filter((event) => event.type === "phase").map((event) => event.phase);
  assert.deepEqual(phases, ["setup", "live", "switchover", "completed"]);
  assert.ok(events.some((event) => event.type === "progress" && event.owedPages > 0));
  assert.equal(report.freePages, null);
  assert.ok(events.some((event) => event.type === "decision" && /no doorbell device/.test(event.reason)));
  assert.equal(events.at(-1)?.type, "report");
  assert.ok(events.every((event, index) => index === 0 || event.atMs >= events[index - 1]!.atMs));
});
