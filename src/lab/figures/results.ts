import { readRunLog } from "../run-log.ts";
import { type Cell, settingsKeyOf } from "./cell.ts";
import { type KeptRun, keptRunSchema } from "./kept-run.ts";

/** The kept runs, by cell. */
export class Results {
  readonly #byCell = new Map<string, KeptRun[]>();
  /** All runs that are drawn. */
  readonly runs: readonly KeptRun[];

  /** Of a cell that was run with several versions of its engine only the newest version's runs count. */
  constructor(lines: readonly KeptRun[]) {
    const newest = new Map(lines.map(({ settingsKey, key }) => [settingsKey, key]));
    this.runs = lines.filter(({ settingsKey, key }) => newest.get(settingsKey) === key);
    for (const run of this.runs) {
      const kept = this.#byCell.get(run.settingsKey) ?? [];
      this.#byCell.set(run.settingsKey, [...kept, run]);
    }
  }

  /** Reads a `results.jsonl`; empty where there is none. */
  static read(path: string): Results {
    return new Results(readRunLog(path, keptRunSchema));
  }

  /** The runs of a cell, failed ones included. */
  of(cell: Cell): readonly KeptRun[] {
    return this.#byCell.get(settingsKeyOf(cell)) ?? [];
  }
}
