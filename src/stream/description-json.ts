import { asBuffer } from "./bytes.ts";
import { streamError } from "./errors.ts";

/** Brackets. QEMU reaches 14 with a PC full of devices; much deeper texts are an attack on the stack. */
const MAX_DEPTH = 64;

/**
 * JSON of bounded depth, not yet checked any further.
 * @throws GodwitError `GODWIT_STREAM_BAD_DESCRIPTION`
 */
export function parseJson(json: Uint8Array): unknown {
  const why = whyNotJson(json);
  if (why !== undefined) throw badDescription(why);
  try {
    return JSON.parse(asBuffer(json).toString("utf8"));
  } catch (cause) {
    throw badDescription(cause instanceof Error ? cause.message : String(cause));
  }
}

/** What is wrong with the description of the devices. */
export function badDescription(what: string): Error {
  return streamError("GODWIT_STREAM_BAD_DESCRIPTION", `the description of the devices is wrong: ${what}`);
}

/**
 * Looks for what JSON.parse must not get: deep nesting, and a byte 0, which no JSON has but all binary data does, so
 * that a look at many beginnings of one text stays cheap. Brackets in strings count too: QEMU's names hold none, and
 * a wrong refusal is only an error message.
 */
function whyNotJson(json: Uint8Array): string | undefined {
  let depth = 0;
  for (let index = 0; index < json.length; index++) {
    const byte = json[index]!;
    if (byte === 0x5b || byte === 0x7b) {
      if (++depth > MAX_DEPTH) return `nested deeper than ${MAX_DEPTH} levels`;
    } else if (byte === 0x5d || byte === 0x7d) depth--;
    else if (byte === 0) return "binary data";
  }
  return undefined;
}
