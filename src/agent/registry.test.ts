import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pino } from "pino";
import { GodwitError } from "../base/errors.ts";
import { MachineRegistry } from "./registry.ts";
import { machineFile, type TestScope, temporaryFolder } from "./testing/fake-agent.ts";
import { FakeDriver, type FakeQemu } from "./testing/fake-qemu.ts";

const log = pino({ level: "silent" });
const incoming = { name: "web", memoryBytes: 2 ** 24, vcpus: 1, accelerator: "tcg", warnings: [] };

function makeRegistry(scope: TestScope) {
  const folder = join(temporaryFolder(scope), "machines");
  mkdirSync(folder);
  const driver = new FakeDriver();
  const next = () => new MachineRegistry<FakeQemu>({ folder, driver, log });
  return { registry: next(), driver, folder, next };
}

/** Lets the callbacks of promises that have settled run. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("a guest that pauses and goes on is seen", async (context) => {
  const { registry, driver } = makeRegistry(context);
  await registry.start(machineFile("web"), "/");
  driver.of("web").pause();
  assert.equal(registry.stateOf("web"), "paused");
  driver.of("web").resume();
  assert.equal(registry.stateOf("web"), "running");
});

test("a guest that powers off is stopped, a QEMU that dies is crashed, and both say why", async (context) => {
  const { registry, driver } = makeRegistry(context);
  await registry.start(machineFile("calm"), "/");
  await registry.start(machineFile("wild"), "/");
  driver.of("calm").end(0);
  driver.of("wild").end(1, "SIGSEGV");
  await settle();
  assert.equal(registry.show("calm").state, "stopped");
  assert.match(registry.show("calm").reason ?? "", /powered off/);
  assert.equal(registry.show("wild").state, "crashed");
  assert.match(registry.show("wild").reason ?? "", /SIGSEGV/);
  assert.equal((await registry.start(machineFile("wild"), "/")).state, "running");
});

test("a VM that does not start leaves nothing, and may be tried again", async (context) => {
  const { registry, driver, folder } = makeRegistry(context);
  driver.failWith = new GodwitError("GODWIT_QEMU_START", "no such kernel");
  await assert.rejects(registry.start(machineFile("web"), "/"), { code: "GODWIT_QEMU_START" });
  assert.equal(registry.stateOf("web"), "absent");
  assert.equal(existsSync(join(folder, "web")), false);
  assert.equal((await registry.start(machineFile("web"), "/")).state, "running");
});

test("the next agent finds running, paused, stopped and departed VMs as they are", async (context) => {
  const { registry, driver, next } = makeRegistry(context);
  for (const name of ["runs", "pauses", "stops", "dies", "goes"])
    await registry.start(machineFile(name), "/");
  driver.of("pauses").pause();
  await registry.stop("stops");
  registry.beginOutgoing("goes", "m-1");
  driver.of("goes").end();
  await registry.settle("goes", { as: "departed", movedTo: "beta" });
  registry.release();
  driver.of("dies").end(1);

  const later = next();
  await later.load();
  const states = later.list().map(({ name, state }) => [name, state]);
  assert.deepEqual(states, [
    ["dies", "crashed"],
    ["goes", "departed"],
    ["pauses", "paused"],
    ["runs", "running"],
    ["stops", "stopped"],
  ]);
  assert.equal(later.show("goes").movedTo, "beta");
  assert.equal(later.show("runs").pid, driver.of("runs").pid);
  driver.of("runs").end(0);
  await settle();
  assert.equal(later.stateOf("runs"), "stopped");
});

test("a VM whose migration was open when the agent died comes back as that, with its migration", async (context) => {
  const { registry, next } = makeRegistry(context);
  await registry.start(machineFile("web"), "/");
  registry.beginOutgoing("web", "m-1");
  registry.release();
  const later = next();
  await later.load();
  assert.equal(later.show("web").state, "migrating-out");
  assert.equal(later.show("web").migrationId, "m-1");
  await later.settle("web", { as: "here" });
  assert.equal(later.show("web").state, "running");
  assert.equal(later.show("web").migrationId, null);
});

test("a folder whose QEMU lives is never reused, whatever the registry believes", async (context) => {
  const { registry, driver, next, folder } = makeRegistry(context);
  await registry.start(machineFile("web"), "/");
  registry.release();
  const forgetful = next();
  await assert.rejects(forgetful.start(machineFile("web"), "/"), { code: "GODWIT_VM_EXISTS" });
  assert.ok(existsSync(join(folder, "web")));
  assert.equal(driver.of("web").exit, null);
  const other = next();
  await assert.rejects(other.beginIncoming(incoming, "m-2"), { code: "GODWIT_VM_EXISTS" });
  assert.ok(existsSync(join(folder, "web")));
});

test("a source that failed keeps its VM running, paused or stopped as its QEMU says", async (context) => {
  const { registry, driver } = makeRegistry(context);
  for (const name of ["runs", "pauses", "ended"]) {
    await registry.start(machineFile(name), "/");
    registry.beginOutgoing(name, "m-1");
  }
  driver.of("pauses").guestRuns = false;
  driver.of("ended").end(0);
  await settle();
  assert.equal(registry.stateOf("ended"), "migrating-out");
  for (const name of ["runs", "pauses", "ended"]) await registry.settle(name, { as: "here", reason: "cut" });
  assert.deepEqual(
    registry.list().map(({ name, state }) => [name, state]),
    [
      ["ended", "stopped"],
      ["pauses", "paused"],
      ["runs", "running"],
    ],
  );
});

test("a name is taken by one arrival at a time, and free again when that fails", async (context) => {
  const { registry, driver, folder } = makeRegistry(context);
  await registry.beginIncoming(incoming, "m-1");
  assert.equal(registry.memoryPromisedBytes(), 2 ** 24);
  await assert.rejects(registry.beginIncoming(incoming, "m-2"), { code: "GODWIT_VM_EXISTS" });
  await assert.rejects(registry.start(machineFile("web"), "/"), { code: "GODWIT_VM_BUSY" });
  await registry.settle("web", { as: "absent" });
  assert.equal(registry.memoryPromisedBytes(), 0);
  assert.equal(existsSync(join(folder, "web")), false);

  await registry.beginIncoming(incoming, "m-3");
  const handle = await driver.start(incoming, join(folder, "web"));
  await registry.settle("web", { as: "here", handle });
  assert.equal(registry.stateOf("web"), "running");
  await assert.rejects(registry.beginIncoming(incoming, "m-4"), { code: "GODWIT_VM_EXISTS" });
});

test("a name that could leave its folder is refused", async (context) => {
  const { registry } = makeRegistry(context);
  for (const name of ["../up", "", ".", "a/b", "x".repeat(65)]) {
    await assert.rejects(registry.beginIncoming({ ...incoming, name }, "m-1"), {
      code: "GODWIT_MACHINE_FILE",
    });
  }
});
