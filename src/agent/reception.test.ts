import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { duplexPair } from "node:stream";
import { test } from "node:test";
import { pino } from "pino";
import { GodwitError } from "../base/errors.ts";
import { ControlChannel, type MessageByType } from "../wire/index.ts";
import { MigrationDesk } from "./migration-desk.ts";
import type { IncomingResult } from "./ports.ts";
import { Reception } from "./reception.ts";
import { MachineRegistry } from "./registry.ts";
import { machineFile, type TestScope, temporaryFolder } from "./testing/fake-agent.ts";
import { FakeDriver, type FakeQemu } from "./testing/fake-qemu.ts";

const log = pino({ level: "silent" });
const peer = {
  commonName: "beta",
  subject: "CN=beta",
  names: ["beta"],
  kind: "host",
  fingerprint: "",
} as const;
const description = { name: "web", memoryBytes: 2 ** 24, vcpus: 1, accelerator: "tcg", warnings: [] };
const GIB = 2 ** 30;

function offer(migrationId: string, machine: Record<string, unknown> = description): MessageByType<"offer"> {
  return {
    type: "offer",
    migrationId,
    vmName: "web",
    machine,
    machineType: "pc-i440fx-10.0",
    qemuVersion: "10.0.2",
    memoryBlocks: [{ name: "pc.ram", usedBytes: 2 ** 24, pageSizeBytes: 4096 }],
    guestPaused: false,
    settings: {},
    sourceName: "beta",
  };
}

function makeReception(scope: TestScope, free = { memory: 8 * GIB, disk: 8 * GIB }) {
  const folder = temporaryFolder(scope);
  const folders = { machines: join(folder, "machines"), migrations: join(folder, "migrations") };
  for (const path of Object.values(folders)) mkdirSync(path);
  const driver = new FakeDriver();
  const registry = new MachineRegistry<FakeQemu>({ folder: folders.machines, driver, log });
  const desk = new MigrationDesk<FakeQemu>({
    folder: folders.migrations,
    registry,
    log,
    outgoing: () => {
      throw new GodwitError("GODWIT_INTERNAL", "nothing goes out here");
    },
  });
  const arrivals: { end: (result: IncomingResult<FakeQemu>) => void; cancelled: string[]; folder: string }[] =
    [];
  const reception = new Reception<FakeQemu>({
    registry,
    desk,
    log,
    stateFolder: folder,
    describe(machine) {
      if ((machine as { bad?: true }).bad === true) throw new GodwitError("GODWIT_MACHINE", "nonsense");
      return machine as typeof description;
    },
    handleOf: (qemu) => qemu.handle(),
    verdict: async (path, migrationId) => ({
      type: "verdict",
      migrationId,
      verdict: existsSync(path) ? "running" : "unknown",
    }),
    incoming({ channel, folder: migrationFolder, offer: { migrationId } }) {
      const { promise, resolve } = Promise.withResolvers<IncomingResult<FakeQemu>>();
      const arrival = { end: resolve, cancelled: [] as string[], folder: migrationFolder };
      arrivals.push(arrival);
      return {
        onEvent: () => () => {},
        cancel: (reason) => arrival.cancelled.push(reason),
        async run() {
          await channel.send({
            type: "accepted",
            migrationId,
            qemuVersion: "10.0.2",
            destinationName: "alpha",
            postcopy: false,
          });
          return await promise;
        },
      };
    },
    resources: { memoryBytes: () => free.memory, diskBytes: () => free.disk },
  });
  return { reception, registry, desk, driver, arrivals, folders };
}

/** A source's end of a channel to the reception. */
async function meet(scope: TestScope, reception: Reception<FakeQemu>) {
  const [ours, theirs] = duplexPair();
  const introduction = { agentName: "beta", softwareVersion: "0.1.0" };
  const [channel, far] = await Promise.all([
    ControlChannel.open(ours, { ...introduction, role: "source" }),
    ControlChannel.open(theirs, { ...introduction, role: "destination" }),
  ]);
  scope.after(() => Promise.all([channel.close(), far.close()]));
  const met = reception.meet(far, peer, "127.0.0.1");
  return { channel, met };
}

async function refusal(scope: TestScope, reception: Reception<FakeQemu>, message: MessageByType<"offer">) {
  const { channel, met } = await meet(scope, reception);
  await channel.send(message);
  const { error, migrationId } = await channel.receive("refused");
  assert.equal(migrationId, message.migrationId);
  assert.equal(error.side, "destination");
  assert.equal(error.vmState, "running at the source");
  await met;
  return error;
}

test("a VM that is let in arrives and is listed with its migration", async (context) => {
  const { reception, registry, desk, driver, arrivals, folders } = makeReception(context);
  const { channel, met } = await meet(context, reception);
  await channel.send(offer("m-1"));
  await channel.receive("accepted");
  assert.equal(registry.stateOf("web"), "incoming");
  assert.deepEqual(
    desk.list().map(({ id, direction, peer, active }) => [id, direction, peer, active]),
    [["m-1", "incoming", "beta", true]],
  );
  const { native: machine } = await driver.start(description, join(folders.machines, "web"));
  arrivals[0]!.end({ outcome: "arrived", machine });
  await met;
  assert.equal(registry.stateOf("web"), "running");
  assert.equal(desk.show("m-1").outcome, "completed");
});

