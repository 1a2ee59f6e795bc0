import type { WaitOptions } from "../base/waiting.ts";
import type { QmpClient } from "./qmp-client.ts";

/** A piece of the guest's physical address space that is RAM, and where it lies in its RAM block. Bytes. */
export interface MappedRam {
  readonly guestAddress: number;
  readonly bytes: number;
  /** Name of the RAM block. */
  readonly block: string;
  readonly blockOffset: number;
}

/** ` 0000000000100000-00000000bfffffff (prio 0, ram): pc.ram @0000000000100000` */
const RANGE = /^\s*([0-9a-f]+)-([0-9a-f]+) \(prio -?\d+, ram\): (.+?)(?: @([0-9a-f]+))?(?: KVM)?\s*$/;

/**
 * Reads the answer to `info mtree -f`: what the guest's processors see as RAM, address by address, in every machine
 * type alike. Memory above the hole below 4 GiB and memory of several nodes are pieces of their own. Read-only memory
 * and devices are left out. Empty where there is no view of the whole system in the answer.
 */
export function parseMemoryMap(text: string): MappedRam[] {
  const views = text.split(/^FlatView #\d+\s*$/m);
  const system = views.find((view) => /^\s*AS "memory", root: system\s*$/m.test(view));
  return (system ?? "").split("\n").flatMap((line) => {
    const match = RANGE.exec(line);
    if (match === null) return [];
    const [, first = "", last = "", block = "", offset = "0"] = match;
    const guestAddress = Number.parseInt(first, 16);
    const bytes = Number.parseInt(last, 16) - guestAddress + 1;
    return [{ guestAddress, bytes, block, blockOffset: Number.parseInt(offset, 16) }];
  });
}

/**
 * Where a running machine's RAM blocks lie in the guest's physical address space.
 * @throws GodwitError `GODWIT_QMP_…` when QEMU can't be asked
 */
export async function memoryMap(qmp: QmpClient, options: WaitOptions = {}): Promise<MappedRam[]> {
  return parseMemoryMap(
    await qmp.execute("human-monitor-command", { "command-line": "info mtree -f" }, options),
  );
}
