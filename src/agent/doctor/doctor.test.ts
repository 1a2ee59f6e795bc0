import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { Credentials } from "../../wire/index.ts";
import { type TestScope, temporaryFolder, testCertificates } from "../testing/fake-agent.ts";
import { certificatesCheck } from "./certificates.ts";
import { type Check, type ExaminedHost, finding } from "./check.ts";
import { checks, examineHost } from "./doctor.ts";
import { diskCheck, memoryCheck } from "./limits.ts";
import { portsCheck } from "./ports.ts";
import { qemuCheck } from "./qemu.ts";

const host: ExaminedHost = {
  stateFolder: "/tmp",
  qemu: "qemu-system-x86_64",
  certificates: null,
  listen: "127.0.0.1",
  ports: { api: 0, wire: 0, bulk: { from: 0, to: 0 } },
  agentRuns: false,
  machines: [],
};

function fakeQemu(scope: TestScope, says: string): string {
  const path = join(temporaryFolder(scope), "qemu");
  writeFileSync(path, `#!/bin/sh\necho "${says}"\n`);
  chmodSync(path, 0o755);
  return path;
}

function writeCredentials(scope: TestScope, { caPem, certPem, keyPem }: Credentials) {
  const folder = temporaryFolder(scope);
  const files = { ca: join(folder, "ca"), cert: join(folder, "cert"), key: join(folder, "key") };
  writeFileSync(files.ca, caPem);
  writeFileSync(files.cert, certPem);
  writeFileSync(files.key, keyPem);
  return files;
}

const run = async (check: Check, given: Partial<ExaminedHost> = {}) => await check.run({ ...host, ...given });

test("the worst finding decides, and a check that breaks is a warning, not an end", async () => {
  const ok: Check = { name: "a", run: () => [finding("a", "ok", "good")] };
  const broken: Check = {
    name: "b",
    run() {
      throw new Error("no /proc here");
    },
  };
  const bad: Check = { name: "c", run: () => [finding("c", "fail", "bad", "mend it")] };
  assert.equal((await examineHost({}, [ok])).status, "ok");
  const warned = await examineHost({ name: "alpha" }, [broken, ok]);
  assert.equal(warned.status, "warn");
  assert.deepEqual(warned.findings[0], finding("b", "warn", "the check itself failed: no /proc here"));
  assert.equal((await examineHost({}, [ok, bad, broken])).status, "fail");
});

test("every check runs on this host, and whatever is not right comes with advice", async () => {
  const { findings } = await examineHost({ ports: host.ports, stateFolder: "/tmp/not/made/yet" });
  assert.ok(findings.length >= checks.length);
  for (const { check, status, message, advice } of findings) {
    assert.notEqual(message, "");
    if (status !== "ok") assert.ok(advice !== undefined && advice !== "", `${check}: ${message}`);
    assert.doesNotMatch(message, /the check itself failed/);
  }
});

test("versions of QEMU are told apart, and the one that loses dirty pages is warned of", async (context) => {
  const statuses = async (version: string) => {
    const qemu = fakeQemu(context, `QEMU emulator version ${version}`);
    const findings = await run(qemuCheck, { qemu });
    return findings.slice(0, version.startsWith("7") ? 2 : 1).map(({ status }) => status);
  };
  assert.deepEqual(await statuses("10.0.2"), ["ok"]);
  assert.deepEqual(await statuses("7.2.22"), ["ok", "warn"]);
  assert.deepEqual(await statuses("6.2.0"), ["fail"]);
  assert.equal((await run(qemuCheck, { qemu: "/nowhere/qemu" }))[0]?.status, "fail");
  assert.equal((await run(qemuCheck, { qemu: fakeQemu(context, "hello") }))[0]?.status, "fail");
});

test("certificates that are good, expired, of another authority or not there are told apart", async (context) => {
  const made = await testCertificates();
  const statuses = async (credentials: Credentials) => {
    const certificates = writeCredentials(context, credentials);
    return (await run(certificatesCheck, { certificates })).map(({ status }) => status);
  };
  assert.deepEqual(await statuses(made.alpha), ["ok", "ok"]);
  assert.deepEqual(await statuses(made.expired), ["ok", "fail"]);
  assert.deepEqual(await statuses(made.mistrustful), ["ok", "ok", "fail"]);
  const nowhere = { ca: "/nowhere/ca", cert: "/nowhere/cert", key: "/nowhere/key" };
  assert.equal((await run(certificatesCheck, { certificates: nowhere }))[0]?.status, "fail");
  assert.equal((await run(certificatesCheck))[0]?.status, "warn");
});

test("ports that are taken are found, unless the agent itself has them", async (context) => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => server.close());
  const { port } = server.address() as { port: number };
  const ports = { api: port, wire: 0, bulk: { from: port, to: port } };
  const free = await run(portsCheck, { ports });
  assert.deepEqual(
    free.map(({ status }) => status),
    ["fail", "ok", "fail"],
  );
  const ours = await run(portsCheck, { ports, agentRuns: true });
  assert.deepEqual(
    ours.map(({ status }) => status),
    ["ok", "ok", "fail"],
  );
});

test("memory and disk are told in amounts", async () => {
  assert.match((await run(memoryCheck))[0]!.message, /[GM]iB available$/);
  assert.match((await run(diskCheck))[0]!.message, /iB free for \/tmp$/);
});
