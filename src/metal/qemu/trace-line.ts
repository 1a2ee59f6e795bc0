import type { GuestWrite } from "../physical-machine.ts";

/** A write to a device as QEMU's trace event `memory_region_ops_write` prints it. */
export interface TracedWrite extends GuestWrite {
  /** The processor that wrote; -1: nobody's, which is our own access through qtest. */
  readonly processor: number;
  /** The device's own name for the region. */
  readonly region: string;
}

const LINE =
  /memory_region_ops_write cpu (-?\d+) mr \S+ addr 0x([0-9a-f]+) value 0x([0-9a-f]+) size (\d) name '([^']*)'/;

/**
 * Regions that lie in the port space. QEMU traces the address within its root region, which is a port number for
 * these and a guest-physical address otherwise, and doesn't say which: ports end at 0xffff, and no region of a PC's
 * devices begins that low in memory.
 */
const LAST_PORT = 0xffff;

/** The write that a line of QEMU's log tells, or null for any other line. */
export function parseTraceLine(line: string): TracedWrite | null {
  const match = LINE.exec(line);
  if (match === null) return null;
  const [, processor, address, value, bytes, region] = match;
  const at = Number.parseInt(address!, 16);
  return {
    processor: Number(processor),
    space: at <= LAST_PORT ? "port" : "memory",
    address: at,
    value: Number.parseInt(value!, 16),
    bytes: Number(bytes),
    region: region!,
  };
}
