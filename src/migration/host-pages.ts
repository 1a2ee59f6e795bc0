import type { PageBitmap } from "../pages/index.ts";
import type { LedgerBlock } from "./ledger.ts";

/** Where the host page of a page begins and ends. */
export function hostPageOf(block: LedgerBlock, page: number): { readonly from: number; readonly to: number } {
  const from = page - (page % block.hostPages);
  return { from, to: Math.min(block.pages, from + block.hostPages) };
}

/** A host page is placed whole or not at all: whoever gets this page of it out of a set has all of it. */
export function takeHostPage(set: PageBitmap, from: number, to: number): boolean {
  if (!set.clear(from)) return false;
  if (to > from + 1) set.clearRange(from + 1, to);
  return true;
}

/** A host page of which nothing was sent: the destination has nothing at all in its place. */
export function isZeroHostPage(block: LedgerBlock, from: number, to: number): boolean {
  return block.zero.has(from) && block.zero.countRange(from, to) === to - from;
}

/** Host pages that are owed and of which something was sent, as ascending runs of pages. */
export function staleHostPages(block: LedgerBlock): number[] {
  const runs: number[] = [];
  for (let page = block.owed.next(0); page >= 0; ) {
    const { from, to } = hostPageOf(block, page);
    if (block.sent.countRange(from, to) > 0) {
      if (runs.length > 0 && runs.at(-2)! + runs.at(-1)! === from) runs[runs.length - 1]! += to - from;
      else runs.push(from, to - from);
    }
    page = to < block.pages ? block.owed.next(to) : -1;
  }
  return runs;
}
