import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { qemuBuild } from "../src/lab/toolchain.ts";
import { adoptMachine, inspectStateFolder } from "../src/qemu/adopt.ts";
import { migrationSupport, setCapabilities } from "../src/qemu/capabilities.ts";
import { killMachine } from "../src/qemu/kill.ts";
import { memoryFile } from "../src/qemu/state-paths.ts";
import { binaryVersion, formatVersion } from "../src/qemu/version.ts";
import { smallMachine, VERSIONS, Workshop } from "./qemu-machines.ts";

const LEFT_AFTER_EXIT = ["machine.json", "qemu.log", "serial.log"];

for (const version of VERSIONS) {
  test(`QEMU ${version} starts detached, answers and ends without remains`, async () => {
    await using workshop = new Workshop(version);
    const machine = await workshop.start(smallMachine());
    assert.equal(formatVersion(machine.version), qemuBuild(version).version);
    assert.deepEqual(machine.version, await binaryVersion(workshop.binary));
    assert.equal(machine.machineType, `pc-i440fx-${version}`);
    const session = readFileSync(`/proc/${machine.pid}/stat`, "utf8").split(") ")[1]?.split(" ")[3];
    assert.equal(Number(session), machine.pid);
    assert.equal((await machine.qmp.execute("query-status")).running, true);
    assert.equal(inspectStateFolder(machine.folder).state, "running");
    const { exitCode, shutdown } = await machine.quit();
    assert.equal(exitCode, 0);
    assert.equal(shutdown?.reason, "host-qmp-quit");
    assert.deepEqual(readdirSync(machine.folder).sort(), LEFT_AFTER_EXIT);
    assert.equal(inspectStateFolder(machine.folder).state, "gone");
  });

  test(`QEMU ${version} waits for a migration, paused, with both monitors`, async () => {
    await using workshop = new Workshop(version);
    const machine = await workshop.start(smallMachine(), { incoming: "defer", paused: true });
    assert.equal((await machine.qmp.execute("query-status")).status, "inmigrate");
    const outOfBand = await machine.connectOutOfBand();
    assert.equal(outOfBand.outOfBand, true);
    await setCapabilities(outOfBand, { "postcopy-ram": false, "no-such-capability": false });
    outOfBand.close();
    const { capabilities, parameters } = await migrationSupport(machine.qmp);
    assert.equal(capabilities.has("postcopy-ram"), true);
    assert.equal(parameters.has("downtime-limit"), true);
    assert.equal(parameters.has("avail-switchover-bandwidth"), machine.version.major >= 9);
    await machine.quit();
  });

  test(`QEMU ${version} outlives the process that started it, and is found again`, async () => {
    await using workshop = new Workshop(version);
    const script = `
      import { startMachine } from ${JSON.stringify(join(import.meta.dirname, "../src/qemu/start.ts"))};
      const machine = JSON.parse(process.argv[1]);
      const running = await startMachine(machine, { stateFolder: process.argv[2], qemu: process.argv[3] });
      console.log(running.pid);
      setInterval(() => {}, 1000);`;
    const folder = workshop.state();
    const flags = [
      "--input-type=module",
      "-e",
      script,
      JSON.stringify(smallMachine()),
      folder,
      workshop.binary,
    ];
    const starter = spawn(process.execPath, flags, { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(starter.stdout, "data");
    starter.kill("SIGKILL");
    await once(starter, "exit");
    const machine = await adoptMachine(folder);
    assert.ok(machine);
    workshop.keep(machine);
    assert.equal(machine.pid, Number(line));
    assert.equal((await machine.qmp.execute("query-status")).running, true);
    const exit = await machine.quit();
    assert.deepEqual(exit, {
      exitCode: null,
      signal: null,
      shutdown: { guest: false, reason: "host-qmp-quit" },
    });
    assert.equal(await adoptMachine(folder), null);
    assert.deepEqual(readdirSync(folder).sort(), LEFT_AFTER_EXIT);
  });

  test(`QEMU ${version} names a locked image, a port in use and its own last words`, async () => {
    await using workshop = new Workshop(version);
    const image = join(workshop.folder, "disk.img");
    writeFileSync(image, "");
    truncateSync(image, 1024 * 1024);
    const withDisk = smallMachine(`disks: [{path: ${image}, format: raw, cache: writeback}]`);
    const holder = await workshop.start(withDisk);
    const other = { stateFolder: workshop.state("other") };
    await assert.rejects(workshop.start(withDisk, other), {
      code: "GODWIT_IMAGE_LOCKED",
      vmState: "not started",
    });
    await holder.quit();

    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const forwarding = smallMachine(
      `nics: [{backend: {kind: user, hostForward: ["tcp:127.0.0.1:${port}-:22"]}}]`,
    );
    await assert.rejects(workshop.start(forwarding, other), { code: "GODWIT_PORT_TAKEN" });
    server.close();

    const wrong = smallMachine(`extraArguments: ["-device", "no-such-device,addr=0x1c"]`);
    await assert.rejects(workshop.start(wrong, other), {
      code: "GODWIT_QEMU_START",
      message: /no-such-device/,
    });
    assert.equal(inspectStateFolder(other.stateFolder).state, "gone");
    const again = await workshop.start(smallMachine(), other);
    await again.quit();
  });
}

const [newest = "10.0"] = VERSIONS;

test("one machine per folder: of several starts exactly one wins", async () => {
  await using workshop = new Workshop(newest);
  const starts = [1, 2, 3].map(() => workshop.start(smallMachine()));
  const outcomes = await Promise.allSettled(starts);
  assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") assert.equal(outcome.reason.code, "GODWIT_MACHINE_BUSY");
  }
  await assert.rejects(workshop.start(smallMachine()), { code: "GODWIT_MACHINE_RUNNING" });
});

test("a QEMU that died unseen leaves a stale folder, which adopting cleans and which can start again", async () => {
  await using workshop = new Workshop(newest);
  const first = await workshop.start(smallMachine());
  first.release();
  process.kill(first.pid, "SIGKILL");
  while (first.runs) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(inspectStateFolder(first.folder).state, "stale");
  assert.equal(await adoptMachine(first.folder), null);
  assert.equal(inspectStateFolder(first.folder).state, "gone");
  assert.deepEqual(readdirSync(first.folder).sort(), LEFT_AFTER_EXIT);
  const second = await workshop.start(smallMachine());
  assert.notEqual(second.pid, first.pid);
});

test("a pid that belongs to another process by now is not taken for the machine", async () => {
  await using workshop = new Workshop(newest);
  const machine = await workshop.start(smallMachine());
  await machine.quit();
  const identity = { ...machine.identity, pid: process.pid };
  writeFileSync(join(machine.folder, "process.json"), JSON.stringify(identity));
  assert.equal(inspectStateFolder(machine.folder).state, "stale");
  assert.equal(await adoptMachine(machine.folder), null);
});

test("an agent that died before it wrote the process down still leaves a machine that is found", async () => {
  await using workshop = new Workshop(newest);
  const machine = await workshop.start(smallMachine());
  machine.release();
  rmSync(join(machine.folder, "process.json"));
  const adopted = await adoptMachine(machine.folder);
  assert.deepEqual(adopted?.identity, machine.identity);
  assert.ok(adopted);
  await adopted.quit();
});

test("a QEMU that hangs is unreachable, not gone, and quit ends it by force", async () => {
  await using workshop = new Workshop(newest);
  const machine = await workshop.start(smallMachine());
  process.kill(machine.pid, "SIGSTOP");
  machine.release();
  await assert.rejects(adoptMachine(machine.folder, { timeoutMs: 50 }), {
    code: "GODWIT_MACHINE_UNREACHABLE",
  });
  assert.equal(inspectStateFolder(machine.folder).state, "running");
  process.kill(machine.pid, "SIGCONT");
  const adopted = await adoptMachine(machine.folder);
  assert.ok(adopted);
  process.kill(machine.pid, "SIGSTOP");
  await adopted.quit({ timeoutMs: 50 });
  assert.equal(machine.runs, false);
});

test("a QEMU that can't be spoken to can be killed all the same, and leaves nothing but its logs", async () => {
  await using workshop = new Workshop(newest);
  const machine = await workshop.start(smallMachine("memoryBackend: {kind: file}"));
  const memory = memoryFile(machine.folder, machine.machine)!;
  process.kill(machine.pid, "SIGSTOP");
  machine.release();
  assert.ok(existsSync(memory));
  await killMachine(machine.folder);
  assert.equal(machine.runs, false);
  assert.equal(existsSync(memory), false);
  assert.equal(inspectStateFolder(machine.folder).state, "gone");
  await killMachine(machine.folder);
  await killMachine(workshop.state("none"));
});

test("what cannot start says why before QEMU is asked", async () => {
  await using workshop = new Workshop(newest);
  const kernel = smallMachine("kernel: /no/such/vmlinuz");
  await assert.rejects(workshop.start(kernel), {
    code: "GODWIT_FILE_MISSING",
    message: /\/no\/such\/vmlinuz.*kernel/,
  });
  await assert.rejects(workshop.start(smallMachine(), { qemu: "/no/such/qemu" }), {
    code: "GODWIT_QEMU_MISSING",
  });
  const deep = workshop.state("d".repeat(120));
  await assert.rejects(workshop.start(smallMachine(), { stateFolder: deep }), {
    code: "GODWIT_SOCKET_PATH",
    message: /107/,
  });
  const abort = new AbortController();
  const starting = workshop.start(smallMachine(), { signal: abort.signal });
  abort.abort();
  await assert.rejects(starting, { code: "GODWIT_ABORTED" });
  assert.equal(inspectStateFolder(workshop.state()).state, "gone");
});

test("a state folder with nonsense in it is an error, not a machine that is gone", async () => {
  await using workshop = new Workshop(newest);
  mkdirSync(workshop.state());
  assert.deepEqual(inspectStateFolder(workshop.state()), { state: "empty" });
  writeFileSync(join(workshop.state(), "machine.json"), '{"format": 99}');
  await assert.rejects(adoptMachine(workshop.state()), { code: "GODWIT_MACHINE_STATE" });
});

test("a memory file is private to its folder and its owner, and goes with the machine", async () => {
  await using workshop = new Workshop(newest);
  const machine = smallMachine("memoryBackend: {kind: file}");
  const one = await workshop.start(machine);
  const other = await workshop.start(machine, { stateFolder: workshop.state("other") });
  const paths = [one, other].map(({ folder }) => memoryFile(folder, machine) ?? "");
  assert.notEqual(paths[0], paths[1]);
  for (const path of paths) assert.equal(statSync(path).mode & 0o777, 0o600);
  await one.quit();
  await other.kill();
  for (const path of paths) assert.equal(existsSync(path), false);
});
