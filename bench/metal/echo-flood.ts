import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

/** Datagrams under way at a time: enough to keep an emulated guest at nothing else. */
const UNDER_WAY = 16;

/** After so long without an answer datagrams must have been lost, and new ones are sent. */
const LOST_MS = 250;

/** Datagrams that a guest sends back as fast as it can: each answer is the next question. */
export class EchoFlood implements Disposable {
  readonly #socket: Socket;
  readonly #timer: NodeJS.Timeout;
  /** Answers so far. */
  echoes = 0;

  private constructor(socket: Socket, underWay: number) {
    const probe = Buffer.alloc(64, 7);
    const start = () => {
      for (let at = 0; at < underWay; at++) socket.send(probe);
    };
    let seen = -1;
    this.#socket = socket.on("message", () => {
      this.echoes += 1;
      socket.send(probe);
    });
    this.#timer = setInterval(() => {
      if (this.echoes === seen) start();
      seen = this.echoes;
    }, LOST_MS);
    start();
  }

  /**
   * @param port of this host, forwarded to the guest's echo port
   * @param underWay datagrams at a time; the guest answers them before it does anything else
   */
  static async open(port: number, underWay = UNDER_WAY): Promise<EchoFlood> {
    const socket = createSocket("udp4");
    socket.on("error", () => {});
    socket.connect(port, "127.0.0.1");
    await once(socket, "connect");
    return new EchoFlood(socket, underWay);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#socket.close();
  }
}
