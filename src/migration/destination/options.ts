import type { GodwitError } from "../../base/errors.ts";
import type { RunningMachine } from "../../qemu/running-machine.ts";
import type { ControlChannel, Credentials, MessageByType } from "../../wire/index.ts";
import type { RebuildDevices } from "../opaque-devices.ts";

/** What an incoming migration is made of. */
export interface DestinationOptions {
  readonly channel: ControlChannel;
  readonly offer: MessageByType<"offer">;
  /** The address that the source's bulk listeners are dialled at. */
  readonly sourceHost: string;
  readonly credentials: Credentials;
  readonly hostName: string;
  /** Takes the journal and the event log. */
  readonly folder: string;
  /** The machine's folder on this host, for the journal. */
  readonly machineFolder: string;
  /** Starts the machine of the offer, waiting for its migration and paused after it. */
  readonly startMachine: (signal: AbortSignal) => Promise<RunningMachine>;
  /** Rebuilds the devices that the source has read by itself; without it such a machine is refused. */
  readonly rebuild?: ((machine: RunningMachine) => RebuildDevices) | undefined;
  /** Told when the guest is ours and the source has let go of it, before the source is told the end. */
  readonly arrived?: ((machine: RunningMachine) => Promise<void>) | undefined;
}

/** How an incoming migration ended, seen from here. */
export interface DestinationResult {
  readonly outcome: "running" | "abandoned";
  /** The machine that runs here now; null when it was abandoned. */
  readonly machine: RunningMachine | null;
  readonly error: GodwitError | null;
}
