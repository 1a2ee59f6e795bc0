import { useCompileCache } from "../base/compile-cache.ts";
import { asGodwitError } from "../base/errors.ts";
import { interruption } from "./interruption.ts";
import type { LabResult } from "./lab-result.ts";
import { type LabSettings, readLabSettings } from "./lab-settings.ts";
import { runInOwnUserNamespace } from "./own-user-namespace.ts";
import { ProgressLine } from "./progress-line.ts";
import { comparisonRows, tableText } from "./result-text.ts";
import { runLab } from "./run.ts";
import { qemuVersions } from "./toolchain.ts";

/** The guest of the demo: what a small busy server is like. */
const guest = {
  memory: "1GiB",
  hold: "512MiB",
  content: "text",
  freeMemory: "untouched",
  dirty: "30MB/s",
  hot: "32MiB",
  link: "1Gbit/s",
} as const;

useCompileCache();
process.exitCode = (await runInOwnUserNamespace()) ?? (await demo());

/** `npm run demo`; resolves with the exit code. */
async function demo(): Promise<number> {
  using interrupted = interruption();
  const line = new ProgressLine(process.stderr);
  const results: LabResult[] = [];
  const run = async (settings: LabSettings) => {
    const options = {
      signal: interrupted.signal,
      say: (text: string) => line.say(`  ${text}`),
      onEvent: (event: Parameters<ProgressLine["show"]>[0]) => line.show(event),
      onResult: (result: LabResult) => {
        results.push(result);
        line.say(`    ${outcomeText(result)}`);
      },
    };
    await runLab(settings, options);
  };
  try {
    const qemu = qemuVersions()[0] ?? "10.0";
    const machine = { ...guest, qemu };
    line.say(
      `A guest with ${guest.memory} holds ${guest.hold} of text, dirties ${guest.hot} at ${guest.dirty} and`,
    );
    line.say(`answers a client. QEMU ${qemu} on both hosts, a link of ${guest.link} between them.`);
    line.say("");
    line.say("Godwit moves it there and back, two agents, mutual TLS:");
    await run(readLabSettings({ ...machine, engine: "godwit", roundTrips: 1 }));
    line.say("");
    line.say("Stock QEMU moves the same guest there, unencrypted, for comparison:");
    await run(readLabSettings({ ...machine, engine: "qemu" }));
  } catch (error) {
    line.clear();
    const code = interrupted.exitCode();
    if (code !== null) return code;
    const { message, advice } = asGodwitError(error, "GODWIT_LAB");
    process.stderr.write(`${message}\n${advice === undefined ? "" : `${advice}\n`}`);
    return 1;
  }
  process.stdout.write(
    `\n${tableText(comparisonRows(results.map((result) => ({ name: nameOf(result), result }))))}\n`,
  );
  process.stdout.write(`\n${closingText(results)}\n`);
  return results.every(isGood) ? 0 : 1;
}

function nameOf({ engine, direction }: LabResult): string {
  if (engine === "qemu") return "stock QEMU";
  return direction === "a-to-b" ? "Godwit, there" : "Godwit, back";
}

function isGood({ outcome, guestVerified }: LabResult): boolean {
  return outcome === "completed" && guestVerified === true;
}

function outcomeText(result: LabResult): string {
  if (result.error !== null) return `${result.outcome}: ${result.error.message}`;
  const verdict =
    result.guestVerified === true ? "the guest found nothing wrong" : `GUEST: ${result.guestDamage}`;
  return `${result.outcome} in ${((result.totalMs ?? 0) / 1000).toFixed(1)} s; ${verdict}`;
}

function closingText(results: readonly LabResult[]): string {
  const client = results.some(({ client }) => client !== null)
    ? ""
    : "Without root there are no network namespaces, so nobody outside measured the pause.\n";
  const [first] = results;
  const rule =
    first?.settings.qemu === "7.2"
      ? "The longest pause comes at the very start of a move: with the memory size that this QEMU's\n" +
        "emulator needs, it stops the guest to begin its dirty log. It is the same for both.\n"
      : "";
  return `${client}${rule}Nothing is left running.`;
}
