import { once } from "node:events";
import { connect } from "node:net";
import { GodwitError } from "../base/errors.ts";
import { ANSWER_LIMIT_BYTES, type GuestTransport, PendingAnswers } from "./guest-transport.ts";

/**
 * Connects to the unix socket of QEMU's virtio-serial character device. QEMU serves one client at a time;
 * another one waits until this one is closed.
 */
export async function connectSerial(path: string, signal?: AbortSignal): Promise<GuestTransport> {
  const socket = connect(path);
  const pending = new PendingAnswers();
  let rest = "";
  let closed = false;
  socket.setEncoding("utf8");
  try {
    await once(socket, "connect", signal === undefined ? {} : { signal });
  } catch (cause) {
    socket.destroy();
    signal?.throwIfAborted();
    throw new GodwitError("GODWIT_GUEST_SILENT", `nobody listens at ${path}`, {
      advice: "see whether QEMU runs",
      cause,
    });
  }
  socket.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) pending.settle(line);
    if (rest.length > ANSWER_LIMIT_BYTES) socket.destroy(new Error("an endless line"));
  });
  socket.on("error", (error) => pending.fail(`the connection to the guest broke: ${error.message}`, error));
  socket.on("close", () => {
    closed = true;
    pending.fail("QEMU closed the connection to the guest");
  });
  return {
    async exchange(command, exchangeSignal) {
      if (closed) throw new GodwitError("GODWIT_GUEST_SILENT", "QEMU closed the connection to the guest");
      const id = pending.newId();
      const answer = pending.wait(id, exchangeSignal);
      socket.write(`id=${id} ${command}\n`);
      return await answer;
    },
    close: () => socket.destroy(),
  };
}
