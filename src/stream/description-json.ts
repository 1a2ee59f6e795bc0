import { asBuffer } from "./bytes.ts";
import { streamError } from "./errors.ts";

/** Levels. QEMU reaches 14 with a PC full of devices; much deeper texts are an attack on the stack. */
export const MAX_DEPTH = 64;

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

/** Whether a text has a byte 0, which no JSON has but all binary data does. */
export function hasByteZero(bytes: Uint8Array): boolean {
  return asBuffer(bytes).includes(0);
}

/** What is wrong with the description of the devices. */
export function badDescription(what: string): Error {
  return streamError("GODWIT_STREAM_BAD_DESCRIPTION", `the description of the devices is wrong: ${what}`);
}

/**
 * Looks for what those who go through the text's value must not get, deep nesting, and for what is no text. Brackets in
 * strings count too: QEMU's names hold none, and a wrong refusal is only an error message.
 */
function whyNotJson(json: Uint8Array): string | undefined {
  if (hasByteZero(json)) return "binary data";
  let depth = 0;
  for (let index = 0; index < json.length; index++) {
    const byte = json[index]!;
    if (byte === 0x5b || byte === 0x7b) {
      if (++depth > MAX_DEPTH) return `nested deeper than ${MAX_DEPTH} levels`;
    } else if (byte === 0x5d || byte === 0x7d) depth--;
  }
  return undefined;
}
