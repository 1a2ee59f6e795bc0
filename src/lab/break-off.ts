import type { Socket } from "node:net";

/**
 * Ends a connection with RST. One that is about to shut its writing end gets none: libuv refuses that, and Node then
 * leaves the descriptor open for good.
 */
export function breakOff(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}
