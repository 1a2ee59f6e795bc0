import type { RunningMachine } from "../../qemu/running-machine.ts";
import type { Credentials } from "../../wire/index.ts";
import type { OpaqueDevices } from "../opaque-devices.ts";
import type { MigrationSettings } from "../settings.ts";

/** What an outgoing migration is made of. */
export interface SourceOptions {
  readonly migrationId: string;
  readonly machine: RunningMachine;
  /** The other agent, and the name that its certificate must carry. */
  readonly destination: { readonly host: string; readonly port: number; readonly name: string };
  readonly settings: MigrationSettings;
  readonly credentials: Credentials;
  /** This host's name, as its certificate has it. */
  readonly hostName: string;
  readonly softwareVersion: string;
  /** Takes the journal, the event log and the report. */
  readonly folder: string;
  /** Where the destination dials the bulk connections; ports from a range where a firewall wants one. */
  readonly bulkListen: { readonly host: string; readonly ports?: readonly [number, number] | undefined };
  /** How long the silence of a cut link is borne; default in `wire/`. */
  readonly lostAfterMs?: number | undefined;
  /** Devices that somebody else reads and rebuilds; only with strategies that resume the guest with all pages. */
  readonly opaque?: OpaqueDevices | undefined;
}
