import { GodwitError } from "../../base/errors.ts";
import type { RamBlockListing } from "../../qemu/ram-blocks.ts";

/** A RAM block of the source. */
export interface OfferedBlock {
  readonly name: string;
  readonly usedBytes: number;
  readonly pageSizeBytes: number;
}

/** A RAM block of ours as the stream for our QEMU must have it. */
export interface OwnBlock {
  /** As our QEMU calls it. */
  readonly name: string;
  /** As the source says: what is behind it doesn't move. */
  readonly usedBytes: number;
  /** Of our host. */
  readonly pageSizeBytes: number;
}

/**
 * Which RAM block of our QEMU each of the source's is: the one of the same name, and where names differ the one of the
 * same size that nobody else has, in QEMU's own order, which is the order in which they were made. Null for one that
 * has no counterpart.
 */
export function pairBlocks(
  offered: readonly OfferedBlock[],
  own: readonly RamBlockListing[],
): (OwnBlock | null)[] {
  const free = new Set(own);
  const byName = offered.map(({ name }) => own.find((block) => block.name === name));
  for (const block of byName) if (block !== undefined) free.delete(block);
  return offered.map(({ usedBytes }, index) => {
    const found = byName[index] ?? [...free].find((block) => block.usedBytes === usedBytes);
    if (found === undefined) return null;
    free.delete(found);
    return { name: found.name, usedBytes, pageSizeBytes: found.pageSizeBytes };
  });
}

/** Whether what is placed whole here is sent whole there: both hosts have pages of the same size behind each block. */
export function sameHostPages(offered: readonly OfferedBlock[], own: readonly RamBlockListing[]): boolean {
  return pairBlocks(offered, own).every((block, index) => {
    return block === null || block.pageSizeBytes === offered[index]!.pageSizeBytes;
  });
}

/**
 * The RAM blocks of a stream as our QEMU calls them.
 * @throws GodwitError `GODWIT_RAM_BLOCKS` for one that our QEMU doesn't have
 */
export function ownBlocks(announced: readonly OfferedBlock[], own: readonly RamBlockListing[]): OwnBlock[] {
  return pairBlocks(announced, own).map((block, index) => {
    if (block !== null) return block;
    const { name, usedBytes } = announced[index]!;
    const here = own.map((known) => `"${known.name}" (${known.usedBytes} bytes)`).join(", ");
    throw new GodwitError(
      "GODWIT_RAM_BLOCKS",
      `the source's RAM block "${name}" of ${usedBytes} bytes has no counterpart here; here are ${here}`,
      { side: "destination", advice: "start the same machine on both hosts" },
    );
  });
}
