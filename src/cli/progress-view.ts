import { Presets, SingleBar } from "cli-progress";
import { formatBytes } from "../base/units.ts";
import type { MigrationEvent } from "../migration/events.ts";
import { printJson, printLine, type Terminal } from "./terminal.ts";
import { describeProgress, describeReport, describeTimeLeft, formatCount, formatMs } from "./text.ts";

/** Lines of progress in a pipe: enough to see that it goes on, few enough for a log. */
const LINE_INTERVAL_MS = 1000;

/** Shows the events of one migration. */
export interface ProgressView {
  show(event: MigrationEvent): void;
  /** Something that the reader must know now, beside the events. */
  note(text: string): void;
  /** Takes the bar away, if there is one. Further calls do nothing. */
  end(): void;
}

/** The view that fits: JSON lines, a bar on a terminal, lines in a pipe. */
export function progressView(terminal: Terminal, json: boolean): ProgressView {
  if (json) return jsonView(terminal);
  return terminal.interactive ? barView(terminal) : lineView(terminal);
}

/** Every event as one line of JSON on stdout; the report comes last, as in the event log. */
function jsonView(terminal: Terminal): ProgressView {
  return {
    show: (event) => printJson(terminal, event),
    note: (text) => terminal.stderr.write(`${text}\n`),
    end: () => {},
  };
}

function lineView(terminal: Terminal): ProgressView {
  let lastAtMs = Number.NEGATIVE_INFINITY;
  return {
    show(event) {
      if (event.type === "progress") {
        if (event.atMs - lastAtMs < LINE_INTERVAL_MS) return;
        lastAtMs = event.atMs;
      }
      printLine(terminal, describeEvent(event));
    },
    note: (text) => terminal.stderr.write(`${text}\n`),
    end: () => {},
  };
}

function barView(terminal: Terminal): ProgressView {
  const bar = new SingleBar(
    {
      stream: terminal.stderr as NodeJS.WriteStream,
      format: "{phase} {bar} {percentage}% · {rate} · {owed} · {left}",
      barsize: 24,
      hideCursor: true,
      clearOnComplete: true,
      stopOnComplete: false,
      gracefulExit: false,
      linewrap: false,
    },
    Presets.shades_classic,
  );
  let phase = "";
  let done = 0;
  let shown = false;
  const values = { phase: "", rate: "", owed: "", left: "" };
  const say = (text: string) => {
    if (shown) bar.stop();
    terminal.stderr.write(`${text}\n`);
    if (shown) bar.start(bar.getTotal(), done, values);
  };
  const end = () => {
    if (shown) bar.stop();
    shown = false;
  };
  return {
    show(event) {
      switch (event.type) {
        case "phase":
          phase = event.phase;
          if (shown) bar.update({ ...values, phase: phase.padEnd(10) });
          return;
        case "progress":
          Object.assign(values, {
            phase: (event.phase || phase).padEnd(10),
            rate: `${formatBytes(event.wireBytesPerSecond)}/s`,
            owed: `${formatCount(event.owedPages)} pages owed`,
            left: describeTimeLeft(event),
          });
          done = Math.max(0, event.totalPages - event.owedPages);
          if (!shown) bar.start(event.totalPages, done, values);
          shown = true;
          bar.setTotal(event.totalPages);
          bar.update(done, values);
          return;
        case "decision":
        case "error":
          return say(describeEvent(event));
        case "report":
          end();
          return printLine(terminal, describeEvent(event));
      }
    },
    note: say,
    end,
  };
}

/** One event as a line (the report as a few) for people. */
export function describeEvent(event: MigrationEvent): string {
  const at = formatMs(event.atMs).padStart(8);
  switch (event.type) {
    case "phase":
      return `${at}  ${event.phase}${event.reason === undefined ? "" : `: ${event.reason}`}`;
    case "progress":
      return `${at}  ${event.phase}: ${describeProgress(event)}`;
    case "decision":
      return `${at}  ${event.what}: ${event.reason}`;
    case "error":
      return `${at}  error: ${event.error.message} (${event.error.code})`;
    case "report":
      return describeReport(event.report);
  }
}
