import { z } from "zod";
import { GodwitError } from "../base/errors.ts";
import type { QmpEvent } from "./qmp-events.ts";

/** What QEMU says first on a monitor. */
export interface QmpGreeting {
  readonly version: { readonly major: number; readonly minor: number; readonly micro: number };
  readonly capabilities: readonly string[];
}

/** One line of a QMP monitor, understood (docs/interop/qmp-spec). */
export type QmpMessage =
  | { readonly kind: "greeting"; readonly greeting: QmpGreeting }
  | { readonly kind: "return"; readonly id: unknown; readonly value: unknown }
  | {
      readonly kind: "error";
      readonly id: unknown;
      readonly errorClass: string;
      readonly description: string;
    }
  | { readonly kind: "event"; readonly event: QmpEvent };

const greetingSchema = z.looseObject({
  QMP: z.looseObject({
    version: z.looseObject({
      qemu: z.looseObject({ major: z.number(), minor: z.number(), micro: z.number() }),
    }),
    capabilities: z.array(z.unknown()).default([]),
  }),
});

const errorSchema = z.looseObject({ error: z.looseObject({ class: z.string(), desc: z.string() }) });

const eventSchema = z.looseObject({
  event: z.string(),
  data: z.unknown().optional(),
  timestamp: z.looseObject({ seconds: z.number(), microseconds: z.number() }),
});

/**
 * Reads one line of a monitor.
 * @throws GodwitError `GODWIT_QMP_PROTOCOL` when it is no message that QMP knows
 */
export function parseQmpMessage(line: string): QmpMessage {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw protocolError("the peer sent a line that is not JSON", line, error);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw protocolError("the peer sent a line that is not an object", line);
  }
  if ("return" in value) return { kind: "return", id: idOf(value), value: value.return };
  if ("error" in value) {
    const { error } = checked(errorSchema, value, line);
    return { kind: "error", id: idOf(value), errorClass: error.class, description: error.desc };
  }
  if ("event" in value) {
    const { event, data, timestamp } = checked(eventSchema, value, line);
    const timestampMs = timestamp.seconds * 1000 + timestamp.microseconds / 1000;
    return { kind: "event", event: { name: event, data, timestampMs } };
  }
  if ("QMP" in value) {
    const { QMP } = checked(greetingSchema, value, line);
    const { major, minor, micro } = QMP.version.qemu;
    const capabilities = QMP.capabilities.filter((capability) => typeof capability === "string");
    return { kind: "greeting", greeting: { version: { major, minor, micro }, capabilities } };
  }
  throw protocolError("the peer sent an object that is no QMP message", line);
}

function idOf(message: object): unknown {
  return "id" in message ? message.id : undefined;
}

function checked<Schema extends z.ZodType>(schema: Schema, value: unknown, line: string): z.infer<Schema> {
  const result = schema.safeParse(value);
  if (!result.success) throw protocolError("the peer sent a malformed QMP message", line, result.error);
  return result.data;
}

/** How much of a wrong line a message shows: enough to recognise it, too little to flood a log. */
const SHOWN_CHARACTERS = 120;

function protocolError(what: string, line: string, cause?: unknown): GodwitError {
  const shown = JSON.stringify(line.slice(0, SHOWN_CHARACTERS));
  return new GodwitError("GODWIT_QMP_PROTOCOL", `${what}: ${shown}`, {
    advice: "check that the socket belongs to a QEMU monitor in control mode",
    cause,
  });
}
