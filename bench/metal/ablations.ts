import { z } from "zod";
import { type MetalResult, runMetal } from "../../src/lab/metal-run.ts";
import { readMetalSettings } from "../../src/lab/metal-settings.ts";
import { appendToRunLog, pendingRuns, readRunLog } from "../../src/lab/run-log.ts";
import { type Part, resultsOf, say } from "./part.ts";

const REPEATS = 3;

const cells = [
  { name: "all", ablate: "", mustLive: true },
  { name: "no pointers", ablate: "pointers", mustLive: false },
  { name: "no NIC", ablate: "nic", mustLive: false },
  { name: "no PIC", ablate: "pic", mustLive: false },
  { name: "no PIT", ablate: "pit", mustLive: false },
  { name: "none", ablate: "pit,pic,ioapic,uart,rtc,nic", mustLive: false },
] as const;

const path = resultsOf("ablations");
const lineSchema = z.object({
  cell: z.string(),
  command: z.string(),
  result: z.looseObject({
    outcome: z.string(),
    guestAlive: z.boolean(),
    pingsAfter: z.int(),
    linesAfter: z.int(),
    complaints: z.array(z.string()),
  }),
});

const kept = () => readRunLog(path, lineSchema);

/** What dies of what: moves in which a part of the rebuild is left out, judged by the 5 s that follow. */
export const ablations: Part = {
  name: "ablations",

  async run(mayBegin) {
    const keptOf = ({ name }: { name: string }) => kept().filter(({ cell }) => cell === name).length;
    for (const { cell, repeat } of pendingRuns(cells, () => REPEATS, keptOf)) {
      if (!mayBegin()) return;
      const [result] = await runMetal(readMetalSettings({ ablate: cell.ablate, exactMemory: true }));
      if (result === undefined) continue;
      const option = cell.ablate === "" ? "" : ` --ablate ${cell.ablate}`;
      appendToRunLog(path, {
        cell: cell.name,
        command: `npm run lab -- metal${option} --exact-memory`,
        result,
      });
      say(`ablations: ${cell.name}, ${repeat}: ${result.outcome}, ${life(result)}`);
    }
  },

  draw() {
    const lines = kept();
    if (lines.length === 0) return [];
    return [
      "## What dies of what",
      "",
      "One guest with the 8259A alone per run; answers of one probe a millisecond and lines of its TCP stream in the 5 s",
      "after the move.",
      "",
      "| rebuilt | must live | runs | lived | answers | lines | its console complained |",
      "|---|---|---|---|---|---|---|",
      ...cells.flatMap(({ name, mustLive }) => {
        const own = lines.filter(({ cell }) => cell === name).map(({ result }) => result);
        if (own.length === 0) return [];
        const lived = own.filter(({ guestAlive }) => guestAlive).length;
        const complained = own.filter(({ complaints }) => complaints.length > 0).length;
        const row = [
          name,
          mustLive ? "yes" : "no",
          own.length,
          lived,
          own.map(({ pingsAfter }) => pingsAfter).join(", "),
          own.map(({ linesAfter }) => linesAfter).join(", "),
          complained,
        ];
        return [`| ${row.join(" | ")} |`];
      }),
      "",
    ];
  },
};

function life({ guestAlive, pingsAfter, linesAfter }: MetalResult): string {
  return `${guestAlive ? "alive" : "dead"}: ${pingsAfter} answers, ${linesAfter} lines in 5 s`;
}
