import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { COMPILE_AHEAD } from "../../base/compile-cache.ts";
import { GodwitError, type Side } from "../../base/errors.ts";

/** A running data process: typed messages both ways until it ends. */
export interface DataProcess<Command, Notice> {
  readonly pid: number;
  send(command: Command): void;
  /** Notices in order. Throws `GODWIT_DATA_PROCESS` when the process dies of itself. */
  notices(): AsyncGenerator<Notice, void, void>;
  /** Ends it by force and waits until it is gone: it may sit in a system call, and holds nothing worth keeping. */
  kill(): Promise<void>;
}

/**
 * Starts the process that carries a migration's bulk data, with QEMU's migration socket as its standard input. A
 * process of its own because threads may then block in reads and writes of that socket, the measured best way to
 * drain it, while the agent's event loop stays free; and because what happens to it can't happen to the agent.
 *
 * The caller's end of the socket is closed.
 */
export function spawnDataProcess<Command extends object, Notice>(
  side: Side,
  script: "source-process.ts" | "destination-process.ts",
  qemuSocket: Socket,
): DataProcess<Command, Notice> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, [...COMPILE_AHEAD, path], {
    stdio: [qemuSocket, "ignore", "inherit", "ipc"],
    serialization: "advanced",
  });
  // The child has its own copy now; the socket ends with the last one.
  qemuSocket.destroy();
  const queue = new NoticeQueue<Notice>();
  let killed = false;
  child.on("message", (message) => queue.push(message as Notice));
  const gone = new Promise<void>((resolve) => {
    const end = (how: string, cause?: unknown) => {
      if (killed) queue.end(null);
      else
        queue.end(new GodwitError("GODWIT_DATA_PROCESS", `the data process ended: ${how}`, { side, cause }));
      resolve();
    };
    child.once("exit", (code, signal) => end(signal === null ? `exit code ${code}` : `signal ${signal}`));
    child.once("error", (error) => end(error.message, error));
  });
  return {
    pid: child.pid ?? -1,
    send: (command) => sendQuietly(child, command),
    notices: () => queue.drain(),
    kill: async () => {
      killed = true;
      child.kill("SIGKILL");
      await gone;
    },
  };
}

/** A command to a process that has just died is answered by its end, which the notices tell. */
function sendQuietly(child: ChildProcess, command: object): void {
  if (child.connected) child.send(command, () => {});
}

class NoticeQueue<Notice> {
  readonly #waiting: Notice[] = [];
  #ended: { error: GodwitError | null } | null = null;
  #wake: () => void = () => {};

  push(notice: Notice): void {
    this.#waiting.push(notice);
    this.#wake();
  }

  end(error: GodwitError | null): void {
    this.#ended ??= { error };
    this.#wake();
  }

  async *drain(): AsyncGenerator<Notice, void, void> {
    for (;;) {
      const notice = this.#waiting.shift();
      if (notice !== undefined) {
        yield notice;
        continue;
      }
      if (this.#ended !== null) {
        if (this.#ended.error !== null) throw this.#ended.error;
        return;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
