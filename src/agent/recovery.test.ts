import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pino } from "pino";
import { Journal, type JournalState } from "../migration/journal.ts";
import type { Recovered } from "../migration/recover.ts";
import { MigrationDesk } from "./migration-desk.ts";
import { settleRecovered } from "./recovery.ts";
import { MachineRegistry } from "./registry.ts";
import { machineFile, type TestScope, temporaryFolder } from "./testing/fake-agent.ts";
import { FakeMigration } from "./testing/fake-migration.ts";
import { FakeDriver, type FakeQemu } from "./testing/fake-qemu.ts";
import { verdictOf } from "./verdict.ts";

const log = pino({ level: "silent" });
const incoming = { name: "web", memoryBytes: 2 ** 24, vcpus: 1, accelerator: "tcg", warnings: [] };

/** One agent after the other on the same folders. */
function agents(scope: TestScope) {
  const folder = temporaryFolder(scope);
  const folders = { machines: join(folder, "machines"), migrations: join(folder, "migrations") };
  for (const path of Object.values(folders)) mkdirSync(path);
  const driver = new FakeDriver();
  const next = async () => {
    const registry = new MachineRegistry<FakeQemu>({ folder: folders.machines, driver, log });
    await registry.load();
    const outgoing = (request: ConstructorParameters<typeof FakeMigration>[0]) => new FakeMigration(request);
    const desk = new MigrationDesk<FakeQemu>({ folder: folders.migrations, registry, outgoing, log });
    desk.load();
    return { registry, desk, log };
  };
  return { next, driver, folders };
}

/** The next agent after one that died while "web" was on its way to beta. */
async function afterDeathOfSource(scope: TestScope, state: JournalState | null) {
  const { next, driver, folders } = agents(scope);
  const first = await next();
  await first.registry.start(machineFile("web"), "/");
  const { id } = first.desk.start("web", { host: "beta", port: 7481, name: "beta" });
  if (state !== null) writeJournal(join(folders.migrations, id), id, "source", state);
  const second = await next();
  assert.equal(second.registry.stateOf("web"), "migrating-out");
  return { ...second, id, qemu: driver.of("web") };
}

function writeJournal(folder: string, id: string, role: "source" | "destination", state: JournalState) {
  const head = {
    migrationId: id,
    role,
    vm: "web",
    machineFolder: "/m",
    peer: { name: "beta" },
    guestPaused: false,
  };
  const journal = Journal.create(folder, head, role === "source" ? "started" : "accepted");
  if (state !== journal.state)
    journal.append(state, state === "running" ? '{"resumedAtEpochMs":17}' : undefined);
  journal.close();
}

function found(migrationId: string, as: Recovered["as"], later?: Promise<Recovered>): Recovered {
  const base = { migrationId, vm: "web", role: "source", peer: "beta", reason: "because" } as const;
  return { ...base, as, ...(later === undefined ? {} : { later }) };
}

test("a source whose agent died before the commit has its VM back", async (context) => {
  const after = await afterDeathOfSource(context, "started");
  await settleRecovered([found(after.id, "here")], after);
  assert.equal(after.registry.show("web").state, "running");
  assert.equal(after.registry.show("web").migrationId, null);
  assert.equal(after.desk.show(after.id).outcome, "failed");
});

test("a source whose QEMU ended meanwhile has a stopped VM, not a departed one", async (context) => {
  const after = await afterDeathOfSource(context, "started");
  after.qemu.end(0);
  await settleRecovered([found(after.id, "absent")], after);
  assert.equal(after.registry.stateOf("web"), "stopped");
});

test("a doubt is kept until the peer has answered", async (context) => {
  for (const [as, state, outcome] of [
    ["departed", "departed", "completed"],
    ["here", "running", "failed"],
  ] as const) {
    const after = await afterDeathOfSource(context, "committing");
    const { promise, resolve } = Promise.withResolvers<Recovered>();
    await settleRecovered([found(after.id, "in-doubt", promise)], after);
    assert.equal(after.registry.stateOf("web"), "in-doubt");
    assert.equal(after.desk.show(after.id).outcome, "in-doubt");
    resolve(found(after.id, as));
    while (after.registry.stateOf("web") === "in-doubt") await new Promise((done) => setImmediate(done));
    assert.equal(after.registry.stateOf("web"), state);
    assert.equal(after.desk.show(after.id).outcome, outcome);
  }
});

test("an operator ends a doubt that an earlier agent left, and hears when that fails", async (context) => {
  for (const [owner, as, state] of [
    ["there", "departed", "departed"],
    ["here", "here", "running"],
    ["here", null, "in-doubt"],
  ] as const) {
    const after = await afterDeathOfSource(context, "committing");
    const operator = after.desk.operatorOf(after.id);
    const later = new Promise<Recovered>((resolve, reject) => {
      operator.signal.onabort = () => {
        assert.equal(operator.outcome?.kind, owner === "there" ? "running" : "refused");
        if (as === null) reject(new Error("the image is locked"));
        else resolve(found(after.id, as));
      };
    });
    await settleRecovered([found(after.id, "in-doubt", later)], after);
    const resolved = after.desk.resolve(after.id, owner);
    if (as === null) await assert.rejects(resolved, /locked/);
    else assert.equal((await resolved).outcome, as === "here" ? "failed" : "completed");
    assert.equal(after.registry.stateOf("web"), state);
  }
});

