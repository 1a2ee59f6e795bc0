import { type ClientSteps, clientStepsSchema } from "./client-stream-steps.ts";
import { HelperProcess } from "./helper-process.ts";
import type { Place } from "./host.ts";

/** The guest's TCP stream, 102 kB/s each: see `guest/load/README.md`. */
const STREAM_PORT = 7001;

/** The guest's commands over TCP. */
const CONTROL_PORT = 7000;

/** Enough bytes that a step of 100 ms has some 40 kB, and little work for an emulated guest. */
const STREAMS = 4;

/**
 * A client outside with TCP connections to the guest, in a process of its own: it takes the guest's streams and asks
 * it something a hundred times a second. What it saw is told in steps of 100 ms.
 */
export class ClientStream implements AsyncDisposable {
  readonly #helper: HelperProcess;

  private constructor(helper: HelperProcess) {
    this.#helper = helper;
  }

  /** Connects from `place` to the guest. @throws GodwitError `GODWIT_LAB_HELPER` */
  static async start(place: Place, host: string): Promise<ClientStream> {
    const argument = { host, streamPort: STREAM_PORT, controlPort: CONTROL_PORT, streams: STREAMS };
    return new ClientStream(await HelperProcess.start(place, "client-stream-process.ts", argument));
  }

  /** What it saw between two times (`Date.now()`), which are past. */
  async look(fromMs: number, toMs: number): Promise<ClientSteps> {
    return clientStepsSchema.parse(await this.#helper.call("look", { fromMs, toMs }));
  }

  /** Ends it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#helper[Symbol.asyncDispose]();
  }
}
