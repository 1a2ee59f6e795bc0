/** A device of the model machine: it answers at some ports or addresses and can ask for an interrupt. */
export interface ModelDevice {
  /** The value at a port or address, or null where this device doesn't answer. */
  read(space: "port" | "memory", address: number, bytes: number): number | null;
  /** @returns whether this device took the write */
  write(space: "port" | "memory", address: number, value: number, bytes: number): boolean;
}
