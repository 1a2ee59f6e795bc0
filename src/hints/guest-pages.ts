import type { Runs } from "../pages/index.ts";
import { badAnswer } from "./protocol.ts";

/** A piece of the guest's physical memory and where it lies in a RAM block. Amounts in 4 KiB pages. */
export interface GuestMemoryPiece {
  readonly firstGuestPage: number;
  readonly pages: number;
  /** Name of the RAM block. */
  readonly block: string;
  readonly firstBlockPage: number;
}

/** Pages of one RAM block. */
export interface BlockRuns {
  readonly block: string;
  readonly runs: Runs;
}

/** Where guest page numbers end. */
export function guestPageCount(pieces: readonly GuestMemoryPiece[]): number {
  return pieces.reduce((end, piece) => Math.max(end, piece.firstGuestPage + piece.pages), 0);
}

/**
 * Translates ascending runs of guest pages into runs of pages of RAM blocks: a PC's memory has a hole below 4 GiB that
 * its RAM block doesn't have, and a guest with several nodes has a RAM block for each. Neighbours become one run.
 * @param outside what to do with a run that reaches outside of the pieces: no guest has free pages there, but its kernel
 * has words for holes, too
 * @throws GodwitError `GODWIT_HELPER_ANSWER` where such a run is to be refused
 */
export function blockRunsOf(
  runs: Runs,
  pieces: readonly GuestMemoryPiece[],
  outside: "refuse" | "pass over" = "refuse",
): BlockRuns[] {
  const sorted = [...pieces].sort((one, other) => one.firstGuestPage - other.firstGuestPage);
  const byBlock = new Map<string, [number, number][]>();
  let at = 0;
  for (let index = 0; index < runs.length; index += 2) {
    let page = runs[index]!;
    const end = page + runs[index + 1]!;
    while (page < end) {
      while (at < sorted.length && sorted[at]!.firstGuestPage + sorted[at]!.pages <= page) at += 1;
      const piece = sorted[at];
      if (piece === undefined || piece.firstGuestPage > page) {
        if (outside === "refuse") throw badAnswer(`guest page ${page} is no memory`);
        page = piece === undefined ? end : Math.min(end, piece.firstGuestPage);
        continue;
      }
      const stop = Math.min(end, piece.firstGuestPage + piece.pages);
      append(byBlock, piece.block, page - piece.firstGuestPage + piece.firstBlockPage, stop - page);
      page = stop;
    }
  }
  return [...byBlock].map(([block, pairs]) => ({ block, runs: joined(pairs) }));
}

function append(byBlock: Map<string, [number, number][]>, block: string, first: number, count: number): void {
  const pairs = byBlock.get(block);
  if (pairs === undefined) byBlock.set(block, [[first, count]]);
  else pairs.push([first, count]);
}

function joined(pairs: [number, number][]): Runs {
  pairs.sort(([one], [other]) => one - other);
  const runs = new Uint32Array(2 * pairs.length);
  let length = 0;
  for (const [first, count] of pairs) {
    if (length > 0 && runs[length - 2]! + runs[length - 1]! >= first) {
      runs[length - 1] = Math.max(runs[length - 1]!, first + count - runs[length - 2]!);
    } else {
      runs[length++] = first;
      runs[length++] = count;
    }
  }
  return runs.slice(0, length);
}
