import { type LabSettings, readLabSettings } from "../lab-settings.ts";
import type { Cell } from "./cell.ts";
import { medianOf } from "./statistics.ts";

/** Hosts, boot, the client's silence before and after, teardown. */
const FIXED_SECONDS = 9;

/** Two agents more, and the start of the destination's QEMU within the move. */
const AGENTS_SECONDS = 2;

/** Filling and two checks of what is held, in an emulated guest. */
const HELD_BYTES_PER_SECOND = 50e6;

/** An emulated guest's pages leave no faster than this, whatever the link. */
const MOST_MOVE_BYTES_PER_SECOND = 90e6;

/** What kernel and programs of a guest use of its memory. */
const KERNEL_BYTES = 90e6;

/** How long a run of a cell takes, by a rough model: what matters is the ratio between cells. */
export function modelSeconds(cell: Cell): number {
  const settings = readLabSettings(cell.settings);
  const held = settings.holdBytes / HELD_BYTES_PER_SECOND;
  const agents = settings.engine === "godwit" ? AGENTS_SECONDS : 0;
  return FIXED_SECONDS + agents + held + moveSeconds(settings);
}

function moveSeconds({ holdBytes, hotBytes, dirtyBytesPerSecond, ...settings }: LabSettings): number {
  const link = settings.linkBytesPerSecond ?? Number.POSITIVE_INFINITY;
  const again = dirtyBytesPerSecond > 0 ? 2 * hotBytes : 0;
  const giveUp = (settings.giveUpMs ?? Number.POSITIVE_INFINITY) / 1000;
  return Math.min(giveUp, (KERNEL_BYTES + holdBytes + again) / Math.min(link, MOST_MOVE_BYTES_PER_SECOND));
}

/** A run that was timed. */
export interface Timed {
  readonly cell: Cell;
  readonly tookMs: number;
}

/** The model, made right by how long the runs so far really took; their median, for one may have hung. */
export function expectedSeconds(cells: readonly Cell[], timed: readonly Timed[]): number {
  const factor = medianOf(timed.map(({ cell, tookMs }) => tookMs / 1000 / modelSeconds(cell))) ?? 1;
  return factor * cells.reduce((sum, cell) => sum + modelSeconds(cell), 0);
}
