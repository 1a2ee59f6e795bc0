import { HelperProcess } from "./helper-process.ts";
import type { Place } from "./host.ts";
import type { CutMode, LinkQuality, SimulatedRoute, SimulatedTraffic } from "./link-simulator.ts";

/** A {@link import("./link-simulator.ts").LinkSimulator} in a process and place of its own. */
export class RemoteSimulator implements AsyncDisposable {
  readonly #helper: HelperProcess;

  private constructor(helper: HelperProcess) {
    this.#helper = helper;
  }

  /** As `LinkSimulator.start`, in a place. @throws GodwitError `GODWIT_LAB_HELPER` */
  static async start(
    place: Place,
    routes: readonly SimulatedRoute[],
    quality: LinkQuality,
  ): Promise<RemoteSimulator> {
    return new RemoteSimulator(await HelperProcess.start(place, "simulator-process.ts", { routes, quality }));
  }

  /** The port that a route listens on. */
  port(routeIndex = 0): number {
    return (this.#helper.ready as number[])[routeIndex] ?? 0;
  }

  /** Cuts the link until {@link restore}. */
  async cut(mode: CutMode = "stall"): Promise<void> {
    await this.#helper.call("cut", mode);
  }

  /** Mends the link. */
  async restore(): Promise<void> {
    await this.#helper.call("restore");
  }

  /** Ends all present connections with RST. */
  async dropConnections(): Promise<void> {
    await this.#helper.call("dropConnections");
  }

  /** Sets the one-way delay of both directions. */
  async setLatency(latencyMs: number): Promise<void> {
    await this.#helper.call("setLatency", latencyMs);
  }

  /** Sets the rate of each direction; null for no bound. */
  async setRate(bytesPerSecond: number | null): Promise<void> {
    await this.#helper.call("setRate", bytesPerSecond);
  }

  /** What passed so far. */
  async traffic(): Promise<SimulatedTraffic> {
    return (await this.#helper.call("traffic")) as SimulatedTraffic;
  }

  /** Ends it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#helper[Symbol.asyncDispose]();
  }
}
