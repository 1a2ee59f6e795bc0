import { checkServerIdentity } from "node:tls";
import { EventSourceParserStream } from "eventsource-parser/stream";
import { Agent, type Dispatcher, request } from "undici";
import { z } from "zod";
import { type ErrorCode, GodwitError } from "../base/errors.ts";
import { type MigrationEvent, migrationEventSchema } from "../migration/events.ts";
import { type MigrationReport, reportSchema } from "../migration/report.ts";
import type { OwnerName } from "../migration/source/operator-word.ts";
import { type Credentials, secureContextOptions } from "../wire/index.ts";
import {
  type CancelResult,
  type CapturedDevices,
  cancelResultSchema,
  capturedDevicesSchema,
  type DoctorReport,
  doctorReportSchema,
  errorBodySchema,
  type HostInfo,
  hostInfoSchema,
  type MachineInfo,
  type MigrationInfo,
  type MigrationRequest,
  machineInfoSchema,
  migrationInfoSchema,
} from "./schemas.ts";

/** Starting or stopping a QEMU takes seconds; half a minute without the head of an answer means a dead agent. */
const ANSWER_TIMEOUT_MS = 30_000;

/** The agent sends a comment every 15 s on an event stream: three missing in a row mean that it is gone. */
const STREAM_SILENCE_MS = 45_000;

const CONNECT_TIMEOUT_MS = 5000;

/**
 * Talks to one agent. Every failure is a {@link GodwitError}: the agent's own, or `GODWIT_AGENT_UNREACHABLE`,
 * `GODWIT_TLS_…` (it did not take our certificate), `GODWIT_AGENT_NOT_TRUSTED` (we did not take its),
 * `GODWIT_AGENT_ANSWER` (it does not speak our API).
 */
export class AgentClient {
  readonly #url: URL;
  readonly #dispatcher: Agent;

