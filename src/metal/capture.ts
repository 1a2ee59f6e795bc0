import type { DevicesState } from "./devices-state.ts";
import type { PresentDevice } from "./inventory.ts";
import type { Monitor } from "./monitor.ts";
import type { PhysicalMachine } from "./physical-machine.ts";

/**
 * Reads every device of a stopped machine. Those that ask for interrupts are silenced by it, NICs first: a line that
 * asks would be part of what the rest of the machine saves.
 * @throws GodwitError; what was read before is undone then
 */
export async function captureDevices(
  machine: PhysicalMachine,
  devices: readonly PresentDevice[],
  monitor: Monitor,
): Promise<DevicesState> {
  for (const write of await machine.guestWrites()) monitor.observe(write);
  // Lines are read before anything silences the devices that hold them.
  const order = [...devices.filter(isFixed), ...devices.filter((device) => !isFixed(device))];
  const states: Record<string, unknown> = {};
  try {
    for (const { kind, key, where } of order) {
      states[key] = await kind.capture(machine, monitor.shadowOf(key), where);
    }
  } catch (error) {
    await undoCapture(machine, devices, { devices: states }).catch(() => {});
    throw error;
  }
  return { format: 1, devices: states, shadows: monitor.record() };
}

/** Makes a stopped machine as it was before {@link captureDevices}. */
export async function undoCapture(
  machine: PhysicalMachine,
  devices: readonly PresentDevice[],
  state: Pick<DevicesState, "devices">,
): Promise<void> {
  for (const { kind, key, where } of devices) {
    const own = state.devices[key];
    if (own !== undefined) await kind.undo(machine, own, where);
  }
}

function isFixed({ where }: PresentDevice): boolean {
  return where.pci === null;
}
