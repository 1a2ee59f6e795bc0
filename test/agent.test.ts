import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { AgentClient } from "../src/agent/client.ts";
import type { ReadyLine } from "../src/agent/daemon.ts";
import { exitCodes } from "../src/cli/exit-codes.ts";
import { endMachinesIn } from "../src/lab/run-folder.ts";
import { guestImage, qemuBuild } from "../src/lab/toolchain.ts";
import { loadCredentials } from "../src/wire/index.ts";
import { initAuthority, issueHostFiles, issueOperatorFiles } from "../src/wire/pki/index.ts";

const program = join(import.meta.dirname, "../bin/godwit");
const machine = "name: empty\nmemory: 17000KiB\n";

/** A folder with certificates for two hosts and an operator. */
async function makeSite(): Promise<{ folder: string; pki: string } & AsyncDisposable> {
  const folder = mkdtempSync(join(tmpdir(), "gw-"));
  const pki = join(folder, "pki");
  await initAuthority(pki);
  for (const host of ["alpha", "beta"]) await issueHostFiles(pki, host, ["127.0.0.1"]);
  await issueOperatorFiles(pki, "operator");
  return {
    folder,
    pki,
    async [Symbol.asyncDispose]() {
      await endMachinesIn(folder);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** `godwit agent` as a process of its own. */
class Daemon implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  log = "";
  client!: AgentClient;
  ready!: ReadyLine;

  constructor(words: readonly string[]) {
    this.child = spawn(program, ["agent", ...words], { stdio: ["ignore", "pipe", "pipe"] });
    this.child.stderr!.on("data", (text) => {
      this.log += text;
    });
    this.exited = once(this.child, "exit").then(([code]) => code as number | null);
  }

  static async start(
    site: { folder: string; pki: string },
    name: string,
    more: string[] = [],
  ): Promise<Daemon> {
    const place = [
      "--state",
      join(site.folder, name),
      "--name",
      name,
      "--pki",
      site.pki,
      "--listen",
      "127.0.0.1",
    ];
    const ports = ["--api-port", "0", "--wire-port", "0", "--bulk-ports", "0-0"];
    const daemon = new Daemon([...place, ...ports, "--qemu", qemuBuild("10.0").binary, ...more]);
    const line = once(createInterface(daemon.child.stdout!), "line");
    const first = await Promise.race([line, daemon.exited]);
    if (!Array.isArray(first)) throw new Error(`the agent ended with ${first}: ${daemon.log}`);
    daemon.ready = JSON.parse(first[0]);
    const credentials = await loadCredentials(site.pki, "operator");
    daemon.client = new AgentClient({ url: `https://127.0.0.1:${daemon.ready.apiPort}`, credentials });
    return daemon;
  }

  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    this.child.kill(signal);
    await this.client?.close();
    return await this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
  }
}

/** Whether a process runs. One that nobody has waited for yet (an orphan's parent may be slow) has ended. */
function alive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z /s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

test("a VM outlives its agent, killed or ended, and the next agent finds and stops it", async () => {
  await using site = await makeSite();
  let pid: number;
  {
    await using first = await Daemon.start(site, "alpha");
    const started = await first.client.startMachine(machine);
    assert.equal(started.state, "running");
    pid = started.pid!;
    await first.end("SIGKILL");
  }
  assert.ok(alive(pid));
  {
    await using second = await Daemon.start(site, "alpha");
    const found = await second.client.machine("empty");
    assert.deepEqual([found.state, found.pid], ["running", pid]);
    assert.equal(await second.end("SIGTERM"), 0);
  }
  assert.ok(alive(pid));
  await using third = await Daemon.start(site, "alpha");
  assert.equal((await third.client.stopMachine("empty")).state, "stopped");
  assert.equal(alive(pid), false);
  await third.client.deleteMachine("empty");
  assert.equal(await third.end("SIGINT"), 0);
});

test("a VM whose QEMU was killed while no agent ran is crashed and can be started again", async () => {
  await using site = await makeSite();
  let pid: number;
  {
    await using first = await Daemon.start(site, "alpha");
    pid = (await first.client.startMachine(machine)).pid!;
    await first.end("SIGKILL");
  }
  process.kill(pid, "SIGKILL");
  await using second = await Daemon.start(site, "alpha");
  assert.equal((await second.client.machine("empty")).state, "crashed");
  assert.equal((await second.client.startMachine(machine)).state, "running");
  await second.client.stopMachine("empty");
});

test("an agent refuses a state folder that has one, and a port that is taken", async () => {
  await using site = await makeSite();
  await using first = await Daemon.start(site, "alpha");
  const same = new Daemon(["--state", first.ready.stateFolder, "--name", "alpha", "--pki", site.pki]);
  assert.equal(await same.exited, exitCodes.occupied);
  assert.match(same.log, /GODWIT_STATE_LOCKED/);
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  for (const option of ["--api-port", "--wire-port"]) {
    const state = join(site.folder, "other");
    const words = ["--state", state, "--name", "beta", "--pki", site.pki, "--listen", "127.0.0.1"];
    const ports = ["--api-port", "0", "--wire-port", "0", option, String(port)];
    const taken = new Daemon([...words, ...ports]);
    assert.equal(await taken.exited, exitCodes.occupied);
    assert.match(taken.log, new RegExp(`GODWIT_PORT_TAKEN|port ${port} is taken`));
  }
  server.close();
});

test("a machine file with nonsense says what is wrong and leaves nothing", async () => {
  await using site = await makeSite();
  await using agent = await Daemon.start(site, "alpha");
  const bad = "name: bad\nmemory: lots\nspeed: fast\n";
  await assert.rejects(agent.client.startMachine(bad), (error: { code: string; message: string }) => {
    assert.equal(error.code, "GODWIT_MACHINE_FILE");
    assert.match(error.message, /memory/);
    assert.match(error.message, /speed/);
    return true;
  });
  const missing = `${machine}kernel: ./no-such-kernel\n`;
  await assert.rejects(agent.client.startMachine(missing, { baseFolder: site.folder }), {
    code: "GODWIT_FILE_MISSING",
  });
  assert.deepEqual(await agent.client.listMachines(), []);
});

test("two agents move a VM there and back, and the command line tells it", async () => {
  await using site = await makeSite();
  await using alpha = await Daemon.start(site, "alpha");
  await using beta = await Daemon.start(site, "beta");
  const file = join(site.folder, "empty.yaml");
  writeFileSync(file, machine);
  const godwit = async (agent: Daemon, ...words: string[]) => {
    const environment = {
      ...process.env,
      GODWIT_AGENT: `127.0.0.1:${agent.ready.apiPort}`,
      GODWIT_PKI: site.pki,
    };
    const child = spawn(program, words, { env: environment, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    child.stdout.on("data", (text) => {
      out += text;
    });
    child.stderr.on("data", (text) => {
      out += text;
    });
    const [code] = await once(child, "close");
    return { code, out };
  };
  assert.equal((await godwit(alpha, "vm", "start", file)).code, 0);
  for (const [from, to] of [
    [alpha, beta],
    [beta, alpha],
  ] as const) {
    const there = `127.0.0.1:${to.ready.wirePort}`;
    const moved = await godwit(from, "migrate", "empty", there, "--peer-name", to.ready.name);
    assert.equal(moved.code, 0, moved.out + from.log + to.log);
    assert.match(moved.out, new RegExp(`empty runs at ${to.ready.name} now`));
    assert.equal((await from.client.machine("empty")).state, "departed");
    assert.equal((await to.client.machine("empty")).state, "running");
  }
  assert.equal((await godwit(alpha, "vm", "stop", "empty")).out, "empty is stopped\n");
});

/** With a kernel there is enough to send: an empty machine is moved before anybody can interfere. */
function machineWithKernel(): string {
  const { kernel, initrd } = guestImage();
  return `name: empty\nmemory: 131080KiB\nkernel: ${kernel}\ninitrd: ${initrd}\n`;
}

/** Begins a move so slow that it stays in its live phase, and waits until it is there. */
async function beginSlowMove(from: Daemon, to: Daemon): Promise<{ id: string; pid: number }> {
  const { pid } = await from.client.startMachine(machineWithKernel());
  await kernelLoaded(pid!);
  const { id } = await from.client.migrate({
    machine: "empty",
    destination: { host: "127.0.0.1", port: to.ready.wirePort, name: to.ready.name },
    settings: { bandwidthBytesPerSecond: 65_536, compression: "none" },
  });
  for await (const event of from.client.events(id)) {
    if (event.type === "report") throw new Error(`it ended early: ${JSON.stringify(event.report)}`);
    if (event.type === "phase" && event.phase === "live") break;
  }
  assert.equal((await to.client.machine("empty")).state, "incoming");
  return { id, pid: pid! };
}

/** Waits until the firmware has loaded the initrd: QEMU holds some 60 MiB more then. */
async function kernelLoaded(pid: number): Promise<void> {
  const LOADED_KIB = 100 * 1024;
  for (;;) {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    if (Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) > LOADED_KIB) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Moves the VM at full speed. */
async function move(from: Daemon, to: Daemon): Promise<void> {
  const destination = { host: "127.0.0.1", port: to.ready.wirePort, name: to.ready.name };
  const { id } = await from.client.migrate({ machine: "empty", destination });
  for await (const event of from.client.events(id)) {
    if (event.type === "report")
      assert.equal(event.report.outcome, "completed", JSON.stringify(event.report));
  }
}

/** Waits until the VM is gone from a host. */
async function goneFrom(agent: Daemon): Promise<void> {
  while ((await agent.client.listMachines()).length > 0)
    await new Promise((resolve) => setTimeout(resolve, 20));
}

test("a source's agent that is killed in live has its VM running again after its restart", async () => {
  await using site = await makeSite();
  await using beta = await Daemon.start(site, "beta");
  let begun: { id: string; pid: number };
  {
    await using alpha = await Daemon.start(site, "alpha");
    begun = await beginSlowMove(alpha, beta);
    await alpha.end("SIGKILL");
  }
  await goneFrom(beta);
  await using alpha = await Daemon.start(site, "alpha");
  const found = await alpha.client.machine("empty");
  assert.deepEqual([found.state, found.pid], ["running", begun.pid]);
  assert.equal((await alpha.client.migration(begun.id)).outcome, "failed");
  await assert.rejects(alpha.client.report(begun.id), { code: "GODWIT_MIGRATION_NO_REPORT" });
  await move(alpha, beta);
  await beta.client.stopMachine("empty");
});

test("a source's agent that is told to end in live cancels the move; the VM runs on", async () => {
  await using site = await makeSite();
  await using beta = await Daemon.start(site, "beta");
  let begun: { id: string; pid: number };
  {
    await using alpha = await Daemon.start(site, "alpha");
    begun = await beginSlowMove(alpha, beta);
    assert.equal(await alpha.end("SIGTERM"), 0);
  }
  await goneFrom(beta);
  await using alpha = await Daemon.start(site, "alpha");
  const found = await alpha.client.machine("empty");
  assert.deepEqual([found.state, found.pid], ["running", begun.pid]);
  assert.equal((await alpha.client.report(begun.id)).outcome, "cancelled");
  await alpha.client.stopMachine("empty");
});

test("a destination's agent that is killed in live leaves the VM at the source and, restarted, nothing", async () => {
  await using site = await makeSite();
  await using alpha = await Daemon.start(site, "alpha");
  let begun: { id: string };
  {
    await using beta = await Daemon.start(site, "beta");
    begun = await beginSlowMove(alpha, beta);
    await beta.end("SIGKILL");
  }
  for await (const event of alpha.client.events(begun.id)) {
    if (event.type !== "report") continue;
    assert.equal(event.report.outcome, "failed");
    assert.equal(event.report.error?.vmState, "running at the source");
  }
  assert.equal((await alpha.client.machine("empty")).state, "running");
  await using beta = await Daemon.start(site, "beta");
  assert.deepEqual(await beta.client.listMachines(), []);
  assert.equal((await beta.client.migration(begun.id)).outcome, "failed");
  await move(alpha, beta);
  await beta.client.stopMachine("empty");
});
