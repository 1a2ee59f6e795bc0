import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { breakOff } from "./break-off.ts";

for (const state of ["open", "about to end", "ended"] as const) {
  test(`a connection that is ${state} is broken off and leaves nothing open`, {
    timeout: 5_000,
  }, async () => {
    const server = createServer({ allowHalfOpen: true }, (taken) => {
      taken.on("error", () => {}).resume();
      socket.on("close", () => taken.destroy());
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    await Promise.all([once(socket, "connect"), once(server, "connection")]);
    if (state !== "open") socket.end("last words");
    if (state === "ended") await once(socket, "finish");
    const closed = once(socket, "close");
    breakOff(socket);
    assert.deepEqual(await closed, [false], "without an error");
    server.close();
    await once(server, "close");
    while (process.getActiveResourcesInfo().includes("TCPSocketWrap")) await nextTurn();
  });
}
