/** QEMU's `MigrationStatus` (qapi/migration.json). */
export type MigrationStatus =
  | "none"
  | "setup"
  | "cancelling"
  | "cancelled"
  | "active"
  | "postcopy-active"
  | "postcopy-paused"
  | "postcopy-recover"
  | "postcopy-recover-setup"
  | "completed"
  | "failed"
  | "colo"
  | "pre-switchover"
  | "device"
  | "wait-unplug";

/** Why a machine was shut down or reset (`ShutdownCause`, qapi/run-state.json). */
export interface ShutdownData {
  /** True when the guest asked for it, false when QEMU or a signal did. */
  readonly guest: boolean;
  readonly reason: string;
}

/** The data of the events that Godwit uses; see qapi/*.json in QEMU's source. */
export interface QmpEventData {
  readonly STOP: undefined;
  readonly RESUME: undefined;
  readonly SUSPEND: undefined;
  readonly WAKEUP: undefined;
  readonly POWERDOWN: undefined;
  readonly SHUTDOWN: ShutdownData;
  readonly RESET: ShutdownData;
  /** Comes only with the migration capability `events`. */
  readonly MIGRATION: { readonly status: MigrationStatus };
  /** Comes only with the migration capability `events`: the number of the dirty sync that was just made. */
  readonly MIGRATION_PASS: { readonly pass: number };
  readonly BLOCK_IO_ERROR: { readonly device: string; readonly reason?: string; readonly action: string };
  readonly GUEST_PANICKED: { readonly action: string };
  readonly VSERPORT_CHANGE: { readonly id: string; readonly open: boolean };
  readonly DEVICE_DELETED: { readonly device?: string; readonly path: string };
}

/** The names of the events in {@link QmpEventData}. */
export type KnownEventName = keyof QmpEventData;

/** An event with a name that {@link QmpEventData} describes. */
export type KnownQmpEvent<Name extends KnownEventName = KnownEventName> = {
  [Key in Name]: {
    readonly name: Key;
    readonly data: QmpEventData[Key];
    /** When it happened by QEMU's clock: milliseconds since the epoch, with a fraction down to microseconds. */
    readonly timestampMs: number;
  };
}[Name];

/** Any event; {@link isEvent} narrows it to a known one. */
export interface QmpEvent {
  readonly name: string;
  /** QEMU's `data` member, `undefined` where the event has none. */
  readonly data: unknown;
  /** When it happened by QEMU's clock: milliseconds since the epoch, with a fraction down to microseconds. */
  readonly timestampMs: number;
}

/** True when the event is of that name; its data then has that event's type. */
export function isEvent<Name extends KnownEventName>(
  event: QmpEvent,
  name: Name,
): event is KnownQmpEvent<Name> {
  return event.name === name;
}
