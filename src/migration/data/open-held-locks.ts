import { HeldLocks } from "../../hints/index.ts";
import { takeDoorbell } from "../../qemu/doorbell.ts";

/**
 * Opens a running machine's doorbell to ask its guest for free pages.
 * @throws GodwitError `GODWIT_DOORBELL`, `GODWIT_HELPER_REFUSED`
 */
export async function openHeldLocks(pid: number, pageCount: number): Promise<HeldLocks> {
  const doorbell = await takeDoorbell(pid);
  try {
    return new HeldLocks(doorbell, pageCount);
  } catch (error) {
    doorbell[Symbol.dispose]();
    throw error;
  }
}
