import { createHash } from "node:crypto";
import { softwareVersion } from "../../agent/version.ts";
import type { LabSettingsText } from "../lab-settings.ts";
import { type Toolchain, toolchain } from "../toolchain.ts";
import { type ContenderId, contenders } from "./contenders.ts";

/** What is measured of a run beside its result. */
export const extraNames = ["client-steps", "timeline", "dirty-rate"] as const;

/** One of them. */
export type Extra = (typeof extraNames)[number];

/** One setting that is measured some times. Cells of two figures with the same settings are the same cell. */
export interface Cell {
  readonly contender: ContenderId;
  /** What the lab is told, the contender's own settings included. */
  readonly settings: LabSettingsText;
  readonly extras: readonly Extra[];
  /** How often at least, where it is not the grid's number. */
  readonly repeats?: number;
}

/** A cell of a contender. */
export function cellOf(
  contender: ContenderId,
  settings: LabSettingsText,
  more: { readonly extras?: readonly Extra[]; readonly repeats?: number } = {},
): Cell {
  const { extras = [], repeats } = more;
  return {
    contender,
    settings: { ...settings, ...contenders[contender].settings },
    extras,
    ...(repeats === undefined ? {} : { repeats }),
  };
}

/**
 * Names a cell by what the lab is told, and what is measured beside. A setting that the lab learns later, and that no
 * cell names, leaves the names of what was measured before as they are.
 */
export function settingsKeyOf(cell: Cell): string {
  const told = Object.entries(cell.settings)
    .filter(([, value]) => value !== undefined && value !== false)
    .toSorted(([one], [other]) => (one < other ? -1 : 1));
  return digest([told, cell.extras.toSorted()]);
}

/** Names what a run of a cell is valid for: its settings and the version of the engine that moved the guest. */
export function runKeyOf(cell: Cell, engineVersion: string): string {
  return digest([settingsKeyOf(cell), engineVersion]);
}

/** The version of the engine that a cell measures. @throws GodwitError `GODWIT_SETUP_MISSING` */
export function engineVersionOf(cell: Cell, tools: Toolchain = toolchain()): string {
  const wanted = cell.settings.qemu ?? "10.0";
  const qemu = tools.qemu[wanted as keyof Toolchain["qemu"]]?.version ?? wanted;
  return cell.settings.engine === "qemu" ? `qemu ${qemu}` : `godwit ${softwareVersion}, qemu ${qemu}`;
}

/** The command that makes one run of a cell by itself. */
export function commandOf(cell: Cell): string {
  const words = Object.entries(cell.settings).flatMap(([name, value]) => {
    if (value === false || value === undefined) return [];
    const option = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    return value === true ? [option] : [option, String(value)];
  });
  return `npm run lab -- migrate ${words.join(" ")} --json`;
}

/** The cells without those that are there twice; of two the one with more repeats stays. */
export function distinctCells(cells: readonly Cell[]): Cell[] {
  const byKey = new Map<string, Cell>();
  for (const cell of cells) {
    const key = settingsKeyOf(cell);
    const known = byKey.get(key);
    if (known === undefined) byKey.set(key, cell);
    else if (known.repeats !== undefined && (cell.repeats ?? Number.POSITIVE_INFINITY) > known.repeats) {
      byKey.set(key, cell);
    }
  }
  return [...byKey.values()];
}

function digest(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);
}