  /**
   * @param options.serverName the name to look for in the agent's certificate; the URL's host if absent, and any
   * host's certificate will do when that is this very machine
   */
  constructor(options: { url: string; credentials: Credentials; serverName?: string }) {
    this.#url = new URL(options.url);
    const { serverName } = options;
    const local = isLoopback(this.#url.hostname);
    this.#dispatcher = new Agent({
      connect: {
        ...secureContextOptions(options.credentials),
        maxCachedSessions: 0,
        timeout: CONNECT_TIMEOUT_MS,
        checkServerIdentity: (host, certificate) =>
          serverName === undefined && local
            ? undefined
            : checkServerIdentity(serverName ?? host, certificate),
      },
      headersTimeout: ANSWER_TIMEOUT_MS,
      bodyTimeout: STREAM_SILENCE_MS,
    });
  }

  /** The host and its agent. */
  host(options?: CallOptions): Promise<HostInfo> {
    return this.#call("GET", "/v1/host", hostInfoSchema, options);
  }

  /**
   * Starts the VM that a machine file (YAML text) describes. Relative paths in it are relative to `baseFolder`, a
   * folder on the agent's host.
   */
  startMachine(yaml: string, options: CallOptions & { baseFolder?: string } = {}): Promise<MachineInfo> {
    const body = { type: "application/yaml", text: yaml };
    const query = `?${new URLSearchParams({ baseFolder: options.baseFolder ?? "/" })}`;
    return this.#call("POST", `/v1/machines${query}`, machineInfoSchema, options, body);
  }

  /** Every VM of the host. */
  listMachines(options?: CallOptions): Promise<MachineInfo[]> {
    return this.#call("GET", "/v1/machines", z.array(machineInfoSchema), options);
  }

  /** One VM. */
  machine(name: string, options?: CallOptions): Promise<MachineInfo> {
    return this.#call("GET", `/v1/machines/${encodeURIComponent(name)}`, machineInfoSchema, options);
  }

  /** Ends a VM's QEMU. */
  stopMachine(name: string, options?: CallOptions): Promise<MachineInfo> {
    return this.#call("POST", `/v1/machines/${encodeURIComponent(name)}/stop`, machineInfoSchema, options);
  }

  /** What can be read out of a physical machine's devices. */
  captureDevices(name: string, options?: CallOptions): Promise<CapturedDevices> {
    const path = `/v1/machines/${encodeURIComponent(name)}/devices`;
    return this.#call("POST", path, capturedDevicesSchema, options);
  }

  /** Forgets a VM that does not run there. */
  async deleteMachine(name: string, options?: CallOptions): Promise<void> {
    await this.#call("DELETE", `/v1/machines/${encodeURIComponent(name)}`, z.null(), options);
  }

  /** Begins a migration; follow it with {@link events}. */
  migrate(wanted: MigrationRequest, options?: CallOptions): Promise<MigrationInfo> {
    const body = { type: "application/json", text: JSON.stringify(wanted) };
    return this.#call("POST", "/v1/migrations", migrationInfoSchema, options, body);
  }

  /** Every migration of the host, newest first. */
  listMigrations(options?: CallOptions): Promise<MigrationInfo[]> {
    return this.#call("GET", "/v1/migrations", z.array(migrationInfoSchema), options);
  }

  /** One migration. */
  migration(id: string, options?: CallOptions): Promise<MigrationInfo> {
    return this.#call("GET", `/v1/migrations/${encodeURIComponent(id)}`, migrationInfoSchema, options);
  }

  /** The report of a migration that has ended. */
  report(id: string, options?: CallOptions): Promise<MigrationReport> {
    return this.#call("GET", `/v1/migrations/${encodeURIComponent(id)}/report`, reportSchema, options);
  }

  /** Asks a migration to stop before its commit. */
  cancel(id: string, options?: CallOptions): Promise<CancelResult> {
    return this.#call("POST", `/v1/migrations/${encodeURIComponent(id)}/cancel`, cancelResultSchema, options);
  }

  /** Decides who has a VM in doubt, once it is known that its destination will never answer. */
  resolve(id: string, owner: OwnerName, options?: CallOptions): Promise<MigrationInfo> {
    const path = `/v1/migrations/${encodeURIComponent(id)}/resolve`;
    const body = { type: "application/json", text: JSON.stringify({ owner }) };
    return this.#call("POST", path, migrationInfoSchema, options, body);
  }

  /** Checks whether the agent's host can do its work. */
  doctor(options?: CallOptions): Promise<DoctorReport> {
    return this.#call("GET", "/v1/doctor", doctorReportSchema, options);
  }

  /** The OpenAPI document. */
  openApi(options?: CallOptions): Promise<Record<string, unknown>> {
    return this.#call("GET", "/openapi.json", z.record(z.string(), z.unknown()), options);
  }

  /**
   * The events of a migration from its first on (or after number `after`), until its report. A stream that ends
   * without a report ends here too: the agent died meanwhile or is about to.
   */
  async *events(
    id: string,
    options: CallOptions & { after?: number } = {},
  ): AsyncGenerator<MigrationEvent, void, void> {
    const { signal, after } = options;
    const response = await this.#send("GET", `/v1/migrations/${encodeURIComponent(id)}/events`, {
      signal,
      headers: {
        accept: "text/event-stream",
        ...(after === undefined ? {} : { "last-event-id": String(after) }),
      },
    });
    if (response.statusCode !== 200) throw await refusal(response);
    const messages = response.body;
    try {
      const parsed = ReadableStream.from(messages as AsyncIterable<Uint8Array>)
        .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
        .pipeThrough(new EventSourceParserStream());
      for await (const { data } of parsed) {
        const event = migrationEventSchema.safeParse(jsonOrNull(data));
        if (!event.success) throw notOurs("an event is not in the expected format");
        yield event.data;
        if (event.data.type === "report") return;
      }
    } catch (error) {
      if (signal?.aborted === true) return;
      throw this.#explain(error);
    } finally {
      messages.destroy();
    }
  }

  /** Closes the connections. */
  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }

  async #call<Schema extends z.ZodType>(
    method: Dispatcher.HttpMethod,
    path: string,
    schema: Schema,
    options: CallOptions = {},
    body?: { type: string; text: string },
  ): Promise<z.output<Schema>> {
    const response = await this.#send(method, path, {
      signal: options.signal,
      headers: body === undefined ? {} : { "content-type": body.type },
      ...(body === undefined ? {} : { body: body.text }),
    });
    if (response.statusCode >= 400) throw await refusal(response);
    let text: string;
    try {
      text = await response.body.text();
    } catch (error) {
      throw this.#explain(error);
    }
    const answer = schema.safeParse(text === "" ? null : jsonOrNull(text));
    if (!answer.success) throw notOurs(`${method} ${path}: ${answer.error.issues[0]?.message ?? "?"}`);
    return answer.data;
  }

  async #send(
    method: Dispatcher.HttpMethod,
    path: string,
    options: { headers: Record<string, string>; body?: string; signal: AbortSignal | undefined },
  ): Promise<Dispatcher.ResponseData> {
    try {
      return await request(new URL(path, this.#url), {
        dispatcher: this.#dispatcher,
        method,
        headers: options.headers,
        ...(options.body === undefined ? {} : { body: options.body }),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
    } catch (error) {
      if (options.signal?.aborted === true) throw options.signal.reason;
      throw this.#explain(error);
    }
  }

  #explain(error: unknown): GodwitError {
    if (error instanceof GodwitError) return error;
    const { code = "", message } = error as NodeJS.ErrnoException;
    const at = `the agent at ${this.#url.host}`;
    if (/CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS|ERR_SSL/.test(code)) {
      return new GodwitError("GODWIT_AGENT_NOT_TRUSTED", `${at} is not to be trusted: ${message}`, {
        side: "local",
        advice: "is --pki the agents' authority, and does the agent's certificate carry this host name?",
        cause: error,
      });
    }
    return new GodwitError("GODWIT_AGENT_UNREACHABLE", `${at} can't be reached: ${message || code}`, {
      side: "local",
      advice: "is `godwit agent` running there? give its address with --agent URL",
      cause: error,
    });
  }
}

/** What every call takes. */
export interface CallOptions {
  readonly signal?: AbortSignal;
}

async function refusal(response: Dispatcher.ResponseData): Promise<GodwitError> {
  const text = await response.body.text().catch(() => "");
  const error = errorBodySchema.safeParse(jsonOrNull(text));
  if (!error.success) return notOurs(`status ${response.statusCode} without an error of ours`);
  return GodwitError.fromRecord({ ...error.data, code: error.data.code as ErrorCode });
}

function notOurs(what: string): GodwitError {
  return new GodwitError("GODWIT_AGENT_ANSWER", `the agent's answer makes no sense: ${what}`, {
    side: "local",
    advice: "is that a Godwit agent, and of the same version?",
  });
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
