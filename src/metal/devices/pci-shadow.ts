import { z } from "zod";
import type { PciAddress } from "../pci.ts";
import type { GuestWrite } from "../physical-machine.ts";

const ADDRESS_PORT = 0xcf8;
const DATA_PORT = 0xcfc;
const FIRST_BASE = 0x10;

/** The schema of {@link PciShadow}. */
export const pciShadowSchema = z.strictObject({
  /** What the guest wrote last to the address port. */
  address: z.int().min(0).max(0xffff_ffff),
  /** What the guest wrote last to the first two base addresses. */
  bases: z.tuple([z.int().min(0).max(0xffff_ffff), z.int().min(0).max(0xffff_ffff)]),
});

/** Where the guest has put a function's registers, as the monitor saw it do so. */
export type PciShadow = z.output<typeof pciShadowSchema>;

/** The function decodes nothing yet. */
export function freshPciShadow(): PciShadow {
  return { address: 0, bases: [0, 0] };
}

/** Follows configuration cycles (mechanism 1) to a function's base addresses. */
export function observePci(shadow: PciShadow, write: GuestWrite, at: PciAddress): void {
  if (write.space !== "port") return;
  if (write.address === ADDRESS_PORT) shadow.address = write.value;
  if (write.address < DATA_PORT || write.address > DATA_PORT + 3 || write.bytes !== 4) return;
  if ((shadow.address & 0xff00) >>> 8 !== ((at.slot << 3) | at.fn) || shadow.address < 0x8000_0000) return;
  const base = ((shadow.address & 0xfc) - FIRST_BASE) / 4;
  if (base === 0 || base === 1) shadow.bases[base] = write.value;
}

/**
 * The offset of a write in a function's registers, which its first base has in the port space and its second in
 * memory, or null where it goes elsewhere.
 */
export function registerOffset(shadow: PciShadow, write: GuestWrite, bytes: number): number | null {
  const base = (shadow.bases[write.space === "port" ? 0 : 1] & ~(bytes - 1)) >>> 0;
  const offset = write.address - base;
  return base !== 0 && offset >= 0 && offset < bytes ? offset : null;
}
