import { DEFAULT_API_PORT, DEFAULT_BULK_PORTS, DEFAULT_WIRE_PORT } from "../agent/config.ts";

/** Where a stock QEMU listens for a migration from the other host. */
export const QEMU_MIGRATION_PORT = 7500;

/** Every port that a link simulator between the hosts must stand in for: the agents' defaults, and QEMU's. */
export function simulatedPorts(): number[] {
  const { from, to } = DEFAULT_BULK_PORTS;
  const bulk = Array.from({ length: to - from + 1 }, (_, at) => from + at);
  return [DEFAULT_API_PORT, DEFAULT_WIRE_PORT, QEMU_MIGRATION_PORT, ...bulk];
}
