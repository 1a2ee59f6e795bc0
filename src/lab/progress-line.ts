import { formatBytes } from "../base/units.ts";
import type { MigrationEvent } from "../migration/events.ts";

const BAR_CELLS = 24;
const PAGE_BYTES = 4096;

/** Without a terminal a line each second shows that it goes on. */
const PIPE_INTERVAL_MS = 1000;

/** Shows what happens, and the progress of a move below it: in place on a terminal, as lines elsewhere. */
export class ProgressLine {
  readonly #stream: NodeJS.WriteStream;
  #shown = false;
  #lastAtMs = Number.NEGATIVE_INFINITY;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /** A line that stays. */
  say(text: string): void {
    this.clear();
    this.#stream.write(`${text}\n`);
  }

  /** Progress of the move; everything else of it is for reports. */
  show(event: MigrationEvent): void {
    if (event.type === "phase") {
      this.#lastAtMs = Number.NEGATIVE_INFINITY;
      return;
    }
    if (event.type !== "progress") return;
    const line = progressText(event);
    if (this.#stream.isTTY === true) {
      this.#stream.write(`\r\x1b[2K${line.slice(0, (this.#stream.columns ?? 80) - 1)}`);
      this.#shown = true;
    } else if (event.atMs - this.#lastAtMs >= PIPE_INTERVAL_MS) {
      this.#lastAtMs = event.atMs;
      this.#stream.write(`${line}\n`);
    }
  }

  /** Takes the progress away. */
  clear(): void {
    if (this.#shown) this.#stream.write("\r\x1b[2K");
    this.#shown = false;
  }
}

function progressText(event: MigrationEvent & { type: "progress" }): string {
  const { phase, totalPages, owedPages, wireBytesPerSecond, leftMs, atMs } = event;
  const share = totalPages === 0 ? 0 : Math.min(1, Math.max(0, 1 - owedPages / totalPages));
  const full = Math.round(share * BAR_CELLS);
  const bar = `${"█".repeat(full)}${"░".repeat(BAR_CELLS - full)}`;
  const words = [
    `  ${(atMs / 1000).toFixed(1).padStart(5)} s`,
    phase.padEnd(10),
    bar,
    `${Math.floor(share * 100)
      .toString()
      .padStart(3)}%`,
    `${formatBytes(wireBytesPerSecond)}/s`,
    `${formatBytes(owedPages * PAGE_BYTES)} owed`,
    ...(leftMs === null ? [] : [`${(leftMs / 1000).toFixed(1)} s left`]),
  ];
  return words.join("  ");
}
