import { once } from "node:events";
import { createServer } from "node:net";
import { serveHelper } from "./helper-serve.ts";
import { joinSockets } from "./join-sockets.ts";

interface Argument {
  readonly socketPath: string;
  readonly host: string;
  readonly port: number;
}

const { socketPath, host, port }: Argument = JSON.parse(process.argv[2] ?? "{}");
const server = createServer({ allowHalfOpen: true }, (taken) => joinSockets(taken, { host, port }));
server.listen(socketPath);
await once(server, "listening");
serveHelper({}, null);