test("an operator who leaves a VM to a destination that lacks pages hears that they are kept", async (context) => {
  const after = await afterDeathOfSource(context, "committing");
  const operator = after.desk.operatorOf(after.id);
  const later = new Promise<Recovered>((resolve) => {
    operator.signal.onabort = () => resolve(found(after.id, "in-doubt"));
  });
  await settleRecovered([found(after.id, "in-doubt", later)], after);
  assert.equal((await after.desk.resolve(after.id, "there")).outcome, "in-doubt");
  assert.equal(after.registry.stateOf("web"), "in-doubt");
  assert.equal(after.qemu.exit, null);
});

test("pages kept for a destination that will not ask for them can be given up, not gone back to", async (context) => {
  const after = await afterDeathOfSource(context, "committing");
  const journal = Journal.reopen(after.desk.folderOf(after.id));
  journal.append("serving");
  journal.close();
  await settleRecovered([found(after.id, "in-doubt")], after);
  await assert.rejects(after.desk.resolve(after.id, "here"), {
    code: "GODWIT_NOT_IN_DOUBT",
    message: /has run the guest/,
  });
  assert.equal(after.qemu.exit, null);
  assert.equal((await after.desk.resolve(after.id, "there")).outcome, "completed");
  assert.equal(after.registry.stateOf("web"), "departed");
  assert.notEqual(after.qemu.exit, null);
  assert.equal(Journal.read(after.desk.folderOf(after.id)).state, "released");
});

test("a doubt survives one agent after the other", async (context) => {
  const { next } = agents(context);
  const first = await next();
  await first.registry.start(machineFile("web"), "/");
  const { id } = first.desk.start("web", { host: "beta", port: 7481, name: "beta" });
  for (let agent = 0; agent < 3; agent += 1) {
    const after = await next();
    await settleRecovered([found(id, "in-doubt")], after);
    assert.equal(after.registry.stateOf("web"), "in-doubt");
  }
});

test("a VM left in a migration that its journal has ended goes by the journal, or stays without one", async (context) => {
  for (const [state, expected] of [
    ["released", "departed"],
    ["rolled-back", "running"],
    [null, "running"],
  ] as const) {
    const after = await afterDeathOfSource(context, state);
    await settleRecovered([], after);
    assert.equal(after.registry.stateOf("web"), expected, String(state));
  }
});

test("an arrival whose agent died is here when its journal says so, otherwise nothing of it is", async (context) => {
  for (const [state, expected] of [
    ["running", "running"],
    ["abandoned", "absent"],
    [null, "absent"],
  ] as const) {
    const { next, driver, folders } = agents(context);
    const first = await next();
    await first.registry.beginIncoming(incoming, "m-1");
    if (state === "running") await driver.start(incoming, join(folders.machines, "web"));
    if (state !== null) writeJournal(join(folders.migrations, "m-1"), "m-1", "destination", state);
    const second = await next();
    assert.equal(second.registry.stateOf("web"), "incoming");
    await settleRecovered([], second);
    assert.equal(second.registry.stateOf("web"), expected, String(state));
    assert.equal(existsSync(join(folders.machines, "web")), expected === "running");
  }
});

test("an arrival that recovery settles is listed with how it ended", async (context) => {
  for (const [as, outcome] of [
    ["here", "completed"],
    ["absent", "failed"],
  ] as const) {
    const { next, driver, folders } = agents(context);
    const first = await next();
    await first.registry.beginIncoming(incoming, "m-1");
    await driver.start(incoming, join(folders.machines, "web"));
    void first.desk.receive("m-1", "web", "beta", () => new Promise(() => {}));
    const second = await next();
    await settleRecovered([{ ...found("m-1", as), role: "destination" }], second);
    assert.equal(second.registry.stateOf("web"), as === "here" ? "running" : "absent");
    assert.equal(second.desk.show("m-1").outcome, outcome);
  }
});

test("a source in doubt may go on only when the journal says that the VM was given up", async (context) => {
  const folder = temporaryFolder(context);
  const verdicts = {
    accepted: "committed",
    prepared: "committed",
    committed: "committed",
    running: "running",
    released: "running",
    abandoned: "not-committed",
  } as const;
  for (const [state, expected] of Object.entries(verdicts)) {
    writeJournal(join(folder, state), "m-1", "destination", state as JournalState);
    const { verdict, resumedAtEpochMs } = await verdictOf(join(folder, state), "m-1");
    assert.equal(verdict, expected, state);
    assert.equal(resumedAtEpochMs, state === "running" ? 17 : undefined);
  }
  writeJournal(join(folder, "own"), "m-1", "source", "committing");
  assert.equal((await verdictOf(join(folder, "own"), "m-1")).verdict, "unknown");
  assert.equal((await verdictOf(join(folder, "none"), "m-1")).verdict, "unknown");
});
