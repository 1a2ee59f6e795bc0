import { connect, type Socket } from "node:net";
import { GodwitError } from "../../base/errors.ts";

/** Accesses take microseconds; a QEMU whose main loop is stuck this long is lost for a move. */
const ANSWER_TIMEOUT_MS = 10_000;

interface Waiting {
  readonly command: string;
  resolve(value: string): void;
  reject(error: Error): void;
}

/**
 * QEMU's qtest protocol (`docs/devel/testing/qtest.rst`) over a unix socket, beside a running accelerator: one line
 * per access, answered in order by `OK` and a value. Commands may be sent before earlier ones are answered.
 */
export class QtestClient {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #unsent = "";
  #rest = "";
  #lost: GodwitError | null = null;
  #watchdog: NodeJS.Timeout | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("latin1").on("data", (text: string) => this.#read(text));
    socket.on("error", (cause) => this.#lose("its connection failed", cause));
    socket.on("close", () => this.#lose("it closed the connection"));
  }

  /** @throws GodwitError `GODWIT_METAL_ACCESS` when nobody listens there */
  static connect(path: string): Promise<QtestClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once("error", (cause) => reject(failed(`nobody listens on ${path}`, cause)));
      socket.once("connect", () => {
        socket.removeAllListeners("error");
        resolve(new QtestClient(socket));
      });
    });
  }

  /** Sends one command and gives what follows `OK`. @throws GodwitError `GODWIT_METAL_ACCESS` */
  command(line: string): Promise<string> {
    const command = line.split(" ", 1)[0]!;
    if (this.#lost !== null) return Promise.reject(this.#lost);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ command, resolve, reject });
      this.#watch();
      // What is asked for in one go leaves in one go: each write to the socket is a system call on both sides.
      if (this.#unsent === "") process.nextTick(() => this.#flush());
      this.#unsent += `${line}\n`;
    });
  }

  close(): void {
    clearTimeout(this.#watchdog);
    this.#socket.destroy();
  }

  #flush(): void {
    this.#socket.write(this.#unsent, "latin1");
    this.#unsent = "";
  }

  #watch(): void {
    this.#watchdog ??= setTimeout(() => {
      this.#lose(`it did not answer ${this.#waiting[0]?.command} within ${ANSWER_TIMEOUT_MS} ms`);
      this.#socket.destroy();
    }, ANSWER_TIMEOUT_MS);
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop()!;
    for (const line of lines) {
      // Interrupt lines are told unasked once somebody intercepts them; nobody here does.
      if (line.startsWith("IRQ ")) continue;
      const waiting = this.#waiting.shift();
      if (line === "OK" || line.startsWith("OK ")) waiting?.resolve(line.slice(3));
      else waiting?.reject(failed(`it refused ${waiting.command}: ${line.slice(0, 200)}`));
    }
    clearTimeout(this.#watchdog);
    this.#watchdog = undefined;
    if (this.#waiting.length > 0) this.#watch();
  }

  #lose(why: string, cause?: unknown): void {
    this.#lost ??= failed(why, cause);
    for (const { reject } of this.#waiting.splice(0)) reject(this.#lost);
  }
}

function failed(why: string, cause?: unknown): GodwitError {
  return new GodwitError("GODWIT_METAL_ACCESS", `the machine's qtest socket: ${why}`, {
    advice: "its machine file needs the extra arguments of docs/metal.md, and nobody else on that socket",
    cause,
  });
}
