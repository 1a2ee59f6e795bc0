import { appendFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { useCompileCache } from "../base/compile-cache.ts";
import { asGodwitError, GodwitError } from "../base/errors.ts";
import type { MigrationEvent } from "../migration/events.ts";
import type { FiguresOptions } from "./figures/figures-command.ts";
import { interruption } from "./interruption.ts";
import type { LabResult } from "./lab-result.ts";
import { type LabSettingsText, readLabSettings } from "./lab-settings.ts";
import { mediansOf } from "./medians.ts";
import { metalCommand } from "./metal-command.ts";
import { runInOwnUserNamespace } from "./own-user-namespace.ts";
import { ResultOutput, type ResultOutputOptions } from "./result-output.ts";
import { describeResult } from "./result-text.ts";
import { runLab } from "./run.ts";

/** More than anybody waits for. */
const MOST_REPEATS = 1000;

interface OwnOptions extends ResultOutputOptions {
  readonly repeat: string;
  readonly probes?: string;
  readonly events?: string;
}

useCompileCache();
process.exitCode = (await runInOwnUserNamespace()) ?? (await main(process.argv.slice(2)));

/** `npm run lab -- …`; resolves with the exit code: 0 when all moves completed and all guests are whole. */
async function main(parameters: readonly string[]): Promise<number> {
  let code = 0;
  const program = new Command("lab").description("two hosts on this machine, to measure migrations");
  migrateOptions(program.command("migrate")).action(async (options: LabSettingsText & OwnOptions) => {
    code = await migrate(options);
  });
  figuresOptions(program.command("figures")).action(async (options: FiguresOptions) => {
    // What draws is large, and a measurement needs none of it.
    const { figuresCommand } = await import("./figures/figures-command.ts");
    code = await figuresCommand(options);
  });
  metalCommand(program, (exitCode) => {
    code = exitCode;
  });
  for (const command of [program, ...program.commands]) command.exitOverride();
  try {
    await program.parseAsync([...parameters], { from: "user" });
    return code;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
    const error = asGodwitError(thrown, "GODWIT_LAB").toJSON();
    process.stderr.write(`${error.message}\n${error.advice === undefined ? "" : `${error.advice}\n`}`);
    process.stdout.write(`${JSON.stringify({ outcome: "failed", error })}\n`);
    return 1;
  }
}

function migrateOptions(command: Command): Command {
  return command
    .description("one measured migration; the last line of stdout is one JSON object")
    .option("--engine <godwit|qemu>", "who moves the guest; qemu: stock QEMU to stock QEMU", "godwit")
    .option(
      "--strategy <name>",
      "stop-and-copy, pre-copy, post-copy, hybrid or auto (default: pre-copy); qemu: the first three",
    )
    .option(
      "--memory <size>",
      "the guest's memory; the next size that this QEMU keeps whole under TCG",
      "1GiB",
    )
    .option("--exact-memory", "leave the size of the memory as it is")
    .option("--memory-backend <private|memfd|huge-pages>", "what the guest's memory is made of", "private")
    .option("--vcpus <count>", "the guest's processors", "1")
    .option("--hold <size|percent>", "memory that the guest fills and checks", "50%")
    .option("--content <text|random>", "what it holds", "text")
    .option(
      "--free-memory <used|untouched>",
      "whether the rest was used before: random content, or zeros",
      "used",
    )
    .option("--dirty <rate>", "how fast the guest dirties what it holds, such as 60MB/s", "0")
    .option("--hot <size|percent>", "the area that it dirties", "64MiB")
    .option("--rewrite <stamps|pages>", "17 words of a page that it dirties, or all of it", "stamps")
    .option("--read <rate>", "how fast it reads through what it holds", "0")
    .option("--link <rate>", "the migration link, such as 1Gbit/s, or unlimited", "1Gbit/s")
    .option("--latency <time>", "one-way delay of the migration link", "0ms")
    .option("--downtime-limit <time>", "for how long the guest may stand still", "300ms")
    .option("--qemu <version|binary>", "10.0, 7.2 or a path", "10.0")
    .option("--capabilities <names>", "of stock QEMU, such as multifd,xbzrle")
    .option("--parameters <settings>", "of stock QEMU, such as multifd-compression=zstd,multifd-channels=2")
    .option("--balloon <size>", "of stock QEMU: the guest is shrunk to this size first", "none")
    .option("--kernel-parameters <text>", "more for the guest's kernel, such as init_on_alloc=0", "")
    .option("--compression <auto|none|zstd|lz4>", "of Godwit", "auto")
    .option("--contents <auto|memory|stream>", "where Godwit takes page contents from", "auto")
    .option(
      "--free-pages <auto|driver|kpageflags|held-locks|off>",
      "where Godwit learns the guest's free pages",
      "auto",
    )
    .option("--working-set <auto|off>", "whether Godwit asks the guest which pages it works with", "auto")
    .option(
      "--resume-set <sources>",
      "auto, none, or learned,kernel,written,working-set,neighbourhood",
      "auto",
    )
    .option("--drop-cache", "the guest drops clean page cache first, for Godwit")
    .option("--bandwidth <rate>", "cap below the link's rate")
    .option("--bubble <pages>", "pages that go with one that the guest waits for (default: adapts)")
    .option("--free-page-hint", "stock QEMU's balloon reports the guest's free pages")
    .option("--give-up <time>", "cancel a move that takes longer")
    .option("--hosts <kind>", "namespaces (needs root) or loopback; the default is what can be had")
    .option("--round-trips <count>", "move there and back so often; 0: there only", "0")
    .option("--repeat <count>", "do it all so often; the last line then has the medians", "1")
    .option("--json", "results only, each as a line of JSON")
    .option("--keep <file>", "append each result to this file as a line of JSON")
    .option("--probes <file>", "write each probe of the client into this file")
    .option("--events <file>", "append each event of the migrations to this file as a line of JSON");
}

function figuresOptions(command: Command): Command {
  return command
    .description("measure what the papers measured, draw it, and write a report")
    .option("--quick", "a small grid, once: below ten minutes")
    .option("--only <figures>", "such as 7 or 1,7,judge")
    .option("--from <file>", "draw the runs of this results.jsonl, and run nothing")
    .option("--events <file>", "draw the timeline of the last migration of this event log, and nothing else")
    .option("--repeat <count>", "runs of each cell (default: 3, quick: 1)")
    .option("--minutes <count>", "begin no run that would end later (default: 120, quick: 10)")
    .option("--out <folder>", "where results, figures and report go", "build/figures");
}

async function migrate(options: LabSettingsText & OwnOptions): Promise<number> {
  const { repeat, probes, events, json, keep, ...text } = options;
  const settings = readLabSettings(text);
  const times = Number(repeat);
  if (!Number.isInteger(times) || times < 1 || times > MOST_REPEATS) {
    throw new GodwitError("GODWIT_LAB_OPTION", `--repeat: not a number from 1 to ${MOST_REPEATS}`);
  }
  using interrupted = interruption();
  const output = new ResultOutput<LabResult>({ json, keep }, describeResult);
  const onEvent = (event: MigrationEvent) => {
    if (events !== undefined) appendFileSync(events, `${JSON.stringify(event)}\n`);
    if (!output.isQuiet) output.line.show(event);
  };
  try {
    for (let run = 1; run <= times; run += 1) {
      if (times > 1) output.following.say?.(`run ${run} of ${times}`);
      await runLab(settings, {
        signal: interrupted.signal,
        onResult: (result) => output.add(result),
        onEvent,
        ...output.following,
        ...(probes === undefined ? {} : { probeFile: probes }),
      });
    }
  } catch (error) {
    output.line.clear();
    if (interrupted.exitCode() === null) throw error;
  }
  if (interrupted.exitCode() !== null) return interrupted.exitCode() ?? 1;
  const { results } = output;
  const last = results.length === 1 ? results[0] : mediansOf(results);
  output.end(last);
  return last?.outcome === "completed" && last.guestVerified === true ? 0 : 1;
}
