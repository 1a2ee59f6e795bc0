import { EventEmitter } from "node:events";
import { connect, type Socket } from "node:net";
import { asGodwitError, GodwitError } from "../base/errors.ts";
import { abortError, type WaitOptions, waiting } from "../base/waiting.ts";
import { LineSplitter } from "./lines.ts";
import { type ArgumentsOf, type ResultOf, resultSchemas } from "./qmp-commands.ts";
import { QmpCommandError } from "./qmp-errors.ts";
import type { KnownEventName, KnownQmpEvent, QmpEvent } from "./qmp-events.ts";
import { parseQmpMessage, type QmpGreeting, type QmpMessage } from "./qmp-message.ts";

/** A line longer than this ends the connection. The longest answer in use, `query-qmp-schema`, has 0.3 MB. */
export const LINE_LIMIT_BYTES = 16 * 1024 * 1024;

/** QEMU's main loop stalls for up to 5 s in a dirty sync of an 8 GiB guest; an answer may well come after that. */
export const COMMAND_TIMEOUT_MS = 30_000;

/** A monitor in use by somebody else accepts but never greets; a free one greets within milliseconds. */
export const CONNECT_TIMEOUT_MS = 10_000;

/** Commands written but not taken by the peer beyond this are refused: a peer that reads is never so far behind. */
const UNSENT_LIMIT_BYTES = 1024 * 1024;

/** How to open a monitor. */
export interface QmpConnectOptions extends WaitOptions {
  /** Ask for out-of-band execution where the monitor offers it; {@link QmpClient.outOfBand} tells the result. */
  readonly outOfBand?: boolean;
}

/** How to run one command. `timeoutMs` defaults to {@link COMMAND_TIMEOUT_MS}; `Infinity` waits for ever. */
export interface ExecuteOptions extends WaitOptions {
  /** Run it out of band (`exec-oob`), past a blocked main loop; only some commands may. */
  readonly outOfBand?: boolean;
}

type Rest<Name extends string> =
  Record<string, never> extends ArgumentsOf<Name>
    ? [commandArguments?: ArgumentsOf<Name>, options?: ExecuteOptions]
    : [commandArguments: ArgumentsOf<Name>, options?: ExecuteOptions];

interface Pending {
  readonly command: string;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

interface QmpClientEvents {
  /** Every event of the monitor, in order. */
  event: [event: QmpEvent];
  /** The connection is over, once; `error` says why, `undefined` after {@link QmpClient.close}. */
  close: [error: GodwitError | undefined];
}

/**
 * A client of one QMP monitor (docs/interop/qmp-spec) on a unix socket. Several commands may be in flight; answers
 * are matched by id. A peer that breaks the protocol, closes or sends an endless line ends the client: every
 * command and every wait then fails with the same cause, and so does every later one.
 */
export class QmpClient extends EventEmitter<QmpClientEvents> {
  readonly #socket: Socket;
  readonly #lines = new LineSplitter(LINE_LIMIT_BYTES);
  readonly #pending = new Map<number, Pending>();
  readonly #path: string;
  readonly #greeted = Promise.withResolvers<QmpGreeting>();
  #greeting: QmpGreeting | undefined;
  #nextId = 1;
  #closed = false;
  #closeError: GodwitError | undefined;
  #outOfBand = false;

