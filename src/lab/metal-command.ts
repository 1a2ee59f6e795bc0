import type { Command } from "commander";
import { interruption } from "./interruption.ts";
import { type MetalResult, runMetal } from "./metal-run.ts";
import { type MetalSettingsText, readMetalSettings } from "./metal-settings.ts";
import { ResultOutput, type ResultOutputOptions } from "./result-output.ts";

/** `npm run lab -- metal`; exit code 0 when every move completed and the guest lived on with its stream whole. */
export function metalCommand(program: Command, exit: (code: number) => void): void {
  program
    .command("metal")
    .description("move a physical machine (QEMU as hardware); the last line of stdout is one JSON object")
    .option("--ablate <parts>", "don't rebuild these: pit,pic,ioapic,uart,rtc,nic,pointers", "")
    .option("--hops <count>", "moves to and fro", "1")
    .option("--link <rate>", "the migration link, such as 1Gbit/s, or unlimited", "1Gbit/s")
    .option(
      "--memory <size>",
      "the guest's memory; the next size that this QEMU keeps whole under TCG",
      "256MiB",
    )
    .option("--exact-memory", "leave the size of the memory as it is")
    .option("--vcpus <count>", "the guest's processors", "1")
    .option("--apic", "the guest uses its APICs (default: 8259A and 8254 alone)")
    .option("--nic <model>", "rtl8139, pcnet or e1000", "rtl8139")
    .option("--hold <size>", "memory that the guest fills", "64MiB")
    .option("--dirty <rate>", "how fast it dirties that", "5MB/s")
    .option("--disk <rate>", "records that it writes to a disk over the network (NBD), such as 1MB/s", "0")
    .option("--downtime-limit <ms>", "for how long pages may hold the guest up", "60")
    .option("--qemu <version|binary>", "10.0, 7.2 or a path", "10.0")
    .option("--json", "results only, each as a line of JSON")
    .option("--keep <file>", "append each result to this file as a line of JSON")
    .action(async ({ json, keep, ...text }: MetalSettingsText & ResultOutputOptions) => {
      const settings = readMetalSettings(text);
      using interrupted = interruption();
      const output = new ResultOutput<MetalResult>({ json, keep }, describe);
      await runMetal(settings, {
        signal: interrupted.signal,
        onResult: (result) => output.add(result),
        ...output.following,
      });
      const last = output.results.at(-1);
      output.end(last);
      const good = output.results.length === settings.hops && last?.guestAlive === true && last.streamIntact;
      exit(interrupted.exitCode() ?? (good && last.outcome === "completed" ? 0 : 1));
    });
}

function describe(result: MetalResult): string {
  const { hops, outcome, downtimeMs, switchoverPauseSeenMs, pingsAfter, linesAfter, guestAlive } = result;
  const life = guestAlive ? "alive" : "dead";
  const ms = (value: number | null) => `${value?.toFixed(0) ?? "-"} ms`;
  const times = `downtime ${ms(downtimeMs)}, pause seen ${ms(switchoverPauseSeenMs)}`;
  return `move ${hops}: ${outcome}, ${times}; guest ${life}: ${pingsAfter} answers and ${linesAfter} lines in 5 s`;
}
