import { createServer, type Server, type Socket } from "node:net";
import { asGodwitError } from "../base/errors.ts";
import { LinkDirection } from "./link-direction.ts";
import { type Conversation, openConversation } from "./simulated-connection.ts";

/** One port that the simulator stands in for. */
export interface SimulatedRoute {
  /** Where it listens; port 0 takes any free one. */
  readonly listenHost: string;
  readonly listenPort: number;
  /** Where it connects to. */
  readonly targetHost: string;
  readonly targetPort: number;
  /** The address it connects from, so that the target sees the peer's stand-in; any if absent. */
  readonly sourceHost?: string;
  /** Which direction of the link the connecting side's bytes take; `forward` if absent. */
  readonly direction?: "forward" | "backward";
}

/** What the simulated link is like. */
export interface LinkQuality {
  /** One-way delay in milliseconds, on top of the real link's. */
  readonly latencyMs?: number;
  /** Bytes per second of each direction, shared by all connections; null for no bound. */
  readonly bytesPerSecond?: number | null;
}

/**
 * How a link goes. `stall`: nothing passes and nothing is lost, as with packets lost for a while. `reset`:
 * connections end with RST and new ones too. `blackhole`: what is sent vanishes without a sign; connections that
 * lost something are reset at {@link LinkSimulator.restore}, as by a router that forgot them.
 */
export type CutMode = "stall" | "reset" | "blackhole";

/** Bytes and connections that passed a simulator. */
export interface SimulatedTraffic {
  /** Payload delivered forwards and backwards; no headers. */
  readonly forwardBytes: number;
  readonly backwardBytes: number;
  /** Payload that is under way now, of both directions. */
  readonly heldBytes: number;
  /** Connections ever taken. */
  readonly connections: number;
  /** Connections open now. */
  readonly openConnections: number;
}

/**
 * A link between two hosts as a TCP proxy: it adds one-way delay, bounds the rate and can be cut. A connection is
 * taken before the far end has accepted it (as with a real SYN proxy), so a refused one ends with RST instead.
 * It works in this process; {@link import("./remote-simulator.ts")} runs one inside a namespace.
 */
export class LinkSimulator {
  readonly #servers: { server: Server; port: number }[] = [];
  readonly #conversations = new Set<Conversation>();
  readonly #forward: LinkDirection;
  readonly #backward: LinkDirection;
  readonly #passed = { forward: 0, backward: 0 };
  #connections = 0;
  #cut: CutMode | null = null;

  private constructor(quality: LinkQuality) {
    const { latencyMs = 0, bytesPerSecond = null } = quality;
    this.#forward = new LinkDirection(latencyMs, bytesPerSecond);
    this.#backward = new LinkDirection(latencyMs, bytesPerSecond);
  }

  /**
   * Listens on all routes.
   * @throws GodwitError `GODWIT_LAB_SIMULATOR` when a port is taken
   */
  static async start(routes: readonly SimulatedRoute[], quality: LinkQuality = {}): Promise<LinkSimulator> {
    const simulator = new LinkSimulator(quality);
    try {
      for (const route of routes) await simulator.#listen(route);
    } catch (error) {
      await simulator[Symbol.asyncDispose]();
      throw asGodwitError(error, "GODWIT_LAB_SIMULATOR", { side: "local" });
    }
    return simulator;
  }

  /** The port that a route listens on, by its place in the list given to {@link start}. */
  port(routeIndex = 0): number {
    return this.#servers[routeIndex]?.port ?? 0;
  }

  /** Sets the one-way delay of both directions for what is sent from now on; order is kept. */
  setLatency(latencyMs: number): void {
    this.#forward.latencyMs = latencyMs;
    this.#backward.latencyMs = latencyMs;
  }

  /** Sets the rate of each direction; null for no bound. */
  setRate(bytesPerSecond: number | null): void {
    this.#forward.bytesPerSecond = bytesPerSecond;
    this.#backward.bytesPerSecond = bytesPerSecond;
  }

  /** Cuts the link until {@link restore}. */
  cut(mode: CutMode = "stall"): void {
    this.#cut = mode;
    if (mode === "reset") {
      this.dropConnections();
    } else if (mode === "stall") {
      this.#forward.cut();
      this.#backward.cut();
    }
  }

  /** Mends the link. */
  restore(): void {
    this.#cut = null;
    for (const conversation of this.#conversations) if (conversation.broken) conversation.reset();
    this.#forward.restore();
    this.#backward.restore();
  }

  /** Ends all present connections with RST; new ones are taken. */
  dropConnections(): void {
    for (const conversation of this.#conversations) conversation.reset();
  }

  /** What passed so far. */
  traffic(): SimulatedTraffic {
    return {
      forwardBytes: this.#passed.forward,
      backwardBytes: this.#passed.backward,
      heldBytes: this.#forward.heldBytes + this.#backward.heldBytes,
      connections: this.#connections,
      openConnections: this.#conversations.size,
    };
  }

  /** Ends everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.dropConnections();
    this.#forward.close();
    this.#backward.close();
    await Promise.all(
      this.#servers.map(({ server }) => new Promise((resolve) => server.close(() => resolve(undefined)))),
    );
  }

  async #listen(route: SimulatedRoute): Promise<void> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => this.#take(near, route));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(route.listenPort, route.listenHost, () => {
        server.off("error", reject);
        resolve();
      });
    });
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    this.#servers.push({ server, port });
  }

  #take(near: Socket, route: SimulatedRoute): void {
    this.#connections += 1;
    if (this.#cut === "reset") {
      near.resetAndDestroy();
      return;
    }
    const turned = route.direction === "backward";
    const there = turned ? this.#backward : this.#forward;
    const back = turned ? this.#forward : this.#backward;
    const conversation = openConversation({
      near,
      target: {
        host: route.targetHost,
        port: route.targetPort,
        ...(route.sourceHost === undefined ? {} : { localAddress: route.sourceHost }),
      },
      there,
      back,
      swallows: () => this.#cut === "blackhole",
      passedThere: (bytes) => this.#count(turned ? "backward" : "forward", bytes),
      passedBack: (bytes) => this.#count(turned ? "forward" : "backward", bytes),
      closed: () => this.#conversations.delete(conversation),
    });
    this.#conversations.add(conversation);
  }

  #count(direction: "forward" | "backward", bytes: number): void {
    this.#passed[direction] += bytes;
  }
}
