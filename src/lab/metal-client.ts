import type { DiskVerdict } from "./guest-answers.ts";
import { HelperProcess } from "./helper-process.ts";
import type { Place } from "./host.ts";

/** What the client of a guest's TCP stream has seen so far. */
export interface StreamSeen {
  /** Lines that came, each the next one. */
  readonly lines: number;
  /** The first line that was not the next one; null while all were. */
  readonly torn: string | null;
  readonly connected: boolean;
  /** Bytes in each 100 ms since the connection stood, the last step unfinished. */
  readonly bytesPerStep: readonly number[];
  /** When the first step began, `Date.now()` time. */
  readonly sinceMs: number;
  /** Segments that the guest sent again although they had come (TCPDSACKOldSent of the client's host). */
  readonly duplicateSegments: number;
}

/** A client outside that reads the guest's TCP stream and checks every line. */
export class MetalClient implements AsyncDisposable {
  readonly #helper: HelperProcess;

  private constructor(helper: HelperProcess) {
    this.#helper = helper;
  }

  /** Connects from `place`. @throws GodwitError `GODWIT_LAB_HELPER` */
  static async start(place: Place, host: string, port: number): Promise<MetalClient> {
    return new MetalClient(await HelperProcess.start(place, "metal-client-process.ts", { host, port }));
  }

  async look(): Promise<StreamSeen> {
    return (await this.#helper.call("look")) as StreamSeen;
  }

  /** Has the guest read back every record that it has written to its disk. */
  async verifyDisk(): Promise<DiskVerdict> {
    return (await this.#helper.call("verifyDisk")) as DiskVerdict;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#helper[Symbol.asyncDispose]();
  }
}
