import { PageBitmap } from "../../pages/index.ts";
import { hostPageOf } from "../host-pages.ts";
import type { Ledger, LedgerBlock } from "../ledger.ts";
import type { ResumeSet } from "./resume-set.ts";

/**
 * The most pages that whole host pages may bring into a resume set: as many as it has without them, since the pause
 * bears no more (`resume-set.ts`).
 */
const MOST_PAGES = 4096;

/**
 * Makes a resume set whole, once the guest stands: where it has a page of a larger host page, it has all owed pages of
 * that, so that nothing is there in part when the guest resumes. Those of which most is wanted come first; what is
 * beyond the bound is left out. Every other host page of which something is owed is owed whole from then on.
 */
export function inWholeHostPages(ledger: Ledger, set: ResumeSet): ResumeSet {
  if (ledger.blocks.every(({ hostPages }) => hostPages === 1)) return set;
  let pages = 0;
  const bitmaps = ledger.blocks.map((block, index) => {
    const wanted = set.bitmaps[index]!;
    const whole = block.hostPages === 1 ? wanted : wholePages(block, wanted, MOST_PAGES - pages);
    pages += whole.count();
    if (block.hostPages > 1) oweWhole(block, whole);
    return whole;
  });
  return { ...set, bitmaps, pages };
}

function wholePages(block: LedgerBlock, wanted: PageBitmap, most: number): PageBitmap {
  const whole = new PageBitmap(block.pages);
  const found: { from: number; to: number; wanted: number }[] = [];
  for (let page = wanted.next(0); page >= 0; ) {
    const { from, to } = hostPageOf(block, page);
    found.push({ from, to, wanted: wanted.countRange(from, to) });
    page = to < block.pages ? wanted.next(to) : -1;
  }
  found.sort((one, other) => other.wanted - one.wanted);
  for (const { from, to } of found) {
    if (whole.count() + block.owed.countRange(from, to) > most) continue;
    for (
      let page = block.owed.next(from, to);
      page >= 0;
      page = page + 1 < to ? block.owed.next(page + 1, to) : -1
    ) {
      whole.set(page);
    }
  }
  return whole;
}

function oweWhole(block: LedgerBlock, except: PageBitmap): void {
  for (let page = block.owed.next(0); page >= 0; ) {
    const { from, to } = hostPageOf(block, page);
    if (except.next(from, to) < 0) {
      block.owed.setRange(from, to);
      block.zero.clearRange(from, to);
    }
    page = to < block.pages ? block.owed.next(to) : -1;
  }
}
