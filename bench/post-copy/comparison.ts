import { mediansOf } from "../../src/lab/medians.ts";
import { type Cell, type Line, shown } from "../cells.ts";

const engines: Readonly<Record<string, readonly string[]>> = {
  "qemu pre-copy": ["--engine", "qemu"],
  "qemu post-copy": ["--engine", "qemu", "--strategy", "post-copy"],
  "godwit pre-copy": ["--strategy", "pre-copy"],
  "godwit post-copy": ["--strategy", "post-copy"],
  "godwit hybrid": ["--strategy", "hybrid"],
  "godwit auto": ["--strategy", "auto"],
};

const loads: Readonly<Record<string, readonly string[]>> = {
  "reads 200 MB/s": ["--read", "200MB/s"],
  "dirties 60 MB/s over 64 MiB": ["--dirty", "60MB/s", "--hot", "64MiB"],
  "dirties 200 MB/s over 512 MiB": ["--dirty", "200MB/s", "--hot", "512MiB"],
};

/** One-way delays: 0, 1 and 10 ms of round trip. */
const delays = ["0ms", "0.5ms", "5ms"] as const;

const guest = [
  ...["--memory", "2GiB", "--hold", "50%", "--content", "text", "--free-memory", "untouched"],
  ...["--qemu", "10.0", "--exact-memory", "--link", "1Gbit/s"],
];

/** Every engine with every load and delay. */
export function comparisonCells(): Cell[] {
  return delays.flatMap((delay) =>
    Object.entries(loads).flatMap(([load, loadOptions]) =>
      Object.entries(engines).map(([engine, options]) => {
        const row = `${load}, delay ${delay}`;
        const more = ["--latency", delay];
        // Pre-copy never ends where it can't converge.
        if (engine.endsWith("pre-copy") && load.startsWith("dirties 200 MB/s")) more.push("--give-up", "60s");
        return {
          name: `${row}: ${engine}`,
          row,
          engine,
          options: [...options, ...guest, ...loadOptions, ...more],
        };
      }),
    ),
  );
}

/** What a client outside sees, and what the guest waits for. */
export function comparisonTable(lines: readonly Line[]): string {
  const { machine, versions } = lines[0]?.result ?? {};
  return [
    "# Post-copy and hybrid beside stock QEMU, 1 Gbit/s",
    "",
    `Medians. ${machine?.processor}, ${machine?.cores} cores, QEMU ${versions?.qemu} (TCG), Node ${versions?.node}.`,
    "A guest of 2 GiB holds 1 GiB of text-like content. The delay is one way. Every move is the guest's first, so that",
    "nothing is known of what it asks for. Pause seen is the client's longest silence around the switchover. Pre-copy is",
    "ended after 60 s where it can't converge, by the lab (`failed`) or its agent (`cancelled`); the guest then runs on. Raw",
    "results with the command of each: `post-copy.jsonl`. Made by `node bench/post-copy.ts`.",
    "",
    "| guest | engine | runs | total s | downtime ms | pause seen ms | MB on the wire | faults | p50 ms | p99 ms | waited ms | verified |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ...comparisonCells().flatMap((cell) => {
      const own = lines
        .filter((line) => line.cell === cell.name)
        // Runs that were kept before it was a figure of its own have Godwit's there only.
        .map(({ result }) => ({
          ...result,
          stalledMs: result.stalledMs ?? result.postcopy?.stalledMs ?? null,
        }));
      if (own.length === 0) return [];
      const of = mediansOf(own);
      const { postcopy } = of;
      const figures = [
        of.outcome === "completed" ? shown(of.totalMs === null ? null : of.totalMs / 1000, 1) : of.outcome,
        shown(of.downtimeMs, 0),
        shown(of.switchoverPauseSeenMs, 0),
        shown(of.bytesOnWire / 1e6, 0),
        String(postcopy?.faults ?? of.pages.faulted),
        shown(postcopy === null ? null : postcopy.p50Us / 1000, 1),
        shown(postcopy === null ? null : postcopy.p99Us / 1000, 1),
        shown(of.stalledMs, 0),
        of.guestVerified === true ? "yes" : "NO",
      ];
      return [`| ${cell.row} | ${cell.engine} | ${of.moves} | ${figures.join(" | ")} |`];
    }),
    "",
  ].join("\n");
}
