import { GodwitError } from "../base/errors.ts";

/** A line of QEMU's `info ramblock`. */
export interface RamBlockListing {
  readonly name: string;
  readonly pageSizeBytes: number;
  readonly usedBytes: number;
  /** Where it is in QEMU's address space; `null` from QEMU before 8.0, which doesn't tell. */
  readonly hostAddress: number | null;
}

const UNIT_BYTES: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
const LINE =
  /^\s*(\S.*?)\s+(\d+) ([KMG]i)?B\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+0x[0-9a-f]+(?:\s+0x([0-9a-f]+)\s+r[ow])?\s*$/;

/**
 * Reads the answer to `info ramblock`. Sizes and addresses stay below 2^53: no block comes near that.
 * @throws GodwitError `GODWIT_QMP_PROTOCOL` when a line has an unknown form
 */
export function parseRamBlocks(text: string): RamBlockListing[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.slice(1).map((line) => {
    const match = LINE.exec(line.trimEnd());
    if (match === null) {
      throw new GodwitError(
        "GODWIT_QMP_PROTOCOL",
        `"info ramblock" has a line of unknown form: ${line.trim()}`,
      );
    }
    const [, name = "", pageSize, unit, used = "", address] = match;
    return {
      name,
      pageSizeBytes: Number(pageSize) * (UNIT_BYTES[`${unit ?? ""}B`] ?? 1),
      usedBytes: Number.parseInt(used, 16),
      hostAddress: address === undefined ? null : Number.parseInt(address, 16),
    };
  });
}

/** Reads the answer to `gpa2hva ADDRESS`; `null` where there is no RAM at that address. */
export function parseGuestToHost(text: string): { block: string; hostAddress: number } | null {
  const match = /^Host virtual address for 0x[0-9a-f]+ \((.+)\) is 0x([0-9a-f]+)/m.exec(text);
  if (match === null) return null;
  return { block: match[1] ?? "", hostAddress: Number.parseInt(match[2] ?? "", 16) };
}
