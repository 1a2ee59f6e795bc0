import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { canMakeNamespaces } from "../src/lab/index.ts";
import { labResultSchema } from "../src/lab/lab-result.ts";
import { namespaceNames } from "../src/lab/run-name.ts";

const program = join(import.meta.dirname, "../src/lab/main.ts");
const needsRoot = canMakeNamespaces() ? {} : { skip: "network namespaces need root" };

/** A guest that boots and moves within seconds. */
const small = ["--memory", "256MiB", "--hold", "48MiB", "--free-memory", "untouched"];

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function lab(...parameters: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [program, "migrate", ...parameters], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  const ended = once(child, "close").then(([code]) => ({ code, stdout, stderr }));
  return { child, ended };
}

function lastLine({ stdout }: Ended): unknown {
  return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");
}

function leftOf(child: ChildProcess): string[] {
  const folders = readdirSync(tmpdir()).filter((name) => name.startsWith(`godwit-lab-${child.pid}-`));
  return [...folders, ...namespaceNames().filter((name) => name.startsWith(`godwit-${child.pid}-`))];
}

for (const engine of ["qemu", "godwit"]) {
  test(
    `a move by ${engine} is measured from outside, verified by the guest and leaves nothing`,
    needsRoot,
    async () => {
      const { child, ended } = lab("--engine", engine, ...small, "--dirty", "5MB/s", "--hot", "4MiB");
      const end = await ended;
      const result = labResultSchema.parse(lastLine(end));
      assert.equal(end.code, 0, end.stderr);
      assert.equal(result.outcome, "completed");
      assert.equal(result.engine, engine);
      assert.equal(result.guestVerified, true);
      assert.equal(result.sourceEnded, true);
      assert.ok(result.pauseSeenMs !== null && result.pauseSeenMs > 0);
      assert.ok(result.switchoverPauseSeenMs !== null && result.switchoverPauseSeenMs <= result.pauseSeenMs);
      assert.ok(result.downtimeMs !== null && result.downtimeMs > 0);
      assert.ok(result.load !== null && result.load.dirtyBytesPerSecond > 0);
      assert.ok(result.pages.total > 65_536 && result.pages.sent < result.pages.total);
      // What the guest holds does not compress away, and the whole memory does not cross: a third of it is zero.
      assert.ok(
        result.bytesOnWire > 5_000_000 && result.bytesOnWire < 256 * 1024 ** 2,
        `${result.bytesOnWire}`,
      );
      assert.deepEqual(leftOf(child), []);
    },
  );
}

test("latency reaches both engines' connections, and a guest that moved comes back", needsRoot, async () => {
  const { ended } = lab("--engine", "godwit", ...small, "--latency", "2ms", "--round-trips", "1", "--json");
  const end = await ended;
  const lines = end.stdout.trimEnd().split("\n");
  const [there, back, medians] = lines.map((line) => labResultSchema.parse(JSON.parse(line)));
  assert.equal(lines.length, 3);
  assert.equal(there?.direction, "a-to-b");
  assert.equal(back?.direction, "b-to-a");
  assert.equal(medians?.guestVerified, true);
  assert.equal(end.code, 0, end.stderr);
});

test("stock QEMU that stops the guest first delivers it running, and all of the move is downtime", async () => {
  const { ended } = lab("--engine", "qemu", "--strategy", "stop-and-copy", "--hosts", "loopback", ...small);
  const end = await ended;
  const result = labResultSchema.parse(lastLine(end));
  assert.equal(end.code, 0, end.stderr);
  assert.equal(result.guestVerified, true);
  assert.ok(result.downtimeMs! > 0.8 * result.totalMs!, `${result.downtimeMs} of ${result.totalMs} ms`);
});

test("by post-copy of stock QEMU a guest waits for pages, and how long is known", async () => {
  const { ended } = lab("--engine", "qemu", "--strategy", "post-copy", "--hosts", "loopback", ...small);
  const end = await ended;
  const result = labResultSchema.parse(lastLine(end));
  assert.equal(end.code, 0, end.stderr);
  assert.equal(result.guestVerified, true);
  assert.ok(
    result.pages.faulted > 0 && result.stalledMs! > 0,
    `${result.pages.faulted}, ${result.stalledMs}`,
  );
});

for (const engine of ["qemu", "godwit"]) {
  test(`a move by ${engine} that takes longer than it may is given up, and the guest runs on whole`, async () => {
    const slow = ["--hosts", "loopback", "--link", "4Mbit/s", "--give-up", "1s"];
    const { ended } = lab("--engine", engine, ...small, ...slow);
    const end = await ended;
    const result = labResultSchema.parse(lastLine(end));
    assert.equal(end.code, 1, end.stderr);
    assert.ok(["failed", "cancelled"].includes(result.outcome), result.outcome);
    assert.equal(result.guestVerified, true);
  });
}

test("without root the same works on the loopback device, without a client", async () => {
  const { child, ended } = lab("--engine", "qemu", "--hosts", "loopback", ...small);
  const end = await ended;
  const result = labResultSchema.parse(lastLine(end));
  assert.equal(end.code, 0, end.stderr);
  assert.equal(result.hosts, "loopback");
  assert.equal(result.guestVerified, true);
  assert.equal(result.pauseSeenMs, null);
  assert.deepEqual(leftOf(child), []);
});

test("a QEMU that does not run fails with a record, and leaves nothing", async () => {
  const { child, ended } = lab("--engine", "qemu", "--qemu", "/bin/false", ...small);
  const end = await ended;
  assert.equal(end.code, 1);
  const { outcome, error } = lastLine(end) as { outcome: string; error: { code: string } };
  assert.equal(outcome, "failed");
  assert.match(error.code, /^GODWIT_/);
  assert.deepEqual(leftOf(child), []);
});

test("Ctrl-C in the middle of a move takes everything down", needsRoot, async () => {
  for (const engine of ["qemu", "godwit"]) {
    const { child, ended } = lab("--engine", engine, ...small, "--link", "40Mbit/s");
    let said = "";
    await new Promise<void>((resolve) => {
      child.stderr?.on("data", (text) => {
        said += text;
        if (/\d s {2}live/.test(said)) resolve();
      });
      child.once("close", resolve);
    });
    child.kill("SIGINT");
    const end = await ended;
    assert.equal(end.code, 130, end.stderr);
    assert.deepEqual(leftOf(child), []);
  }
});
