import { connect, type IpcNetConnectOpts, type Socket, type TcpNetConnectOpts } from "node:net";

/** Connects a socket that was taken to another address; the end or failure of either ends both. */
export function joinSockets(taken: Socket, target: TcpNetConnectOpts | IpcNetConnectOpts): void {
  const other = connect({ ...target, allowHalfOpen: true });
  taken.pipe(other).pipe(taken);
  const end = () => {
    taken.destroy();
    other.destroy();
  };
  for (const socket of [taken, other]) {
    socket.on("error", end);
    socket.on("close", end);
  }
}
