import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type FakeAgent, machineFile, startFakeAgent, type TestScope } from "../agent/testing/fake-agent.ts";
import { runCommandLine } from "./program.ts";
import { run, testTerminal } from "./testing.ts";

interface Setting {
  readonly agent: FakeAgent;
  readonly environment: Record<string, string>;
  readonly file: string;
}

async function setting(scope: TestScope): Promise<Setting> {
  const agent = await startFakeAgent(scope);
  const file = join(agent.folder, "web.yaml");
  writeFileSync(file, machineFile("web"));
  const environment = { GODWIT_AGENT: agent.url, GODWIT_PKI: agent.folder };
  return { agent, environment, file };
}

/** Resolves when the agent has begun its n-th migration. */
async function migration({ agent }: Setting, number = 1) {
  while (agent.migrations.length < number) await new Promise((resolve) => setImmediate(resolve));
  return agent.migrations[number - 1]!;
}

test("--version and --help are no errors, nonsense is a usage error", async () => {
  assert.deepEqual(await run(["--version"]), { code: 0, out: "1.2.3\n", err: "" });
  const help = await run(["--help"]);
  assert.equal(help.code, 0);
  for (const command of [
    "agent",
    "vm",
    "migrate",
    "migrations",
    "cancel",
    "resolve",
    "doctor",
    "pki",
    "inspect",
  ]) {
    assert.match(help.out, new RegExp(`^ {2}${command} `, "m"));
  }
  for (const words of [["bogus"], ["vm", "bogus"], ["migrate", "web"], ["vm", "list", "--bogus"]]) {
    const { code, err } = await run(words);
    assert.equal(code, 2, words.join(" "));
    assert.match(err, /^error: /);
  }
});

test("wrong values of options are usage errors before an agent is asked", async (context) => {
  const { environment, agent } = await setting(context);
  await agent.client.startMachine(machineFile("web"));
  const wrong = [
    ["migrate", "web", "beta:0"],
    ["migrate", "web", "[beta]:7481"],
    ["migrate", "web", "beta", "--strategy", "teleport"],
    ["migrate", "web", "beta", "--bandwidth", "fast"],
    ["migrate", "web", "beta", "--bandwidth", "1"],
    ["migrate", "web", "beta", "--downtime-limit", "-3"],
    ["migrate", "web", "beta", "--connections", "99"],
    ["vm", "list", "--agent", "ftp://x"],
    ["vm", "list", "--ca", "only.crt"],
  ];
  for (const words of wrong) assert.equal((await run(words, environment)).code, 2, words.join(" "));
  assert.equal(agent.migrations.length, 0);
});

test("an agent that can't be reached or lacks trust gives exit code 3 with advice", async (context) => {
  const { environment } = await setting(context);
  const gone = await run(["vm", "list"], { ...environment, GODWIT_AGENT: "https://127.0.0.1:9" });
  assert.equal(gone.code, 3);
  assert.match(gone.err, /code {4}GODWIT_AGENT_UNREACHABLE\n {2}do {6}is `godwit agent` running/);
  const named = await run(["vm", "list", "--agent-name", "gamma", "--json"], environment);
  assert.equal(named.code, 3);
  assert.equal(JSON.parse(named.out).error.code, "GODWIT_AGENT_NOT_TRUSTED");
  const lost = await run(["vm", "list"], { ...environment, GODWIT_PKI: "/nowhere" });
  assert.equal(lost.code, 3);
  assert.match(lost.err, /GODWIT_CREDENTIALS/);
});

test("VMs are started, listed, shown, stopped and forgotten, for people and as JSON", async (context) => {
  const { environment, file } = await setting(context);
  const started = await run(["vm", "start", file], environment);
  assert.match(started.out, /^web is running, process \d+\n$/);
  const list = await run(["vm", "list"], environment);
  assert.match(
    list.out,
    /^NAME +STATE +FOR +MEMORY +VCPUS +QEMU +PID\nweb +running +\d+ s +16\.6 MiB +1 +10\.0\.2 +\d+\n$/,
  );
  const json = JSON.parse((await run(["vm", "list", "--json"], environment)).out);
  assert.equal(json[0].name, "web");
  const again = await run(["vm", "start", file], environment);
  assert.equal(again.code, 1);
  assert.match(again.err, /code {4}GODWIT_VM_STATE\n {2}VM {6}running\n {2}do {6}/);
  assert.match((await run(["vm", "show", "web"], environment)).out, /^state +running$/m);
  assert.equal((await run(["vm", "stop", "web"], environment)).out, "web is stopped\n");
  assert.equal((await run(["vm", "delete", "web", "--json"], environment)).out, '{"deleted":"web"}\n');
  const unknown = await run(["vm", "show", "web", "--json"], environment);
  assert.equal(unknown.code, 1);
  assert.equal(JSON.parse(unknown.out).error.code, "GODWIT_VM_UNKNOWN");
  writeFileSync(file, "name: odd\nmemory: 16MiB\n");
  assert.equal(
    (await run(["vm", "start", file], environment)).err,
    "warning: it loses pages: take another size\n",
  );
  assert.match((await run(["vm", "show", "odd"], environment)).out, /^warning +it loses pages/m);
  assert.equal((await run(["vm", "start", "/nowhere.yaml"], environment)).code, 1);
});

