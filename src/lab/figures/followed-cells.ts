import { baseGuest } from "./base-guest.ts";
import { type Cell, cellOf } from "./cell.ts";
import type { ContenderId } from "./contenders.ts";
import type { Grid } from "./figure.ts";

/** The moves that figures 9 and 10 look into. */
export const followed: Readonly<Record<Grid, readonly ContenderId[]>> = {
  quick: ["qemu", "hybrid"],
  full: ["qemu", "qemu-zstd", "qemu-post-copy", "pre-copy", "post-copy", "hybrid"],
};

/** The guest dirties enough for some rounds, and a client takes its streams. */
export function followedCell(grid: Grid, contender: ContenderId): Cell {
  const settings = { ...baseGuest[grid], dirty: grid === "quick" ? "20MB/s" : "60MB/s" };
  return cellOf(contender, settings, { extras: ["client-steps", "timeline"] });
}

/** All of them. */
export function followedCells(grid: Grid): Cell[] {
  return followed[grid].map((contender) => followedCell(grid, contender));
}
