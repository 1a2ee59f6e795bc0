import { Readable } from "node:stream";
import { z } from "zod";
import { followLines } from "../event-log.ts";
import { migrationIdPattern } from "../schemas.ts";
import { type Api, type ApiContext, errorResponses } from "./context.ts";

/** Proxies cut silent connections after 30 to 60 s; a comment keeps the stream alive and finds dead readers. */
const HEARTBEAT_MS = 15_000;

/** Event streams at once: each holds a file and a socket, and far fewer people ever look at one host. */
const MAX_STREAMS = 64;

/** Streams whose migrations have ended finish by themselves within this; the others are cut when the agent ends. */
const CLOSE_GRACE_MS = 1000;

/** `/v1/migrations/:id/events`: the event log as server-sent events, from its start or after `Last-Event-ID`. */
export function eventRoutes(api: Api, { desk }: ApiContext): void {
  const streams = new Map<AbortController, Promise<void>>();
  api.addHook("preClose", async () => {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, CLOSE_GRACE_MS);
    await Promise.race([Promise.all(streams.values()), late]);
    clearTimeout(timer);
    for (const abort of streams.keys()) abort.abort();
  });
  api.get(
    "/v1/migrations/:id/events",
    {
      schema: {
        operationId: "followMigration",
        summary: "The events of a migration as server-sent events",
        description:
          "Replays the event log from its start, or after the event whose number is in Last-Event-ID, then " +
          "follows it. Each message has the event's number as `id`, its type as `event` and one MigrationEvent " +
          "as `data`. The stream ends after the `report` event.",
        params: z.object({ id: z.string().regex(migrationIdPattern, "not a migration's id") }),
        headers: z.looseObject({
          "last-event-id": z
            .string()
            .regex(/^\d{1,9}$/)
            .optional(),
        }),
        response: {
          200: {
            description: "The event stream",
            content: { "text/event-stream": { schema: z.string() } },
          },
          ...errorResponses,
        },
      },
    },
    async (request, reply) => {
      const { path, isOver } = desk.eventLog(request.params.id);
      if (streams.size >= MAX_STREAMS) return reply.code(503).send(tooMany());
      const last = request.headers["last-event-id"];
      const abort = new AbortController();
      const { promise: ended, resolve: end } = Promise.withResolvers<void>();
      streams.set(abort, ended);
      reply.raw.once("close", () => {
        streams.delete(abort);
        abort.abort();
        end();
      });
      const from = last === undefined ? 0 : Number(last) + 1;
      const settled = () => desk.settled(request.params.id);
      const events = serverSentEvents(path, { from, isOver, settled, signal: abort.signal });
      const stream = Readable.from(withHeartbeat(events, abort.signal), {
        objectMode: false,
        highWaterMark: 16_384,
      });
      reply.type("text/event-stream").header("cache-control", "no-store");
      return reply.send(stream as unknown as string);
    },
  );
}

function tooMany() {
  return {
    code: "GODWIT_TOO_MANY_STREAMS",
    message: `${MAX_STREAMS} event streams are open already`,
    advice: "close one, or ask for the migration's state instead",
  };
}

async function* serverSentEvents(
  path: string,
  options: { from: number; isOver: () => boolean; settled: () => Promise<void>; signal: AbortSignal },
): AsyncGenerator<string> {
  const { settled, ...following } = options;
  const isLast = (text: string) => typeOf(text) === "report";
  for await (const { index, text } of followLines(path, { ...following, isLast })) {
    // Who has read the report may ask for the VM's state at once: it must be settled by then.
    if (isLast(text)) await settled();
    yield `id: ${index}\nevent: ${typeOf(text)}\ndata: ${text}\n\n`;
  }
}

/** The type of an event without reading all of it twice; the log's writer puts it where it likes. */
function typeOf(text: string): string {
  try {
    const { type } = JSON.parse(text) as { type?: unknown };
    return typeof type === "string" && /^[a-z-]+$/.test(type) ? type : "message";
  } catch {
    return "message";
  }
}

async function* withHeartbeat(events: AsyncGenerator<string>, signal: AbortSignal): AsyncGenerator<string> {
  try {
    yield ": godwit\n\n";
    let next = events.next();
    while (!signal.aborted) {
      const { promise: quiet, resolve } = Promise.withResolvers<null>();
      const timer = setTimeout(resolve, HEARTBEAT_MS, null);
      const result = await Promise.race([next, quiet]).finally(() => clearTimeout(timer));
      if (result === null) yield ": alive\n\n";
      else if (result.done === true) return;
      else {
        yield result.value;
        next = events.next();
      }
    }
  } finally {
    // Whoever drops this generator in the middle would leave the log's watcher open.
    await events.return(undefined);
  }
}
