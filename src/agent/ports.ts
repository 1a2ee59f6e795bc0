import type { GodwitError } from "../base/errors.ts";
import type { MigrationEvent } from "../migration/events.ts";
import type { MigrationReport } from "../migration/report.ts";
import type { MigrationSettings } from "../migration/settings.ts";
import type { OwnerName } from "../migration/source/operator-word.ts";
import type { ControlChannel } from "../wire/index.ts";
import type { Offer } from "../wire/messages/offer.ts";

/** What a machine file says, as far as the agent itself cares. */
export interface MachineDescription {
  readonly name: string;
  readonly memoryBytes: number;
  /** Its memory comes out of what the host reserved as huge pages, not out of what it has available; default: no. */
  readonly hugePages?: boolean;
  readonly vcpus: number;
  /** The accelerator asked for: `kvm`, `tcg` … */
  readonly accelerator: string;
  /** What works but may not end as expected, in words with advice. */
  readonly warnings: readonly string[];
}

/** A machine file that was read: its description, and what the driver starts from. */
export interface ParsedMachine extends MachineDescription {
  readonly machine: unknown;
}

/** How a QEMU process ended. */
export interface MachineExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** A running QEMU, as far as the agent itself cares. `Native` is what the migration gets to work with. */
export interface MachineHandle<Native> {
  readonly description: MachineDescription;
  readonly pid: number;
  readonly qemuVersion: string;
  readonly logPath: string;
  readonly native: Native;
  /** Whether the process is there at this moment. */
  runs(): boolean;
  /** Whether the guest's processors run now. */
  guestRuns(signal?: AbortSignal): Promise<boolean>;
  /** Calls back on STOP and RESUME of the guest. */
  onGuest(listener: (what: "guest-paused" | "guest-resumed") => void): () => void;
  /** Resolves when the process is gone: with code 0 for an orderly end, `null` where only its absence is known. */
  readonly exited: Promise<MachineExit | null>;
  /** Ends QEMU in an orderly way and, when it does not react, by force. */
  stop(): Promise<void>;
  /**
   * Reads the devices of a machine that was started as a physical one, for which it is held for a moment.
   * @throws GodwitError `GODWIT_METAL_…`
   */
  captureDevices(): Promise<unknown>;
  /** Lets go of the QEMU without ending it: the agent is about to exit. */
  release(): void;
}

/** Starts and finds QEMUs; the agent's only door to them. */
export interface MachineDriver<Native> {
  /**
   * Reads a machine file; its relative paths are relative to `baseFolder`.
   * @throws GodwitError `GODWIT_MACHINE_FILE`
   */
  parse(text: string, baseFolder: string): ParsedMachine;
  /** Starts a VM in `folder`, which the driver makes where it is missing. */
  start(machine: ParsedMachine, folder: string): Promise<MachineHandle<Native>>;
  /** The QEMU that an earlier agent started in `folder`, or null where none runs any more. */
  adopt(folder: string): Promise<MachineHandle<Native> | null>;
}

/** Where a migration goes to. */
export interface Destination {
  readonly host: string;
  /** Port of the other agent's wire. */
  readonly port: number;
  /** The name that its certificate must carry. */
  readonly name: string;
}

/** One outgoing migration, as far as the agent itself cares. */
export interface OutgoingMigration {
  onEvent(listener: (event: MigrationEvent) => void): () => void;
  /** Never rejects for a failure of the migration: the report says the outcome. */
  run(): Promise<MigrationReport>;
  cancel(reason: string): Promise<"cancelled" | "too-late">;
  /** Takes an operator's word for that of a destination that doesn't answer. @throws GodwitError `GODWIT_NOT_IN_DOUBT` */
  decide(owner: OwnerName): void;
  /** Stops asking a destination that can't be reached after the commit; the next agent goes on. */
  stopAsking(): void;
}

/** Makes outgoing migrations; `folder` takes the journal, the event log and the report. */
export type OutgoingFactory<Native> = (request: {
  readonly migrationId: string;
  readonly machine: Native;
  readonly destination: Destination;
  readonly settings: MigrationSettings;
  readonly folder: string;
}) => OutgoingMigration;

/** What an incoming migration came to on this host. */
export type IncomingResult<Native> =
  | { readonly outcome: "arrived"; readonly machine: Native }
  /** The source has the VM; nothing of it is left here. */
  | { readonly outcome: "failed"; readonly error: GodwitError }
  /** Committed, but the guest could not be seen running; its QEMU, where there is one, stays. */
  | { readonly outcome: "in-doubt"; readonly error: GodwitError; readonly machine: Native | null };

/** One incoming migration, as far as the agent itself cares. */
export interface IncomingMigration<Native> {
  onEvent(listener: (event: MigrationEvent) => void): () => void;
  /** Never rejects for a failure of the migration. Ends with the channel closed. */
  run(): Promise<IncomingResult<Native>>;
  /** Gives it up where it still can be: before the commit. */
  cancel(reason: string): void;
}

/** Makes incoming migrations of offers that the agent has let in. */
export type IncomingFactory<Native> = (request: {
  readonly channel: ControlChannel;
  readonly offer: Offer;
  /** Where the source dialled from: its bulk connections are dialled there. */
  readonly remoteAddress: string;
  /** Takes the journal, the event log and the report. */
  readonly folder: string;
  /** The folder that the VM shall have, empty by now. */
  readonly machineFolder: string;
  /** Called when the VM is this host's, before the other side reports the end to its user. */
  readonly arrived: (machine: Native) => Promise<void>;
}) => IncomingMigration<Native>;
