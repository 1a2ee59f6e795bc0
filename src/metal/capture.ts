import type { DevicesState } from "./devices-state.ts";
import type { PresentDevice } from "./inventory.ts";
import type { Monitor } from "./monitor.ts";
import type { PhysicalMachine } from "./physical-machine.ts";

/**
 * Reads every device of a stopped machine. Those that ask for interrupts are silenced by it, NICs first: a line that
 * asks would be part of what the rest of the machine saves.
 * @param keep is given what {@link undoCapture} needs before anything is changed, and again whenever it is more: where
 * it survives this program, another one can undo what was begun
 * @throws GodwitError; what was begun is undone then
 */
export async function captureDevices(
  machine: PhysicalMachine,
  devices: readonly PresentDevice[],
  monitor: Monitor,
  keep: (state: DevicesState) => void = () => {},
): Promise<DevicesState> {
  for (const write of await machine.guestWrites()) monitor.observe(write);
  // Lines are read before anything silences the devices that hold them.
  const order = [...devices.filter(isFixed), ...devices.filter((device) => !isFixed(device))];
  const states: Record<string, unknown> = {};
  const shadows = monitor.record();
  const state: DevicesState = { format: 1, devices: states, shadows };
  try {
    for (const { kind, key, where } of order) {
      states[key] = await kind.capture(machine, monitor.shadowOf(key), where, (own) => {
        states[key] = own;
        keep(state);
      });
    }
  } catch (error) {
    // What can't be undone now stays kept for somebody else.
    await undoCapture(machine, devices, state).then(
      () => keep({ ...state, devices: {} }),
      () => {},
    );
    throw error;
  }
  keep(state);
  return state;
}

/** Makes a stopped machine as it was before {@link captureDevices}, be that complete or broken off. */
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
