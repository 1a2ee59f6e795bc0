import { z } from "zod";
import { GodwitError } from "../../base/errors.ts";
import type { AnyMessageDefinition } from "../messages/define.ts";
import { definitionOfCode, definitionOfType, type Message, messageDefinitions } from "../messages/index.ts";
import { encodeFrame, type Frame } from "./framing.ts";

/** Which part this end plays in migrations; a link has one source and one destination. */
export type ChannelRole = "source" | "destination";

/**
 * A message as a frame, judged by the same validator as on arrival.
 * @throws GodwitError `GODWIT_WIRE_INVALID`, `GODWIT_WIRE_TOO_LARGE`
 */
export function encodeMessage(message: Message, role: ChannelRole): Buffer {
  const definition = definitionOfType(message.type);
  if (definition === undefined) throw invalid(`there is no message "${message.type}"`);
  checkDirection(definition, role);
  const { type, payload, ...fields } = message as Message & { payload?: Uint8Array };
  checkPayload(definition, payload?.length);
  return encodeFrame(definition.code, JSON.stringify(parse(definition, fields)), payload);
}

/**
 * The message in a frame from the peer.
 * @param role the part this end plays
 * @throws GodwitError `GODWIT_WIRE_UNKNOWN`, `GODWIT_WIRE_INVALID`
 */
export function decodeMessage(frame: Frame, role: ChannelRole): Message {
  const definition = definitionOfCode(frame.code);
  if (definition === undefined) {
    throw new GodwitError(
      "GODWIT_WIRE_UNKNOWN",
      `the peer sent a message of the unknown type ${frame.code}`,
      {
        advice: "it may only do so when both sides named the feature; run the same version on both hosts",
      },
    );
  }
  checkDirection(definition, role === "source" ? "destination" : "source");
  checkPayload(definition, frame.payload.length);
  let json: unknown;
  try {
    json = JSON.parse(frame.json.toString("utf8"));
  } catch {
    throw invalid(`the header of a "${definition.type}" message isn't JSON`);
  }
  const fields = parse(definition, json);
  const payload = definition.payload === "required" ? { payload: frame.payload } : {};
  return { type: definition.type, ...fields, ...payload } as Message;
}

/**
 * Judges an example of every message: a validator is made by its first use, which takes 1 to 4 ms, and without this six
 * of them are first used while a guest stands still.
 */
export function prepareValidators(): void {
  for (const { schema, examples } of messageDefinitions) {
    for (const example of examples) schema.safeParse(example);
  }
}

function parse(definition: AnyMessageDefinition, fields: unknown): Record<string, unknown> {
  let result: z.ZodSafeParseResult<Record<string, unknown>>;
  try {
    result = definition.schema.safeParse(fields);
  } catch (thrown) {
    throw invalid(`a "${definition.type}" message can't be judged: ${String(thrown)}`);
  }
  if (result.success) return result.data;
  throw invalid(
    `a "${definition.type}" message is wrong: ${z
      .prettifyError(result.error)
      .replaceAll(/\s*\n\s*/g, " ")
      .slice(0, 500)}`,
  );
}

function checkDirection(definition: AnyMessageDefinition, sender: ChannelRole): void {
  const allowed = sender === "source" ? "source-to-destination" : "destination-to-source";
  if (definition.direction !== "both" && definition.direction !== allowed) {
    throw invalid(`a ${sender} never sends "${definition.type}"`);
  }
}

function checkPayload(definition: AnyMessageDefinition, bytes: number | undefined): void {
  if (definition.payload === "required" && bytes === undefined) {
    throw invalid(`a "${definition.type}" message needs a payload`);
  }
  if (definition.payload === "none" && bytes !== undefined && bytes > 0) {
    throw invalid(`a "${definition.type}" message has no payload, this one has ${bytes} bytes`);
  }
}

function invalid(message: string): GodwitError {
  return new GodwitError("GODWIT_WIRE_INVALID", message, {
    advice: "run the same version of Godwit on both hosts",
  });
}
