import { writeSync } from "node:fs";
import { encodeReturnMessage, type ReturnMessage } from "../../stream/return-messages.ts";

/** QEMU's migration socket: the data process' standard input, and so in blocking mode. */
export const QEMU_SOCKET = 0;

/**
 * Says something to the source's QEMU on the return path of its migration (QEMU's `docs/devel/migration`). The
 * messages are a few bytes and QEMU always reads them, so that this never blocks for long.
 */
export function answerQemu(message: ReturnMessage): void {
  writeSync(QEMU_SOCKET, encodeReturnMessage(message));
}
