import { PageBitmap } from "../../pages/index.ts";
import type { Ledger } from "../ledger.ts";
import type { WorkingSetBlock } from "./working-set.ts";

/** Runs that are looked for at once. */
const RUNS_AT_ONCE = 4096;

/** How well a working set told what the resumed guest asked for. Each null where there is nothing to compare with. */
export interface WorkingSetWorth {
  /** Of its pages that the guest lacked when it resumed, the share that it asked for. */
  readonly precision: number | null;
  /** Of the pages that the guest asked for, the share that it has. */
  readonly recall: number | null;
}

/** The pages of a working set that the destination lacks once the resume set has left, one set a RAM block. */
export function lackingOf(ledger: Ledger, workingSet: readonly WorkingSetBlock[]): PageBitmap[] {
  return ledger.blocks.map(({ name, pages, owed }) => {
    const lacking = new PageBitmap(pages);
    const touched = touchedIn(workingSet, name);
    if (touched === undefined) return lacking;
    const scratch = new Uint32Array(2 * RUNS_AT_ONCE);
    const filter = { only: owed };
    const end = Math.min(pages, touched.pageCount);
    for (let from = 0; from < end; ) {
      const runCount = touched.readRuns(from, end, end, scratch, filter);
      for (let run = 0; run < runCount; run++) {
        lacking.setRange(scratch[2 * run]!, scratch[2 * run]! + scratch[2 * run + 1]!);
      }
      if (runCount < RUNS_AT_ONCE) break;
      from = scratch[2 * runCount - 2]! + scratch[2 * runCount - 1]!;
    }
    return lacking;
  });
}

/** Compares a working set with what was asked for. @param lacking of {@link lackingOf} */
export function worthOf(
  ledger: Ledger,
  workingSet: readonly WorkingSetBlock[],
  lacking: readonly PageBitmap[],
): WorkingSetWorth {
  let [asked, askedOfSet, lackingPages, askedOfLacking] = [0, 0, 0, 0];
  for (const [index, { name, pages, requested }] of ledger.blocks.entries()) {
    const touched = touchedIn(workingSet, name);
    asked += requested.count();
    if (touched !== undefined) {
      askedOfSet += touched.countRange(0, Math.min(pages, touched.pageCount), { only: requested });
    }
    lackingPages += lacking[index]!.count();
    askedOfLacking += lacking[index]!.countRange(0, pages, { only: requested });
  }
  return {
    precision: lackingPages === 0 ? null : askedOfLacking / lackingPages,
    recall: asked === 0 ? null : askedOfSet / asked,
  };
}

function touchedIn(workingSet: readonly WorkingSetBlock[], name: string): PageBitmap | undefined {
  return workingSet.find((block) => block.name === name)?.touched;
}