test("migrate passes its settings on and prints lines in a pipe", async (context) => {
  const at = await setting(context);
  await at.agent.client.startMachine(machineFile("web"));
  const words = ["migrate", "web", "127.0.0.1:7999", "--peer-name", "beta", "--strategy", "stop-and-copy"];
  const options = ["--bandwidth", "1Gbit/s", "--downtime-limit", "30ms", "--compression", "zstd"];
  const more = ["--contents", "stream", "--resume-set", "kernel,learned"];
  const running = run([...words, ...options, ...more], at.environment);
  const fake = await migration(at);
  const { destination, settings } = fake.request;
  assert.deepEqual(destination, { host: "127.0.0.1", port: 7999, name: "beta" });
  assert.deepEqual(settings, {
    strategy: "stop-and-copy",
    bandwidthBytesPerSecond: 125e6,
    downtimeLimitMs: 30,
    compression: "zstd",
    contents: "stream",
    workingSet: "auto",
    dropCache: false,
    resumeSet: ["kernel", "learned"],
    bulkConnections: 2,
  });
  fake.progress(400);
  fake.finish("completed");
  const { code, out, err } = await running;
  assert.equal(code, 0, err);
  assert.match(out, /preflight\n/);
  assert.match(
    out,
    /live: 119 MiB\/s, 400 of 1,000 pages owed, round 2, 1\.5 s left \(the guest dirties less/,
  );
  assert.match(out, /\nweb runs at beta now \(stop-and-copy, 2\.0 s\)\n {2}downtime {2}20 ms\n/);
  assert.match(err, /^migration \S+: web to 127\.0\.0\.1:7999\n$/);
});

test("migrate --json prints every event as a line and the report last", async (context) => {
  const at = await setting(context);
  await at.agent.client.startMachine(machineFile("web"));
  const running = run(["migrate", "web", "beta", "--json"], at.environment);
  const fake = await migration(at);
  fake.progress(1);
  fake.finish("completed");
  const { code, out, err } = await running;
  const events = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.equal(code, 0);
  assert.equal(err, "");
  assert.deepEqual(
    events.map(({ type }) => type),
    ["phase", "progress", "phase", "report"],
  );
  assert.equal(events.at(-1).report.vm, "web");
});

test("the exit code and the error tell how a migration ended", async (context) => {
  const at = await setting(context);
  const codes = { failed: 1, cancelled: 5, "in-doubt": 4 } as const;
  let number = 0;
  for (const [outcome, expected] of Object.entries(codes)) {
    number += 1;
    await at.agent.client.startMachine(machineFile(`vm${number}`));
    const running = run(["migrate", `vm${number}`, "beta"], at.environment);
    (await migration(at, number)).finish(outcome as keyof typeof codes);
    const { code, err } = await running;
    assert.equal(code, expected, outcome);
    if (outcome === "failed") {
      assert.match(
        err,
        /error: the link was cut\n {2}code {4}GODWIT_LINK_LOST\n {2}side {4}source\n {2}phase {3}live\n {2}VM {6}running at the source\n {2}do {6}try again\n$/,
      );
    }
  }
});

test("the first Ctrl-C cancels, and says that the VM stays", async (context) => {
  const at = await setting(context);
  await at.agent.client.startMachine(machineFile("web"));
  const terminal = testTerminal(at.environment);
  const running = runCommandLine(["migrate", "web", "beta"], terminal, "1");
  (await migration(at)).progress(500);
  while (!terminal.out().includes("live:")) await new Promise((resolve) => setImmediate(resolve));
  terminal.interrupt();
  assert.equal(await running, 130);
  assert.match(terminal.err(), /cancelling; Ctrl-C again stops watching/);
  assert.match(terminal.out(), /migration cancelled: web stays at alpha/);
});

test("the second Ctrl-C stops watching, says what the VM does, and the migration goes on", async (context) => {
  const at = await setting(context);
  await at.agent.client.startMachine(machineFile("web"));
  const terminal = testTerminal(at.environment);
  const running = runCommandLine(["migrate", "web", "beta"], terminal, "1");
  const fake = await migration(at);
  fake.cancelAnswer = "too-late";
  fake.progress(500);
  while (!terminal.out().includes("live:")) await new Promise((resolve) => setImmediate(resolve));
  terminal.interrupt();
  while (!terminal.err().includes("too late")) await new Promise((resolve) => setImmediate(resolve));
  terminal.interrupt();
  assert.equal(await running, 130);
  assert.match(terminal.err(), /goes on without us; the VM is migrating-out at the source now/);
  const [listed] = await at.agent.client.listMigrations();
  const { active, id } = listed!;
  assert.equal(active, true);
  fake.finish("completed");
  const shown = await run(["migrations", id, "--follow", "--json"], at.environment);
  assert.equal(shown.code, 0);
  assert.equal(JSON.parse(shown.out.trimEnd().split("\n").at(-1)!).type, "report");
});

test("on a terminal a bar shows phase, rate, owed pages and why it takes as long as it does", async (context) => {
  const at = await setting(context);
  await at.agent.client.startMachine(machineFile("web"));
  const terminal = testTerminal(at.environment, { interactive: true });
  const running = runCommandLine(["migrate", "web", "beta"], terminal, "1");
  const fake = await migration(at);
  fake.progress(250);
  while (!terminal.err().includes("pages owed")) await new Promise((resolve) => setImmediate(resolve));
  fake.finish("completed");
  assert.equal(await running, 0);
  assert.match(
    terminal.err(),
    /live +\S+ 75% · 119 MiB\/s · 250 pages owed · 1\.5 s left \(the guest dirties less/,
  );
  assert.match(terminal.out(), /^web runs at beta now/);
});

test("a detached migration is listed, shown and cancelled", async (context) => {
  const at = await setting(context);
  await at.agent.client.startMachine(machineFile("web"));
  const { out } = await run(["migrate", "web", "beta", "--detach"], at.environment);
  const id = out.trim();
  const list = await run(["migrations"], at.environment);
  assert.match(list.out, new RegExp(`^ID +VM +PEER +BEGUN +STATE\n${id} +web +to beta +\\d+ s ago +\\w+\n$`));
  assert.match((await run(["migrations", id], at.environment)).out, /web, outgoing, under way/);
  assert.equal((await run(["cancel", id], at.environment)).out, `migration ${id} is cancelled\n`);
  const again = await run(["cancel", id], at.environment);
  assert.equal(again.code, 1);
  assert.match(again.err, /GODWIT_MIGRATION_OVER/);
  assert.match(
    (await run(["migrations", id], at.environment)).out,
    /^migration cancelled: web stays at alpha/,
  );
});

test("who has a VM in doubt is said in one clear word", async (context) => {
  const at = await setting(context);
  for (const [number, words, said] of [
    [1, "--here", "web is running on this host"],
    [2, "--there", "web is left to beta; its QEMU here has ended"],
  ] as const) {
    if (number === 1) await at.agent.client.startMachine(machineFile("web"));
    const { out } = await run(["migrate", "web", "beta", "--detach"], at.environment);
    const id = out.trim();
    assert.equal((await run(["resolve", id], at.environment)).code, 2);
    assert.equal((await run(["resolve", id, "--here", "--there"], at.environment)).code, 2);
    assert.match((await run(["resolve", id, words], at.environment)).err, /GODWIT_NOT_IN_DOUBT/);
    (await migration(at, number)).cancelAnswer = "too-late";
    assert.equal((await run(["resolve", id, words], at.environment)).out, `${said}\n`);
  }
});

test("doctor prints what the agent found, and looks at this host where none is named", async (context) => {
  const { environment } = await setting(context);
  const asked = await run(["doctor"], environment);
  assert.deepEqual(asked, { code: 0, out: "warn  KVM: not there\n      switch it on\n", err: "" });
  const local = await run(["doctor", "--local", "--json", "--qemu", "/nowhere/qemu"], {});
  assert.equal(local.code, 1);
  const { status, findings } = JSON.parse(local.out);
  assert.equal(status, "fail");
  assert.ok(
    findings.some(({ check, status }: Record<string, string>) => check === "QEMU" && status === "fail"),
  );
});

test("metal lists its devices without an agent, captures a machine's, and moves it by rebuilding them", async (context) => {
  const devices = JSON.parse((await run(["metal", "devices", "--json"])).out) as { name: string }[];
  assert.ok(devices.some(({ name }) => name === "rtl8139"));
  assert.match((await run(["metal", "devices"])).out, /^## 8254 interval timer$/m);

  const own = await setting(context);
  await own.agent.client.startMachine(machineFile("web"));
  const captured = await run(["metal", "capture", "web", "--show"], own.environment);
  assert.deepEqual(JSON.parse(captured.out), { format: 1, devices: {}, shadows: {} });
  assert.equal((await run(["metal", "capture", "nobody"], own.environment)).code, 1);

  const { code } = await run(["metal", "migrate", "web", "beta", "--detach"], own.environment);
  assert.equal(code, 0);
  assert.deepEqual((await migration(own)).request.settings.metal, { leaveOut: [] });
});
