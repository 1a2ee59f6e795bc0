import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type GuestTransport, PendingAnswers } from "./guest-transport.ts";

/** A lost datagram costs at most this; an answered one is never repeated. */
const REPEAT_MS = 250;

/** Commands as datagrams, repeated until the answer comes. The guest obeys a repeated command once. */
export async function openDatagrams(host: string, port: number): Promise<GuestTransport> {
  const socket = createSocket("udp4");
  const pending = new PendingAnswers();
  socket.on("message", (message) => pending.settle(message.toString()));
  // Port unreachable, while the guest isn't up or moves, is what the repetition is for.
  socket.on("error", () => undefined);
  socket.on("close", () => pending.fail("the connection to the guest was closed"));
  socket.connect(port, host);
  await once(socket, "connect");
  return {
    async exchange(command, signal) {
      const id = pending.newId();
      const answer = pending.wait(id, signal);
      const send = () => socket.send(`id=${id} ${command}`, () => undefined);
      const repeat = setInterval(send, REPEAT_MS);
      send();
      return await answer.finally(() => clearInterval(repeat));
    },
    close: () => socket.close(),
  };
}
