import { GodwitError } from "../../base/errors.ts";

/**
 * Gives the device state away before it is checked. The guest stands still, and checking its sections against their
 * description takes as long as all else that it waits for, so the destination loads them meanwhile; nothing is
 * committed before the check is over and the stream at its end.
 */
export class EarlyDeviceState {
  readonly #tell: (bytes: Uint8Array) => void;
  #toldBytes: number | null = null;

  /** @param tell is called once */
  constructor(tell: (bytes: Uint8Array) => void) {
    this.#tell = tell;
  }

  /** What looks like the whole device state. */
  unchecked(bytes: Uint8Array): void {
    if (this.#toldBytes === null) this.#give(bytes);
  }

  /**
   * What is the device state.
   * @throws GodwitError `GODWIT_STREAM_BAD_DEVICES` where another was told: a guest may imitate the end of a stream in
   * what it has its devices hold
   */
  checked(bytes: Uint8Array): void {
    if (this.#toldBytes === null) this.#give(bytes);
    else if (this.#toldBytes !== bytes.length) {
      throw new GodwitError(
        "GODWIT_STREAM_BAD_DEVICES",
        `the device state has ${bytes.length} bytes, but seemed to end after ${this.#toldBytes}`,
        { advice: "start the migration again; if it comes back, the guest imitates the end of a stream" },
      );
    }
  }

  #give(bytes: Uint8Array): void {
    this.#toldBytes = bytes.length;
    this.#tell(bytes);
  }
}
