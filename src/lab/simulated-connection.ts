import { connect, type Socket } from "node:net";
import { breakOff } from "./break-off.ts";
import type { LinkDirection } from "./link-direction.ts";

/** Besides what the delay itself needs, a connection keeps this much under way: four reads of a socket, … */
const SLACK_BYTES = 256 * 1024;
/** … and what the link carries while the event loop is busy elsewhere. */
const SLACK_MS = 5;

/** The most that one direction of a connection keeps: 10 Gbit/s times 10 ms, so that delay is never the limit. */
export const LARGEST_WINDOW_BYTES = 12_500_000;

/** One connection through the simulator. */
export interface Conversation {
  /** A blackhole has swallowed some of it: it can't go on. */
  readonly broken: boolean;
  /** Ends both sides with RST at once. */
  reset(): void;
}

/** What {@link openConversation} needs. */
export interface ConversationOptions {
  /** The connection that was taken. */
  readonly near: Socket;
  readonly target: { readonly host: string; readonly port: number; readonly localAddress?: string };
  readonly there: LinkDirection;
  readonly back: LinkDirection;
  /** Whether the link swallows bytes now. */
  swallows(): boolean;
  passedThere(bytes: number): void;
  passedBack(bytes: number): void;
  closed(): void;
}

/** Connects a taken connection to its target through the link; either side's end, error or RST reaches the other. */
export function openConversation(options: ConversationOptions): Conversation {
  const { near, there, back } = options;
  const far = connect({ ...options.target, allowHalfOpen: true, noDelay: true });
  let open = true;
  const conversation = {
    broken: false,
    reset() {
      if (!open) return;
      open = false;
      breakOff(near);
      breakOff(far);
      options.closed();
    },
  };
  const swallows = () => {
    if (options.swallows()) conversation.broken = true;
    return options.swallows();
  };
  carry({ from: near, to: far, direction: there, passed: options.passedThere, swallows });
  carry({ from: far, to: near, direction: back, passed: options.passedBack, swallows });
  for (const [socket, direction] of [
    [near, there],
    [far, back],
  ] as const) {
    socket.on("error", () => direction.send(0, () => conversation.reset()));
    socket.on("close", () => {
      if (near.destroyed && far.destroyed && open) {
        open = false;
        options.closed();
      }
    });
  }
  return conversation;
}

interface Carriage {
  readonly from: Socket;
  readonly to: Socket;
  readonly direction: LinkDirection;
  passed(bytes: number): void;
  swallows(): boolean;
}

/** Carries one direction, with back-pressure: it stops reading while too much is under way or not taken. */
function carry({ from, to, direction, passed, swallows }: Carriage): void {
  let underWayBytes = 0;
  const windowBytes = () => {
    const { bytesPerSecond, latencyMs } = direction;
    if (bytesPerSecond === null) return LARGEST_WINDOW_BYTES;
    return Math.min(LARGEST_WINDOW_BYTES, (bytesPerSecond * (latencyMs + SLACK_MS)) / 1000 + SLACK_BYTES);
  };
  const resumeWhenRoom = () => {
    if (from.isPaused() && underWayBytes + to.writableLength < windowBytes()) from.resume();
  };
  from.on("data", (chunk: Buffer) => {
    if (swallows()) return;
    underWayBytes += chunk.length;
    if (underWayBytes + to.writableLength >= windowBytes()) from.pause();
    direction.send(chunk.length, () => {
      underWayBytes -= chunk.length;
      if (to.destroyed) return;
      passed(chunk.length);
      to.write(chunk, resumeWhenRoom);
    });
  });
  from.on("end", () => {
    if (!swallows()) direction.send(0, () => to.end());
  });
}
