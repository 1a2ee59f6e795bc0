import { randomBytes } from "node:crypto";
import { z } from "zod";
import { type MetalResult, runMetal } from "../../src/lab/metal-run.ts";
import { readMetalSettings } from "../../src/lab/metal-settings.ts";
import { appendToRunLog, readRunLog } from "../../src/lab/run-log.ts";
import { median, type Part, resultsOf, say } from "./part.ts";

/** Moves in a row of one guest, to and fro. */
const MOVES = 20;

const path = resultsOf("moves");
const downtimeSchema = z.strictObject({
  captureMs: z.number(),
  saveMs: z.number(),
  transferMs: z.number(),
  loadMs: z.number(),
  rebuildMs: z.number(),
  commitMs: z.number(),
});
const lineSchema = z.object({
  /** Moves with the same are of one guest, in a row. */
  run: z.string(),
  command: z.string(),
  result: z.looseObject({
    outcome: z.string(),
    downtimeMs: z.number().nullable(),
    downtime: downtimeSchema.nullable(),
    pauseSeenMs: z.number().nullable(),
    switchoverPauseSeenMs: z.number().nullable(),
    streamIntact: z.boolean(),
    guestAlive: z.boolean(),
    complaints: z.array(z.string()),
    retransmittedSegments: z.int(),
    bytesPerStep: z.array(z.int()),
  }),
});
type Move = z.output<typeof lineSchema>["result"];

/** The moves of the longest row that is kept. */
function longestRow(): Move[] {
  const rows = [...Map.groupBy(readRunLog(path, lineSchema), ({ run }) => run).values()];
  const longest = rows.sort((a, b) => b.length - a.length)[0] ?? [];
  return longest.map(({ result }) => result);
}

/** The downtime and its parts, and what a client sees of it, over many moves of one guest. */
export const moves: Part = {
  name: "moves",

  async run(mayBegin) {
    if (longestRow().length >= MOVES || !mayBegin()) return;
    const run = randomBytes(4).toString("hex");
    const ended = new AbortController();
    const onResult = (result: MetalResult) => {
      appendToRunLog(path, {
        run,
        command: `npm run lab -- metal --hops ${MOVES} --exact-memory`,
        result,
      });
      const { downtimeMs, switchoverPauseSeenMs, guestAlive } = result;
      say(
        `moves: ${result.hops} of ${MOVES}: down ${downtimeMs?.toFixed(0)} ms, pause ${switchoverPauseSeenMs?.toFixed(0)} ms, ${guestAlive ? "alive" : "dead"}`,
      );
      if (!mayBegin()) ended.abort(new Error("no time is left"));
    };
    const settings = readMetalSettings({ hops: MOVES, exactMemory: true });
    await runMetal(settings, { onResult, signal: ended.signal }).catch((thrown) => {
      if (!ended.signal.aborted) throw thrown;
    });
  },

  draw() {
    const row = longestRow();
    if (row.length === 0) return [];
    const figures = (pick: (move: Move) => number | null | undefined) => {
      const values = row.map(pick).filter((value) => value != null);
      return `${median(values).toFixed(0)} | ${Math.max(...values).toFixed(0)}`;
    };
    const sums = (pick: (move: Move) => number) => row.reduce((total, move) => total + pick(move), 0);
    return [
      "## Moves in a row",
      "",
      `${row.length} moves of one guest to and fro at 1 Gbit/s, without a break: ${sums((move) => Number(move.guestAlive))} alive,`,
      `${sums((move) => Number(move.streamIntact))} with the TCP stream whole, ${sums((move) => move.complaints.length)} complaints on the console,`,
      `${sums((move) => move.retransmittedSegments)} TCP segments sent again in all.`,
      "",
      "| | median ms | worst ms |",
      "|---|---|---|",
      `| downtime | ${figures((move) => move.downtimeMs)} |`,
      `| of it capture | ${figures((move) => move.downtime?.captureMs)} |`,
      `| save | ${figures((move) => move.downtime?.saveMs)} |`,
      `| transfer | ${figures((move) => move.downtime?.transferMs)} |`,
      `| load | ${figures((move) => move.downtime?.loadMs)} |`,
      `| rebuild | ${figures((move) => move.downtime?.rebuildMs)} |`,
      `| commit | ${figures((move) => move.downtime?.commitMs)} |`,
      `| pause that the client saw at the switchover | ${figures((move) => move.switchoverPauseSeenMs)} |`,
      `| the client's longest silence in the whole move | ${figures((move) => move.pauseSeenMs)} |`,
      "",
      "What the client received in steps of 100 ms, kB, from a second before the pause to two after it; each line a move:",
      "",
      "```",
      ...row.map(({ bytesPerStep }) =>
        bytesPerStep.map((bytes) => (bytes / 1000).toFixed(0).padStart(3)).join(""),
      ),
      "```",
      "",
    ];
  },
};
