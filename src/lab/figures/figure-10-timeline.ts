import { type ContenderId, contenders } from "./contenders.ts";
import { type Drawn, type Figure, type Grid, notMeasured } from "./figure.ts";
import { followed, followedCell, followedCells } from "./followed-cells.ts";
import { failureOf, type KeptRun } from "./kept-run.ts";
import type { Results } from "./results.ts";
import { timelineChart, timelineOf } from "./timeline.ts";
import { secondsText } from "./words.ts";

/** Figure 10: a timeline per migration: rate, owed pages, rounds, phases, faults. */
export const timelineFigure: Figure = {
  number: 10,
  name: "figure-10-timeline",
  title: "A timeline per migration: rate, owed pages, rounds, phases, faults",
  expected: "(An instrument, not a figure of a paper.)",
  cells: followedCells,
  draw(grid, results): Drawn {
    const shown = runsShown(grid, results);
    if (shown.length === 0) return notMeasured;
    return {
      charts: Object.fromEntries(
        shown.map(({ contender, run }) => [
          contender,
          timelineChart(contenders[contender].label, timelineOf(run.events!)),
        ]),
      ),
      sentence: `One move each, the first of its runs. ${shown.map(({ contender, run }) => told(contender, run)).join(" ")}`,
      agrees: null,
      tables: [],
    };
  },
};

function runsShown(grid: Grid, results: Results): { contender: ContenderId; run: KeptRun }[] {
  return followed[grid].flatMap((contender) => {
    const run = results.of(followedCell(grid, contender)).find(({ events }) => (events ?? []).length > 0);
    return run === undefined ? [] : [{ contender, run }];
  });
}

function told(contender: ContenderId, run: KeptRun): string {
  const { label } = contenders[contender];
  const failure = failureOf(run);
  if (failure !== null) return `${label}: ${failure}.`;
  const { totalMs, rounds, pages } = run.result!;
  const faults = pages.faulted === 0 ? "" : `, ${pages.faulted.toLocaleString("en-US")} faults`;
  return `${label}: ${secondsText(totalMs === null ? null : totalMs / 1000)}, ${rounds} rounds${faults}.`;
}
