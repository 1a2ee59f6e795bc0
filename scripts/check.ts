import { join } from "node:path";
import { parseArgs } from "node:util";
import { runStages, type Stage } from "./stages.ts";

const root = join(import.meta.dirname, "..");
const biome = join(root, "node_modules/@biomejs/cli-linux-x64/biome");
const testRun = [process.execPath, "--test", "--test-reporter=spec"];

const stages: readonly Stage[] = [
  { name: "lint", commands: [[biome, "check", "--error-on-warnings", "."]] },
  { name: "types", commands: [[join(root, "node_modules/.bin/tsc"), "--noEmit"]] },
  // That the rules for imports hold is part of lint; that they see anything is tested here, and what docs promise.
  { name: "rules", commands: [[...testRun, "scripts/**/*.test.ts"]] },
  // Node alone would leave one core to itself, and so the only other one of two cores to all the files.
  { name: "unit", commands: [[...testRun, "--test-concurrency=2", "src/**/*.test.ts"]] },
  // Two files at a time: while a guest boots or fills its memory it keeps one core busy and no more. Every test has hosts,
  // folders and QEMUs of its own, and waits for events. What a guest says of its free pages is of use only while pages
  // wait for it, so the tests of that have the machine to themselves.
  {
    name: "system",
    commands: [
      [...testRun, "--test-concurrency=2", "--test-timeout=300000", "test/**/!(free-pages).test.ts"],
      [...testRun, "--test-timeout=300000", "test/free-pages.test.ts"],
    ],
  },
];

const names = stages.map(({ name }) => name).join(", ");
const usage = `Usage: scripts/check [--keep-going] [STAGE…]

Runs the checks in order (${names}), or only those named, until one fails.

  --keep-going  run the later ones too; the exit code is 1 all the same
`;

function chosen(): { keepGoing: boolean; stages: readonly Stage[] } {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { "keep-going": { type: "boolean" }, help: { type: "boolean", short: "h" } },
  });
  if (values.help === true) {
    process.stdout.write(usage);
    process.exit(0);
  }
  const unknown = positionals.find((name) => stages.every((stage) => stage.name !== name));
  if (unknown !== undefined) throw new Error(`there is no stage "${unknown}": there are ${names}`);
  return {
    keepGoing: values["keep-going"] === true,
    stages: positionals.length === 0 ? stages : stages.filter(({ name }) => positionals.includes(name)),
  };
}

function parsed(): ReturnType<typeof chosen> {
  try {
    return chosen();
  } catch (error) {
    process.stderr.write(`check: ${(error as Error).message}\n${usage}`);
    process.exit(2);
  }
}

const end = new AbortController();
process.once("SIGINT", () => end.abort());
process.once("SIGTERM", () => end.abort());

const choice = parsed();
const startedMs = performance.now();
const results = await runStages(choice.stages, {
  folder: root,
  // Test files, threads and processes that they start load the same modules over and over: compiled once, they start
  // three times as fast.
  environment: {
    ...process.env,
    PATH: `${join(root, "node_modules/.bin")}:${process.env.PATH ?? ""}`,
    NODE_COMPILE_CACHE: join(root, "build/node-cache"),
  },
  keepGoing: choice.keepGoing,
  signal: end.signal,
  say: (line) => process.stdout.write(`check: ${line}\n`),
});
const passed = results.every(({ outcome }) => outcome === "passed");
const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
process.stdout.write(`check: ${passed ? "all passed" : "FAILED"} after ${seconds} s\n`);
process.exitCode = passed ? 0 : 1;
