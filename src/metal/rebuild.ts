import { GodwitError } from "../base/errors.ts";
import type { DeviceKind } from "./device.ts";
import { type I8254State, i8254, raiseTimerEdge } from "./devices/i8254.ts";
import { type I8259State, i8259, missingInService } from "./devices/i8259.ts";
import type { DevicesState } from "./devices-state.ts";
import type { PresentDevice } from "./inventory.ts";
import type { PhysicalMachine } from "./physical-machine.ts";

/** What an experiment may leave out of a rebuild, to see that it was needed. */
export const ablations = ["pit", "pic", "ioapic", "uart", "rtc", "nic", "pointers"] as const;

/** A part of a rebuild that can be left out. */
export type Ablation = (typeof ablations)[number];

/** How a rebuild came out. */
export interface Rebuilt {
  /** Keys of the devices that were rebuilt. */
  readonly devices: readonly string[];
  /** What could not be set, in words. */
  readonly differences: readonly string[];
}

/** The timer's line at the interrupt controller. */
const TIMER_LINE = 1;

/**
 * Sets the devices of a stopped machine to a captured state, in the order in which none disturbs another: the timer,
 * then the interrupt controllers with everything masked, then what is plugged in; then the devices' own interrupt
 * masks, the lines in service, and the controllers' masks last.
 * @throws GodwitError `GODWIT_METAL_STATE` before anything is touched when the machine has other devices
 */
export async function rebuildDevices(
  machine: PhysicalMachine,
  devices: readonly PresentDevice[],
  state: DevicesState,
  leaveOut: ReadonlySet<Ablation> = new Set(),
): Promise<Rebuilt> {
  const states = checkedStates(devices, state);
  const wanted = devices.filter(({ kind }) => !leaveOut.has(ablationOf(kind)));
  const differences: string[] = [];
  for (const { kind, key, where } of wanted) {
    const own = states.get(key)!;
    const target =
      leaveOut.has("pointers") && isRecord(own) && "pointers" in own ? { ...own, pointers: null } : own;
    differences.push(...(await kind.restore(machine, target, where)).map((what) => `${key}: ${what}`));
  }
  const has = (kind: unknown) => wanted.some((device) => device.kind === kind);
  const timer = has(i8254) ? (states.get("i8254") as I8254State) : null;
  const controller = has(i8259) ? (states.get("i8259") as I8259State) : null;
  const finish = async (filter: (kind: DeviceKind) => boolean) => {
    for (const { kind, key, where } of wanted) {
      if (filter(kind)) await kind.finish?.(machine, states.get(key)!, where);
    }
  };
  const isController = (kind: unknown) => kind === i8259;
  const isIoapic = (kind: DeviceKind) => kind.name === "ioapic";
  await finish((kind) => !isController(kind) && !isIoapic(kind));
  if (timer !== null && controller !== null) {
    const { requests, inService } = controller.chips[0];
    // Edges are made while the other controller still masks everything, so that it sees none of them.
    if (((requests | inService) & TIMER_LINE) !== 0) await raiseTimerEdge(machine, timer);
    await finish(isController);
    if ((requests & inService & TIMER_LINE) !== 0) await raiseTimerEdge(machine, timer);
  } else await finish(isController);
  await finish(isIoapic);
  if (controller !== null) {
    differences.push(...(await missingInService(machine, controller)).map((what) => `i8259: ${what}`));
  }
  return { devices: wanted.map(({ key }) => key), differences };
}

function checkedStates(devices: readonly PresentDevice[], state: DevicesState): Map<string, unknown> {
  const states = new Map<string, unknown>();
  for (const { kind, key } of devices) {
    const result = kind.stateSchema.safeParse(state.devices[key]);
    if (!result.success) throw differs(`there is no valid state of ${key}`);
    states.set(key, result.data);
  }
  const foreign = Object.keys(state.devices).filter((key) => !states.has(key));
  if (foreign.length > 0) throw differs(`this machine has no ${foreign.join(", ")}`);
  return states;
}

function differs(why: string): GodwitError {
  return new GodwitError("GODWIT_METAL_STATE", `the devices can't be rebuilt: ${why}`, {
    advice: "both machines must have the same devices in the same places",
  });
}

function ablationOf(kind: DeviceKind): Ablation {
  const fixed: Readonly<Record<string, Ablation>> = {
    i8254: "pit",
    i8259: "pic",
    ioapic: "ioapic",
    uart16550: "uart",
    mc146818: "rtc",
  };
  return fixed[kind.name] ?? "nic";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
