import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { GodwitError } from "../base/errors.ts";
import type { Place } from "./host.ts";
import { labAddresses } from "./namespace-network.ts";
import type { RunFolder } from "./run-folder.ts";

/** The port that IANA has assigned to NBD. */
const PORT = 10809;

/** The guest writes around it several times in a run, so that every generation of a record is seen. */
const DISK_BYTES = 16 * 1024 ** 2;

/** A server that opens one small file listens within milliseconds. */
const START_TIMEOUT_MS = 10_000;

/** A disk that stays where it is while machines move: an NBD server beside the client. */
export class MetalDisk implements AsyncDisposable {
  readonly #server: ChildProcess;

  private constructor(server: ChildProcess) {
    this.#server = server;
  }

  /** What the guest's kernel parameter says. */
  get address(): string {
    return `${labAddresses.client}:${PORT}`;
  }

  /** @throws GodwitError `GODWIT_LAB_HOSTS` when there is no server or it does not start */
  static async serve(place: Place, folder: RunFolder, qemu: string): Promise<MetalDisk> {
    const program = join(dirname(qemu), "qemu-nbd");
    if (!existsSync(program)) throw failed(`there is no ${program}`);
    const image = folder.inside("disk.raw");
    writeFileSync(image, "");
    truncateSync(image, DISK_BYTES);
    const pidFile = folder.inside("nbd.pid");
    const where = [`--bind=${labAddresses.client}`, `--port=${PORT}`, `--pid-file=${pidFile}`];
    const words = ["--persistent", "--shared=0", "--format=raw", ...where, image];
    const server = place.spawn(program, words, { stdio: ["ignore", "ignore", "inherit"] });
    const deadline = performance.now() + START_TIMEOUT_MS;
    // The pid file is written when the server listens.
    while (!existsSync(pidFile)) {
      if (server.exitCode !== null || performance.now() > deadline)
        throw failed("the NBD server does not start");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return new MetalDisk(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server.exitCode !== null || this.#server.signalCode !== null) return;
    const gone = once(this.#server, "exit");
    this.#server.kill("SIGKILL");
    await gone;
  }
}

function failed(why: string): GodwitError {
  return new GodwitError("GODWIT_LAB_HOSTS", why, { side: "local", advice: "run npm run setup" });
}