  private constructor(socket: Socket, path: string) {
    super();
    // One wait per event in flight is normal, and the default of 10 would print a warning.
    this.setMaxListeners(0);
    this.#socket = socket;
    this.#path = path;
    this.#greeted.promise.catch(() => {});
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", (error) => this.#end(this.#connectionError(error)));
    socket.on("close", () => this.#end(this.#closedError()));
  }

  /**
   * Connects, waits for the greeting and negotiates capabilities.
   * @throws GodwitError `GODWIT_QMP_CONNECT` when nothing listens at `path`, `GODWIT_QMP_TIMEOUT` when it doesn't
   * greet (a monitor serves one client at a time), `GODWIT_QMP_PROTOCOL` when it is no monitor,
   * `GODWIT_QMP_CLOSED` when it closes, `GODWIT_ABORTED`
   */
  static async connect(path: string, options: QmpConnectOptions = {}): Promise<QmpClient> {
    const client = new QmpClient(connect({ path }), path);
    const { signal, timeoutMs = CONNECT_TIMEOUT_MS } = options;
    try {
      const greeting = await waiting(client.#greeted.promise, { signal, timeoutMs }, () => {
        return new GodwitError("GODWIT_QMP_TIMEOUT", `no greeting from ${path} within ${timeoutMs} ms`, {
          advice: "a monitor serves one client at a time: check that no other program holds it",
        });
      });
      const wanted = options.outOfBand === true && greeting.capabilities.includes("oob");
      await client.execute("qmp_capabilities", wanted ? { enable: ["oob"] } : {}, { signal, timeoutMs });
      client.#outOfBand = wanted;
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** The version of the QEMU behind this monitor, from its greeting. */
  get version(): QmpGreeting["version"] {
    return this.#greeting?.version ?? { major: 0, minor: 0, micro: 0 };
  }

  /** True when out-of-band execution was negotiated. */
  get outOfBand(): boolean {
    return this.#outOfBand;
  }

  /** True once the connection is over. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Runs a command and gives its answer, typed for the commands of {@link QmpArguments}, as QEMU said it for others.
   * When it fails by time-out or abort QEMU may still carry it out; its late answer is dropped.
   * @throws QmpCommandError `GODWIT_QMP_COMMAND` when QEMU refuses, `GODWIT_QMP_UNKNOWN_COMMAND` when it doesn't
   * know the command; GodwitError `GODWIT_QMP_TIMEOUT`, `GODWIT_QMP_CLOSED`, `GODWIT_QMP_PROTOCOL`,
   * `GODWIT_QMP_BUSY`, `GODWIT_ABORTED`
   */
  async execute<Name extends string>(command: Name, ...rest: Rest<Name>): Promise<ResultOf<Name>> {
    const [commandArguments, options = {}] = rest;
    const { signal, timeoutMs = COMMAND_TIMEOUT_MS } = options;
    if (signal?.aborted === true) throw abortError(signal);
    if (this.#closed) throw this.#whyClosed(command);
    if (this.#socket.writableLength > UNSENT_LIMIT_BYTES) {
      throw new GodwitError(
        "GODWIT_QMP_BUSY",
        `QEMU doesn't read its monitor ${this.#path}: "${command}" not sent`,
      );
    }
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(id, { command, resolve, reject });
    const verb = options.outOfBand === true ? "exec-oob" : "execute";
    this.#socket.write(`${JSON.stringify({ [verb]: command, arguments: commandArguments, id })}\n`);
    try {
      const value = await waiting(promise, { signal, timeoutMs }, () => {
        return new GodwitError("GODWIT_QMP_TIMEOUT", `no answer to "${command}" within ${timeoutMs} ms`, {
          advice: "QEMU's main loop is blocked or the process is stopped; see its log",
        });
      });
      return this.#checkedResult(command, value) as ResultOf<Name>;
    } finally {
      this.#pending.delete(id);
    }
  }

  /**
   * Waits for an event of that name, or for one that satisfies a predicate. It listens from the moment of the call:
   * call it before the command that causes the event. A failure that nobody awaits is not an unhandled rejection.
   * @throws GodwitError `GODWIT_QMP_TIMEOUT` (only with `timeoutMs`), `GODWIT_QMP_CLOSED`, `GODWIT_ABORTED`
   */
  waitForEvent<Name extends KnownEventName>(name: Name, options?: WaitOptions): Promise<KnownQmpEvent<Name>>;
  waitForEvent(predicate: (event: QmpEvent) => boolean, options?: WaitOptions): Promise<QmpEvent>;
  waitForEvent(
    wanted: string | ((event: QmpEvent) => boolean),
    options: WaitOptions = {},
  ): Promise<QmpEvent> {
    const matches = typeof wanted === "string" ? (event: QmpEvent) => event.name === wanted : wanted;
    const what = typeof wanted === "string" ? `the event ${wanted}` : "an event";
    const { promise, resolve, reject } = Promise.withResolvers<QmpEvent>();
    const onEvent = (event: QmpEvent) => {
      try {
        if (matches(event)) resolve(event);
      } catch (error) {
        reject(error);
      }
    };
    const onClose = () => reject(this.#whyClosed(what));
    if (this.#closed) onClose();
    this.on("event", onEvent);
    this.on("close", onClose);
    const result = waiting(promise, options, () => {
      return new GodwitError("GODWIT_QMP_TIMEOUT", `${what} did not come within ${options.timeoutMs} ms`);
    }).finally(() => {
      this.off("event", onEvent);
      this.off("close", onClose);
    });
    result.catch(() => {});
    return result;
  }

  /** Ends the connection; what is pending fails with `GODWIT_QMP_CLOSED`. QEMU goes on. */
  close(): void {
    this.#end(undefined);
  }

  #read(chunk: Buffer): void {
    try {
      this.#lines.push(chunk, (line) => {
        if (!this.#closed) this.#handle(parseQmpMessage(line));
      });
    } catch (error) {
      this.#end(asGodwitError(error, "GODWIT_QMP_PROTOCOL"));
    }
  }

  #handle(message: QmpMessage): void {
    if (message.kind === "greeting") {
      if (this.#greeting !== undefined) throw this.#protocolError("greeted twice");
      this.#greeting = message.greeting;
      this.#greeted.resolve(message.greeting);
    } else if (this.#greeting === undefined) {
      throw this.#protocolError("did not greet first");
    } else if (message.kind === "event") {
      this.#tell(message.event);
    } else {
      this.#answer(message);
    }
  }

  /** A listener that throws is a fault of its own, not of the peer. */
  #tell(event: QmpEvent): void {
    try {
      this.emit("event", event);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  #answer(message: QmpMessage & { kind: "return" | "error" }): void {
    const { id } = message;
    if (typeof id !== "number" || !Number.isInteger(id) || id < 1 || id >= this.#nextId) {
      const why = message.kind === "error" ? `: ${message.description}` : "";
      throw this.#protocolError(`answered a command that was never sent${why}`);
    }
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    if (message.kind === "return") pending.resolve(message.value);
    else pending.reject(new QmpCommandError(pending.command, message.errorClass, message.description));
  }

  #checkedResult(command: string, value: unknown): unknown {
    if (!Object.hasOwn(resultSchemas, command)) return value;
    const parsed = resultSchemas[command as keyof typeof resultSchemas].safeParse(value);
    if (parsed.success) return parsed.data;
    throw new GodwitError("GODWIT_QMP_PROTOCOL", `QEMU's answer to "${command}" has an unknown form`, {
      cause: parsed.error,
    });
  }

  #end(error: GodwitError | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closeError = error;
    this.#socket.destroy();
    this.#greeted.reject(this.#whyClosed("the greeting"));
    for (const { command, reject } of this.#pending.values()) reject(this.#whyClosed(command));
    this.#pending.clear();
    this.emit("close", error);
  }

  #whyClosed(waitedFor: string): GodwitError {
    const cause = this.#closeError;
    const message = `the monitor ${this.#path} is closed (waited for ${waitedFor})`;
    if (cause === undefined) return new GodwitError("GODWIT_QMP_CLOSED", message);
    return new GodwitError(cause.code, `${cause.message} (waited for ${waitedFor})`, {
      ...(cause.advice === undefined ? {} : { advice: cause.advice }),
      cause,
    });
  }

  #closedError(): GodwitError {
    return new GodwitError("GODWIT_QMP_CLOSED", `QEMU closed its monitor ${this.#path}`);
  }

  #connectionError(error: Error): GodwitError {
    if (this.#greeting !== undefined) {
      const message = `the monitor ${this.#path} broke: ${error.message}`;
      return new GodwitError("GODWIT_QMP_CLOSED", message, { cause: error });
    }
    return new GodwitError("GODWIT_QMP_CONNECT", `no monitor at ${this.#path}: ${error.message}`, {
      advice: "check that the machine runs",
      cause: error,
    });
  }

  #protocolError(what: string): GodwitError {
    return new GodwitError("GODWIT_QMP_PROTOCOL", `the peer at ${this.#path} ${what}`);
  }
}
