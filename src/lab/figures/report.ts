import { formatBytes } from "../../base/units.ts";
import { baseGuest } from "./base-guest.ts";
import { contenders } from "./contenders.ts";
import { crossoverTable } from "./crossover.ts";
import type { Agreement, Drawn, Figure, Grid } from "./figure.ts";
import { bandwidthSweep } from "./figure-01-bandwidth.ts";
import { escapeHtml, pageHtml, svgHtml, tableHtml } from "./html.ts";
import { type Judgement, judgeTable, judgeText } from "./judge.ts";
import { failureOf, type KeptRun } from "./kept-run.ts";
import type { Results } from "./results.ts";
import { measured } from "./sweep.ts";

/** One figure of the report, its charts drawn. */
export interface DrawnFigure {
  readonly figure: Figure;
  readonly drawn: Drawn;
  /** SVG text by the name of its chart. */
  readonly svgs: Readonly<Record<string, string>>;
}

/** All that the report tells. */
export interface ReportParts {
  readonly grid: Grid;
  readonly results: Results;
  /** The runs that the report is about. */
  readonly runs: readonly KeptRun[];
  /** How many cells were to be measured. */
  readonly cells: number;
  readonly figures: readonly DrawnFigure[];
  /** Null when only some figures were asked for. */
  readonly judged: readonly Judgement[] | null;
  /** The command that made it. */
  readonly command: string;
}

/** The report as one page of HTML that needs no other file. */
export function reportHtml(parts: ReportParts): string {
  const { figures, judged, results, grid } = parts;
  const sections = [
    "<h1>Godwit beside stock QEMU: the figures</h1>",
    aboutHtml(parts),
    ...(judged === null ? [] : [judgeHtml(judged, grid, results)]),
    ...figures.map(figureHtml),
    failuresHtml(parts.runs),
    runsHtml(parts.runs),
  ];
  return pageHtml("Godwit: the figures", sections.join("\n"));
}

