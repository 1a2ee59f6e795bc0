import { z } from "zod";
import { GodwitError } from "../base/errors.ts";
import type { PresentDevice } from "./inventory.ts";
import type { GuestWrite } from "./physical-machine.ts";

/** The schema of {@link ShadowRecord}. */
export const shadowRecordSchema = z.record(z.string().max(64), z.unknown());

/** What a monitor knows, as plain data: by the key of the device. */
export type ShadowRecord = z.output<typeof shadowRecordSchema>;

/**
 * The thin hypervisor's memory: what the guest has written where it can't be read back. It sees every write from the
 * machine's first on, and moves along with the machine.
 */
export class Monitor {
  readonly #devices: readonly PresentDevice[];
  readonly #shadows: Map<string, unknown>;

  /**
   * @param record what a monitor of this machine knew before; absent: the machine has just been switched on
   * @throws GodwitError `GODWIT_METAL_STATE` when the record is another machine's or damaged
   */
  constructor(devices: readonly PresentDevice[], record?: ShadowRecord) {
    this.#devices = devices;
    this.#shadows = new Map(
      devices.map(({ key, kind }) => [
        key,
        record === undefined ? kind.freshShadow() : checked(record, key, kind),
      ]),
    );
  }

  /** Takes a write of the guest, in the order in which they were made. */
  observe(write: GuestWrite): void {
    for (const { kind, key, where } of this.#devices) kind.observe(this.#shadows.get(key), write, where);
  }

  /** What it knows of a device. */
  shadowOf(key: string): unknown {
    return this.#shadows.get(key);
  }

  /** What it knows, to be kept or sent; a copy. */
  record(): ShadowRecord {
    return structuredClone(Object.fromEntries(this.#shadows));
  }
}

function checked(record: ShadowRecord, key: string, kind: PresentDevice["kind"]): unknown {
  const result = kind.shadowSchema.safeParse(record[key]);
  if (result.success) return result.data;
  throw new GodwitError("GODWIT_METAL_STATE", `the monitor's record of ${key} is missing or damaged`, {
    advice: "both machines must have the same devices in the same places",
  });
}
