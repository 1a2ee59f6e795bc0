import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { QtestClient } from "./qtest-client.ts";

/** A qtest server that answers each line as told. */
async function fake(answer: (line: string, socket: Socket) => string | null) {
  const folder = mkdtempSync(join(tmpdir(), "godwit-qtest-"));
  const path = join(folder, "q.sock");
  const server = createServer((socket) => {
    let rest = "";
    socket.setEncoding("latin1").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const said = answer(line, socket);
        if (said !== null) socket.write(said);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const client = await QtestClient.connect(path);
  const dispose = async () => {
    client.close();
    await new Promise((resolve) => server.close(resolve));
    rmSync(folder, { recursive: true });
  };
  return { client, [Symbol.asyncDispose]: dispose };
}

test("commands sent at once are answered in order, interrupts between them are left out", async () => {
  await using qtest = await fake((line) => `IRQ raise 1\nOK ${line.split(" ")[1]}\n`);
  const answers = await Promise.all(
    ["inb 0x1", "inb 0x2", "inb 0x3"].map((line) => qtest.client.command(line)),
  );
  assert.deepEqual(answers, ["0x1", "0x2", "0x3"]);
});

test("a refused command and a lost connection are errors of their own", async () => {
  await using qtest = await fake((line, socket) => {
    if (line.startsWith("bad")) return "FAIL Unknown command\n";
    socket.destroy();
    return null;
  });
  await assert.rejects(qtest.client.command("bad"), { code: "GODWIT_METAL_ACCESS", message: /refused bad/ });
  await assert.rejects(qtest.client.command("inb 0x1"), { code: "GODWIT_METAL_ACCESS" });
  await assert.rejects(qtest.client.command("inb 0x1"), { code: "GODWIT_METAL_ACCESS" });
});

test("nobody on the socket is said so", async () => {
  await assert.rejects(QtestClient.connect("/nowhere/q.sock"), { code: "GODWIT_METAL_ACCESS" });
});
