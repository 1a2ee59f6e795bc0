/**
 * Devices whose state doesn't travel in QEMU's sections: somebody else reads them out of the stopped guest's machine
 * and rebuilds them in another (bare metal: `docs/metal.md`). What is read is bytes to the migration.
 */
export interface OpaqueDevices {
  /**
   * Before anything moves; the guest may stand still for a moment.
   * @throws GodwitError when a device can't be moved, with its name
   */
  prepare(): Promise<void>;
  /** The names of QEMU's device sections that stay behind; known after {@link prepare}. */
  readonly sections: readonly string[];
  /** The guest stands still and QEMU has saved nothing yet: reads the devices and leaves them quiet. */
  capture(): Promise<Uint8Array>;
  /** The guest stands still and stays here after all: makes the devices as they were before {@link capture}. */
  undo(): Promise<void>;
  /** The migration is over, however it ended. */
  close(): void;
}

/** The other end of {@link OpaqueDevices}. */
export interface RebuildDevices {
  /** Gives a paused machine that has loaded everything else its devices. */
  rebuild(state: Uint8Array): Promise<void>;
  /** The migration is over, however it ended. */
  close(): Promise<void>;
}

/** Opaque devices in figures, as a report has them. */
export interface OpaqueFigures {
  readonly captureMs: number;
  readonly bytes: number;
  rebuildMs: number;
}