function aboutHtml({ grid, runs, cells, command }: ReportParts): string {
  const moves = runs.flatMap(({ result }) => (result === null ? [] : [result]));
  const failed = runs.filter((run) => failureOf(run) !== null).length;
  const distinct = (values: readonly string[]) => [...new Set(values)].toSorted().join(", ") || "–";
  const loads = moves.map(({ machine }) => machine.loadAverage);
  const perCell = [...Map.groupBy(runs, ({ settingsKey }) => settingsKey).values()].map(
    ({ length }) => length,
  );
  const dates = moves.map(({ startedAt }) => startedAt).toSorted();
  const { memory, hold, content, qemu, link } = baseGuest[grid];
  const facts: [string, string][] = [
    [
      "machine",
      distinct(
        moves.map(
          ({ machine: { processor, cores, memoryBytes, kernel } }) =>
            `${processor}, ${cores} cores, ${formatBytes(memoryBytes)}, Linux ${kernel}`,
        ),
      ),
    ],
    [
      "load average before the runs",
      loads.length === 0 ? "–" : `${Math.min(...loads)} to ${Math.max(...loads)}`,
    ],
    [
      "versions",
      distinct(
        moves.map(
          ({ versions: { godwit, qemu: version, node, guestKernel } }) =>
            `Godwit ${godwit}, QEMU ${version} (TCG), Node ${node}, guest's kernel ${guestKernel}`,
        ),
      ),
    ],
    [
      "runs",
      `${runs.length}, ${rangeText(perCell)} of each of ${perCell.length} cells (the grid has ${cells}); ${failed} failed (shown below, and as crosses)`,
    ],
    ["when", dates.length === 0 ? "–" : `${dates[0]} to ${dates.at(-1)}`],
    ["grid", `${grid}; made by ${command}`],
    [
      "the guest, where a figure does not vary it",
      `${memory}, holds ${hold} of ${content}-like content, quiet, the rest never used; QEMU ${qemu}; ` +
        `link ${link}, hosts are network namespaces of one machine`,
    ],
    [
      "how to read it",
      "Points are medians, bars the smallest and largest run. Godwit's total includes the start of the " +
        "destination's QEMU, stock QEMU's does not. The guest checks its memory before and after each move; only moves " +
        "of guests that arrived whole count.",
    ],
  ];
  const list = facts.map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`);
  return `<dl>\n${list.join("\n")}\n</dl>`;
}

function rangeText(counts: readonly number[]): string {
  if (counts.length === 0) return "none";
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  return least === most ? `${least}` : `${least} to ${most}`;
}

function judgeHtml(judged: readonly Judgement[], grid: Grid, results: Results): string {
  const all = measured(bandwidthSweep, grid, results);
  return [
    "<h2>The judge: our total time beside the best stock setting's</h2>",
    "<p>The ratio is the shortest total of Godwit's strategies that let the guest run, by the shortest of stock QEMU's " +
      "settings.</p>",
    `<div class="wide">${tableHtml(judgeTable(judged))}</div>`,
    ...judgeText(judged).map((text) => `<p>${escapeHtml(text)}</p>`),
    "<p><strong>The crossover</strong>, read off the totals over bandwidth (figure 1):</p>",
    `<div class="wide">${tableHtml(crossoverTable(all))}</div>`,
  ].join("\n");
}

function figureHtml({ figure, drawn, svgs }: DrawnFigure): string {
  const images = Object.values(svgs).map((svg) => svgHtml(svg, `${figure.title}. ${drawn.sentence}`));
  const tables = drawn.tables.map((table) => `<div class="wide">${tableHtml(table)}</div>`);
  return [
    `<h2>${figure.number}. ${escapeHtml(figure.title)}</h2>`,
    `<p>${escapeHtml(drawn.sentence)}</p>`,
    `<p class="expected">Expected: ${escapeHtml(figure.expected)} ${verdictHtml(drawn.agrees)}</p>`,
    ...images,
    ...(tables.length === 0
      ? []
      : [`<details><summary>The numbers</summary>\n${tables.join("\n")}\n</details>`]),
  ].join("\n");
}

function verdictHtml(agrees: Agreement): string {
  if (agrees === null) return "";
  return `<span class="verdict">${agrees ? "What was measured agrees." : "What was measured does not agree."}</span>`;
}

function failuresHtml(runs: readonly KeptRun[]): string {
  const failed = runs.flatMap((run) => {
    const failure = failureOf(run);
    return failure === null ? [] : [{ run, failure }];
  });
  if (failed.length === 0) return "<h2>Failed runs</h2>\n<p>None.</p>";
  const items = failed.map(
    ({ run, failure }) =>
      `<li>${escapeHtml(labelOf(run))}: <span class="bad">${escapeHtml(failure)}</span><br>` +
      `<code>${escapeHtml(run.command)}</code></li>`,
  );
  return `<h2>Failed runs</h2>\n<ul>${items.join("\n")}</ul>`;
}

function runsHtml(runs: readonly KeptRun[]): string {
  const byCommand = [...Map.groupBy(runs, ({ settingsKey }) => settingsKey).values()];
  const items = byCommand.map((own) => {
    const totals = own.map(({ result }) =>
      result?.totalMs == null ? "–" : (result.totalMs / 1000).toFixed(1),
    );
    const first = own[0]!;
    return (
      `<li>${escapeHtml(labelOf(first))}, ${escapeHtml(first.engineVersion)}: ${totals.join(", ")} s<br>` +
      `<code>${escapeHtml(first.command)}</code></li>`
    );
  });
  return (
    "<h2>All cells</h2>\n<details><summary>Totals of every run, with the command that makes one</summary>\n" +
    `<ul>${items.join("\n")}</ul></details>`
  );
}

function labelOf({ contender }: KeptRun): string {
  return (contenders as Readonly<Record<string, { label: string }>>)[contender]?.label ?? contender;
}
