/**
 * What software can do with a register. `readable`: reading gives what was written, and writing sets it.
 * `write-only`: can be set but not read, so it comes from the monitor. `internal`: no access at all, found out and set
 * by what the device does. `statistic`: counts, and can't be set. `command`: does something and holds nothing.
 * `read-only`: says what the hardware is.
 */
export type RegisterKind = "readable" | "write-only" | "internal" | "statistic" | "command" | "read-only";

/** One register of a device: a row of `docs/metal-registers.md`, which a test compares with these. */
export interface Register {
  readonly name: string;
  /** Port, offset or command, as the data sheet counts. */
  readonly at: string;
  readonly kind: RegisterKind;
  /** How it is captured and set again; of what can't be: why that does no harm. */
  readonly how: string;
}
