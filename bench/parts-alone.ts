import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { shown } from "./cells.ts";
import { earlierFigures } from "./wire/earlier.ts";

const streamSchema = z.object({
  bench: z.literal("stream"),
  figures: z.array(
    z.object({ name: z.string(), gigabytesPerSecond: z.number(), cpuSecondsPerGigabyte: z.number() }),
  ),
});

const wireSchema = z.object({
  bench: z.literal("wire-connections"),
  mode: z.string(),
  gigabytesPerSecond: z.number(),
  sendCpuSecondsPerGigabyte: z.number(),
  receiveCpuSecondsPerGigabyte: z.number(),
});

/**
 * A section for the foundation's table: feed and wire without QEMU and guest, beside what was measured on another machine
 * before there was code (FACTS 1, 10).
 * @param folder has the outputs of `bench/stream.ts` and `bench/wire.ts`
 */
export function partsAlone(folder: string): string[] {
  const feed = measured(join(folder, "stream.txt"), streamSchema)
    .flatMap(({ figures }) => figures)
    .find(({ name }) => name === "child process, stdin, addresses only");
  const wire = measured(join(folder, "wire.txt"), wireSchema);
  return [
    "## Feed and wire alone",
    "",
    "Without QEMU and guest: `bench/stream.ts` and `bench/wire.ts`, the whole in `stream.txt` and `wire.txt`. Two threads",
    "a side over loopback, TLS included. *Earlier* is another machine, before the code was written.",
    "",
    "| | GB/s | source CPU s/GB | destination CPU s/GB | earlier |",
    "|---|---|---|---|---|",
    ...(feed === undefined
      ? []
      : [
          `| feed: a stream through a child's standard input | ${shown(feed.gigabytesPerSecond, 2)} | ` +
            `${shown(feed.cpuSecondsPerGigabyte, 2)} | | 2.6 to 3.4 GB/s |`,
        ]),
    ...wire
      .filter(({ mode }) => mode === "none" || mode === "zstd 1")
      .map(
        ({ mode, ...of }) =>
          `| wire, ${mode} | ${shown(of.gigabytesPerSecond, 2)} | ${shown(of.sendCpuSecondsPerGigabyte, 2)} | ` +
          `${shown(of.receiveCpuSecondsPerGigabyte, 2)} | ${earlierFigures[mode]} |`,
      ),
    "",
    "What limits a migration here is the processor, and of it mostly zstd: the feed takes a small part of what the senders",
    "do, and without compression the wire alone would outrun a link of 1 Gbit/s.",
    "",
  ];
}

/** What a benchmark's output has as JSON, of this kind. */
function measured<Schema extends z.ZodType>(path: string, schema: Schema): z.output<Schema>[] {
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.flatMap((line) => {
    if (!line.startsWith("{")) return [];
    const parsed = schema.safeParse(JSON.parse(line));
    return parsed.success ? [parsed.data] : [];
  });
}
