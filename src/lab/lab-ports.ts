/** The agents' HTTPS API in the lab. */
export const API_PORT = 7480;
/** The agents' wire port: the default of the product. */
export const WIRE_PORT = 7481;
/** Where a stock QEMU listens for a migration from the other host. */
export const QEMU_MIGRATION_PORT = 7490;
/** The source agent's bulk listeners, taken from this range when a simulator stands between the hosts. */
export const BULK_PORTS = { first: 7500, last: 7531 } as const;

/** Every port that a link simulator between the hosts must stand in for. */
export function simulatedPorts(): number[] {
  const bulk = Array.from(
    { length: BULK_PORTS.last - BULK_PORTS.first + 1 },
    (_, at) => BULK_PORTS.first + at,
  );
  return [API_PORT, WIRE_PORT, QEMU_MIGRATION_PORT, ...bulk];
}
