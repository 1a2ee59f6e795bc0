import { HelperProcess } from "./helper-process.ts";
import { Place } from "./host.ts";

/** How many frames the switch held, and how many it had no room for. */
export interface HeldFrames {
  readonly held: number;
  readonly dropped: number;
}

/**
 * The LAN between the physical machines: a switch over unix sockets (`-netdev stream`) that learns where an address is.
 * While a machine is on its way it holds what is sent to it, and hands it on when the address is heard elsewhere.
 */
export class MetalSwitch implements AsyncDisposable {
  readonly #helper: HelperProcess;
  /** The unix socket that NICs connect to. */
  readonly path: string;

  private constructor(helper: HelperProcess, path: string) {
    this.#helper = helper;
    this.path = path;
  }

  /** @throws GodwitError `GODWIT_LAB_HELPER` */
  static async start(path: string): Promise<MetalSwitch> {
    return new MetalSwitch(
      await HelperProcess.start(new Place(null), "metal-switch-process.ts", { path }),
      path,
    );
  }

  /** A machine is about to leave. */
  async departs(address: string): Promise<void> {
    await this.#helper.call("departs", address);
  }

  /** Holds what is sent to an address until it is heard again. */
  async hold(address: string): Promise<void> {
    await this.#helper.call("hold", address);
  }

  /** Hands on what is still held, to wherever the address was heard last. */
  async release(): Promise<HeldFrames> {
    return (await this.#helper.call("release")) as HeldFrames;
  }

  /** TCP segments on this LAN so far that their sender had sent before. */
  async retransmittedSegments(): Promise<number> {
    return (await this.#helper.call("retransmittedSegments")) as number;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#helper[Symbol.asyncDispose]();
  }
}
