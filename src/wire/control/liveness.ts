import { GodwitError } from "../../base/errors.ts";

/** How often a side that has nothing to say says that it is alive: ten times within the default patience. */
export const HEARTBEAT_INTERVAL_MS = 1_000;

/**
 * How long silence is borne. TCP repairs a short cut by itself, with retransmissions 0.2, 0.4, 0.8, 1.6, 3.2 s
 * apart: after a cut of 6 s the next attempt comes within 6.4 s, so 10 s lets a switch reboot its port or a
 * route move without losing a migration, and is still shorter than most clients' patience with a paused guest.
 */
export const LOST_AFTER_MS = 10_000;

/** When a silent peer counts as lost. */
export interface LivenessOptions {
  /** Default {@link LOST_AFTER_MS}. */
  readonly lostAfterMs?: number;
  /** Default {@link HEARTBEAT_INTERVAL_MS}. */
  readonly heartbeatIntervalMs?: number;
}

/** What {@link Liveness} does to its channel. */
export interface LivenessActions {
  beat(): void;
  lost(error: GodwitError): void;
}

/** Sends heartbeats and judges the peer's silence, on the monotonic clock. */
export class Liveness {
  readonly #actions: LivenessActions;
  readonly #lostAfterMs: number;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  #lastHeardMs = 0;
  #lastSentMs = 0;
  #deaf = false;

  constructor(options: LivenessOptions, actions: LivenessActions) {
    this.#actions = actions;
    this.#lostAfterMs = options.lostAfterMs ?? LOST_AFTER_MS;
    this.#intervalMs = Math.min(
      options.heartbeatIntervalMs ?? HEARTBEAT_INTERVAL_MS,
      Math.max(1, this.#lostAfterMs / 4),
    );
  }

  start(): void {
    this.#lastHeardMs = performance.now();
    this.#timer = setInterval(() => this.#tick(), this.#intervalMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Something arrived. */
  heard(): void {
    this.#lastHeardMs = performance.now();
    this.#deaf = false;
  }

  /** Something was sent, so that no heartbeat is due. */
  sent(): void {
    this.#lastSentMs = performance.now();
  }

  /** We stopped reading ourselves: silence proves nothing until {@link heard}. */
  deaf(): void {
    this.#deaf = true;
  }

  #tick(): void {
    const now = performance.now();
    if (now - this.#lastSentMs >= this.#intervalMs / 2) this.#actions.beat();
    if (this.#silent(now)) setImmediate(() => this.#judge());
  }

  /** Once more after the event loop has read its sockets: a process that was held up itself must not blame the peer. */
  #judge(): void {
    if (this.#timer === undefined || !this.#silent(performance.now())) return;
    this.stop();
    const error = new GodwitError(
      "GODWIT_LINK_LOST",
      `nothing was heard from the peer for ${this.#lostAfterMs / 1000} s`,
      { advice: "look at the network between the hosts and whether the other agent still runs" },
    );
    this.#actions.lost(error);
  }

  #silent(now: number): boolean {
    return !this.#deaf && now - this.#lastHeardMs > this.#lostAfterMs;
  }
}
