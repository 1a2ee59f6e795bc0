import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What QEMU 10 greets with. */
export const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": ""}, "capabilities": ["oob"]}}\r\n';

/** A command as the fake monitor sees it. */
export interface FakeCommand {
  readonly execute?: string;
  readonly "exec-oob"?: string;
  readonly arguments?: Record<string, unknown>;
  readonly id: unknown;
}

/** A monitor that does what a test wants. */
export interface FakeMonitor extends AsyncDisposable {
  readonly path: string;
  /** Connections so far. */
  readonly sockets: Socket[];
  readonly received: FakeCommand[];
}

/** How a fake monitor behaves. */
export interface FakeBehaviour {
  /** Default {@link GREETING}. */
  readonly greeting?: string | Buffer;
  /** Called for each command but `qmp_capabilities`; default answers `{}`. */
  onCommand?(command: FakeCommand, socket: Socket): void;
  /** Don't answer `qmp_capabilities`. */
  readonly mute?: boolean;
}

/** Writes a command's answer. */
export function answer(socket: Socket, command: FakeCommand, value: unknown): void {
  socket.write(`${JSON.stringify({ return: value, id: command.id })}\r\n`);
}

/** Starts a fake QMP monitor on a unix socket in a folder of its own. */
export async function fakeMonitor(behaviour: FakeBehaviour = {}): Promise<FakeMonitor> {
  const folder = mkdtempSync(join(tmpdir(), "godwit-qmp-"));
  const path = join(folder, "qmp.sock");
  const sockets: Socket[] = [];
  const received: FakeCommand[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.write(behaviour.greeting ?? GREETING);
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("utf8");
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        const command = JSON.parse(line) as FakeCommand;
        received.push(command);
        if (command.execute === "qmp_capabilities") {
          if (behaviour.mute !== true) answer(socket, command, {});
        } else if (behaviour.onCommand === undefined) answer(socket, command, {});
        else behaviour.onCommand(command, socket);
      }
    });
  });
  server.listen(path);
  await once(server, "listening");
  return {
    path,
    sockets,
    received,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(folder, { recursive: true });
    },
  };
}
