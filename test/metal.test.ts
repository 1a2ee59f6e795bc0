import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Rtl8139State } from "../src/metal/devices/rtl8139.ts";
import { BareMetal, letGoOfHeld, undoLeftCapture } from "../src/metal/index.ts";
import { isLookedAt } from "../src/metal/qemu/bare-metal.ts";
import { whileHeld } from "../src/metal/qemu/hold.ts";
import { Journal } from "../src/migration/journal.ts";
import { recoverMigrations } from "../src/migration/recover.ts";
import { OperatorWord } from "../src/migration/source/operator-word.ts";
import { memoryFile } from "../src/qemu/state-paths.ts";
import { VERSIONS, Workshop } from "./qemu-machines.ts";
import { DeviceOracle, numberAt } from "./support/device-oracle.ts";
import { booted, consoleOf, forwardedPort, GuestStream, metalMachine } from "./support/metal-guest.ts";
import { Pair } from "./support/pair.ts";

const NIC = "0000:00:03.0/rtl8139";

test("ring pointers found from outside are those that QEMU has, and nothing is left of the search", async () => {
  // The oldest QEMU here; the moves below are made with the newest.
  await using workshop = new Workshop(VERSIONS.at(-1)!);
  const machine = await workshop.start(metalMachine(VERSIONS.at(-1)!));
  await booted(machine);
  using stream = await GuestStream.open(await forwardedPort(machine));
  await stream.more(100);
  const oracle = await DeviceOracle.of(machine);
  const metal = new BareMetal(machine);
  await metal.prepare();
  const digest = () =>
    createHash("sha256").update(readFileSync(memoryFile(machine.folder, machine.machine)!));
  for (let round = 0; round < 5; round++) {
    await stream.more(20 + round * 7);
    await machine.qmp.execute("stop");
    const before = await oracle.device(NIC);
    const memory = digest().digest("hex");
    const state = await metal.captureState();
    await metal.undo();
    const { pointers } = state.devices["rtl8139@3.0"] as Rtl8139State;
    assert.deepEqual(pointers, {
      transmit: numberAt(before, "currCPlusTxDesc"),
      receive: numberAt(before, "currCPlusRxDesc"),
    });
    assert.equal(digest().digest("hex"), memory, "memory is as before");
    const after = await oracle.device(NIC);
    for (const field of [
      "IntrMask",
      "IntrStatus",
      "TxConfig",
      "RxConfig",
      "currCPlusTxDesc",
      "currCPlusRxDesc",
    ]) {
      assert.equal(numberAt(after, field), numberAt(before, field), field);
    }
    await machine.qmp.execute("cont");
  }
  metal.close();
  await stream.more(100);
  assert.equal(stream.torn, null);
});

test("a machine without paravirtual devices moves by rebuilding its hardware, and again back", async (t) => {
  await using pair = await Pair.open("10.0");
  let machine = await pair.start(pair.a, metalMachine("10.0"));
  await booted(machine);

  await t.test("a move that fails after its devices were read leaves it running, its NIC too", async () => {
    using stream = await GuestStream.open(await forwardedPort(machine));
    await stream.more(50);
    const migration = pair.migration(
      machine,
      pair.a,
      pair.b,
      { metal: {} },
      { opaque: new BareMetal(machine) },
    );
    migration.onEvent((event) => {
      if (event.type === "phase" && event.phase === "switchover")
        process.kill(pair.lastStarted().pid, "SIGKILL");
    });
    const report = await migration.run();
    assert.equal(report.outcome, "failed");
    assert.ok(report.opaque !== null, "its devices had been read");
    await stream.more(200);
    assert.equal(stream.torn, null);
  });

  await t.test("what an agent that died had read of its devices is undone by the next one", async () => {
    using stream = await GuestStream.open(await forwardedPort(machine));
    await stream.more(50);
    const head = {
      migrationId: "m-died",
      vm: machine.name,
      machineFolder: machine.folder,
      guestPaused: false,
    };
    const folder = join(pair.a.folder, head.migrationId);
    Journal.create(folder, { ...head, role: "source", peer: { name: pair.b.name } }, "started").close();
    const metal = new BareMetal(machine);
    await metal.prepare();
    await machine.qmp.execute("stop");
    await metal.captureState();
    metal.close();
    const [recovered] = await recoverMigrations({
      folder: pair.a.folder,
      credentials: pair.a.credentials,
      hostName: pair.a.name,
      softwareVersion: "test",
      machineIn: async (path) => (path === machine.folder ? machine : null),
      undoOpaque: undoLeftCapture,
      operatorOf: () => new OperatorWord(),
      signal: new AbortController().signal,
    });
    assert.equal(recovered?.as, "here");
    assert.equal(existsSync(join(machine.folder, "captured-devices.jsonl")), false);
    await stream.more(200);
    assert.equal(stream.torn, null);
  });

  await t.test("a machine that an agent held for a look when it died goes on", async () => {
    using stream = await GuestStream.open(await forwardedPort(machine));
    await stream.more(50);
    const metal = new BareMetal(machine);
    await metal.prepare();
    const died = Promise.withResolvers<never>();
    void whileHeld(machine, async () => {
      await metal.captureState();
      metal.close();
      return died.promise;
    });
    while (isLookedAt(machine)) await sleep(5);
    await letGoOfHeld(machine);
    await stream.more(200);
    assert.equal(stream.torn, null);
    await letGoOfHeld(machine);
  });

  let [from, to] = [pair.a, pair.b];
  for (let hop = 0; hop < 2; hop++) {
    const result = to.nextResult();
    const migration = pair.migration(machine, from, to, { metal: {} }, { opaque: new BareMetal(machine) });
    const report = await migration.run();
    assert.equal(report.outcome, "completed", JSON.stringify(report.error));
    assert.ok(report.opaque !== null && report.opaque.bytes > 0);
    machine = (await result).machine!;
    using stream = await GuestStream.open(await forwardedPort(machine));
    await stream.more(200);
    assert.equal(stream.torn, null);
    [from, to] = [to, from];
  }
  assert.doesNotMatch(consoleOf(machine), /NETDEV WATCHDOG|Call Trace|panic/);
});

test("without its interrupt controllers the moved machine is dead", async () => {
  await using pair = await Pair.open("10.0");
  const machine = await pair.start(pair.a, metalMachine("10.0"));
  await booted(machine);
  const result = pair.b.nextResult();
  const settings = { metal: { leaveOut: ["pic" as const] } };
  const report = await pair
    .migration(machine, pair.a, pair.b, settings, { opaque: new BareMetal(machine) })
    .run();
  assert.equal(report.outcome, "completed", JSON.stringify(report.error));
  const arrived = (await result).machine!;
  const stream = await GuestStream.open(await forwardedPort(arrived)).catch(() => null);
  await sleep(3000);
  assert.equal(stream?.lines ?? 0, 0);
  stream?.[Symbol.dispose]();
});
