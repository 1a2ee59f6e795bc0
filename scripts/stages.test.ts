import assert from "node:assert/strict";
import { test } from "node:test";
import { type RunOptions, runStages, type Stage } from "./stages.ts";

const pass = [process.execPath, "-e", "process.exit(0)"];
const fail = [process.execPath, "-e", "process.exit(3)"];
const leave = [
  process.execPath,
  "-e",
  `require("node:child_process").spawn(process.execPath, ["-e", "setTimeout(() => {}, 60_000)", "stray"],
    { detached: true, stdio: "ignore" }).unref()`,
];
const hang = [process.execPath, "-e", "setInterval(() => {}, 1000)"];

async function outcomes(stages: readonly Stage[], more: Partial<RunOptions> = {}): Promise<string[]> {
  const results = await runStages(stages, {
    folder: import.meta.dirname,
    environment: process.env,
    say: () => {},
    ...more,
  });
  return results.map(({ outcome }) => outcome);
}

test("stages run in order until one fails, and the others are told as not run", async () => {
  const lines: string[] = [];
  const stages = [
    { name: "first", commands: [pass] },
    { name: "second", commands: [pass, fail, hang] },
    { name: "third", commands: [pass] },
  ];
  assert.deepEqual(await outcomes(stages, { say: (line) => lines.push(line) }), [
    "passed",
    "failed",
    "not run",
  ]);
  assert.match(lines.at(-2)!, /^failed {3}second +\d+\.\d s$/);
  assert.equal(lines.at(-1), "not run  third");
});

test("with keepGoing the later stages run as well", async () => {
  const stages = [
    { name: "first", commands: [fail] },
    { name: "second", commands: [pass] },
  ];
  assert.deepEqual(await outcomes(stages, { keepGoing: true }), ["failed", "passed"]);
});

test("a program that does not exist fails its stage", async () => {
  assert.deepEqual(await outcomes([{ name: "first", commands: [["/nowhere/program"]] }]), ["failed"]);
});

test("an ended run ends what runs and begins nothing more", async () => {
  const end = new AbortController();
  const stages = [
    { name: "first", commands: [hang] },
    { name: "second", commands: [pass] },
  ];
  const running = outcomes(stages, { signal: end.signal, say: () => setImmediate(() => end.abort()) });
  assert.deepEqual(await running, ["failed", "not run"]);
});

test("a process that outlives its stage fails it and is named", async () => {
  const lines: string[] = [];
  const options = { graceMs: 0, say: (line: string) => lines.push(line) };
  assert.deepEqual(await outcomes([{ name: "first", commands: [leave] }], options), ["failed"]);
  assert.match(lines.join("\n"), /^left behind and ended: process \d+, .* stray$/m);
});