test("an arrival that fails leaves nothing but its migration's folder", async (context) => {
  const { reception, registry, desk, arrivals, folders } = makeReception(context);
  const { channel, met } = await meet(context, reception);
  await channel.send(offer("m-1"));
  await channel.receive("accepted");
  arrivals[0]!.end({ outcome: "failed", error: new GodwitError("GODWIT_LINK_LOST", "cut") });
  await met;
  assert.equal(registry.stateOf("web"), "absent");
  assert.equal(existsSync(join(folders.machines, "web")), false);
  assert.equal(desk.show("m-1").outcome, "failed");
});

test("what can't work is refused before anything moves, with the reason", async (context) => {
  const { reception, registry, desk, arrivals } = makeReception(context);
  const taken = await refusal(context, reception, offer("m-1", { ...description, name: "other" }));
  assert.equal(taken.code, "GODWIT_OFFER");
  assert.equal((await refusal(context, reception, offer("m-2", { bad: true }))).code, "GODWIT_MACHINE");
  await registry.start(machineFile("web"), "/");
  const clash = await refusal(context, reception, offer("m-3"));
  assert.equal(clash.code, "GODWIT_VM_EXISTS");
  assert.match(clash.message, /running on this host already/);
  assert.equal(arrivals.length, 0);
  assert.deepEqual(desk.list(), []);
});

test("a VM that does not fit into memory or whose journal does not fit on disk is refused", async (context) => {
  const big = { ...description, memoryBytes: 8 * GIB };
  const full = makeReception(context, { memory: 8 * GIB, disk: 1024 });
  assert.equal((await refusal(context, full.reception, offer("m-1", big))).code, "GODWIT_NO_MEMORY");
  assert.equal((await refusal(context, full.reception, offer("m-2"))).code, "GODWIT_NO_SPACE");
  assert.equal(full.registry.stateOf("web"), "absent");
});

test("memory that another arrival was promised is not promised again", async (context) => {
  const { reception, registry } = makeReception(context, { memory: 3 * GIB, disk: 8 * GIB });
  await registry.beginIncoming({ ...description, name: "first", memoryBytes: 2 * GIB }, "m-0");
  const error = await refusal(context, reception, offer("m-1", { ...description, memoryBytes: 2 * GIB }));
  assert.equal(error.code, "GODWIT_NO_MEMORY");
});

test("a migration's id is good once", async (context) => {
  const { reception, arrivals } = makeReception(context);
  const { channel, met } = await meet(context, reception);
  await channel.send(offer("m-1"));
  await channel.receive("accepted");
  arrivals[0]!.end({ outcome: "failed", error: new GodwitError("GODWIT_LINK_LOST", "cut") });
  await met;
  assert.equal((await refusal(context, reception, offer("m-1"))).code, "GODWIT_MIGRATION_ID");
});

test("no more than four VMs come at a time", async (context) => {
  const { reception, arrivals } = makeReception(context);
  const met = [];
  for (const name of ["a", "b", "c", "d"]) {
    const one = await meet(context, reception);
    await one.channel.send({ ...offer(`m-${name}`, { ...description, name }), vmName: name });
    await one.channel.receive("accepted");
    met.push(one.met);
  }
  assert.equal((await refusal(context, reception, offer("m-5"))).code, "GODWIT_TOO_MANY_MIGRATIONS");
  for (const { end } of arrivals)
    end({ outcome: "failed", error: new GodwitError("GODWIT_LINK_LOST", "cut") });
  await Promise.all(met);
});

test("a source in doubt is answered when the migration here has come to its end", async (context) => {
  const { reception, driver, arrivals, folders } = makeReception(context);
  const first = await meet(context, reception);
  await first.channel.send(offer("m-1"));
  await first.channel.receive("accepted");

  const asking = await meet(context, reception);
  await asking.channel.send({ type: "inquire", migrationId: "m-1" });
  const early = await Promise.race([
    asking.channel.receive("verdict"),
    new Promise((resolve) => setTimeout(resolve, 50, "no answer yet")),
  ]);
  assert.equal(early, "no answer yet");
  const { native: machine } = await driver.start(description, join(folders.machines, "web"));
  arrivals[0]!.end({ outcome: "arrived", machine });
  await Promise.all([first.met, asking.met]);

  const again = await meet(context, reception);
  await again.channel.send({ type: "inquire", migrationId: "m-1" });
  assert.equal((await again.channel.receive("verdict")).verdict, "running");
  const stranger = await meet(context, reception);
  await stranger.channel.send({ type: "inquire", migrationId: "m-9" });
  assert.equal((await stranger.channel.receive("verdict")).verdict, "unknown");
});

test("a peer that says something else first is told so", async (context) => {
  const { reception } = makeReception(context);
  const { channel, met } = await meet(context, reception);
  await channel.send({ type: "commit", migrationId: "m-1" });
  await assert.rejects(channel.receive("accepted"), { code: "GODWIT_WIRE_UNEXPECTED" });
  await met;
});

test("an agent that ends gives up what is on its way here", async (context) => {
  const { reception, desk, arrivals } = makeReception(context);
  const { channel, met } = await meet(context, reception);
  await channel.send(offer("m-1"));
  await channel.receive("accepted");
  const closing = desk.close(10_000);
  assert.equal(arrivals[0]!.cancelled.length, 1);
  arrivals[0]!.end({ outcome: "failed", error: new GodwitError("GODWIT_CANCELLED", "ending") });
  await Promise.all([closing, met]);
  const late = await refusal(context, reception, offer("m-2"));
  assert.equal(late.code, "GODWIT_AGENT_ENDING");
});
