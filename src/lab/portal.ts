import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { HelperProcess } from "./helper-process.ts";
import type { Place } from "./host.ts";
import { joinSockets } from "./join-sockets.ts";

/**
 * A TCP port of another place as a port of this process's own loopback device: a helper inside connects to it, and
 * a unix socket, which no network namespace hides, lies between.
 */
export class Portal implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #helper: HelperProcess;
  readonly #taken: Set<Socket>;

  private constructor(parts: { port: number; server: Server; helper: HelperProcess; taken: Set<Socket> }) {
    this.port = parts.port;
    this.#server = parts.server;
    this.#helper = parts.helper;
    this.#taken = parts.taken;
  }

  /** @param options.socketPath a free path; goes with the portal. @throws GodwitError `GODWIT_LAB_HELPER` */
  static async open(
    place: Place,
    options: { socketPath: string; host: string; port: number },
  ): Promise<Portal> {
    const helper = await HelperProcess.start(place, "portal-process.ts", options);
    const taken = new Set<Socket>();
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      taken.add(socket);
      socket.once("close", () => taken.delete(socket));
      joinSockets(socket, { path: options.socketPath });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    return new Portal({ port, server, helper, taken });
  }

  /** Closes it and its connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#taken) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    await this.#helper[Symbol.asyncDispose]();
  }
}
