import { readUint32 } from "./bytes.ts";
import { COMMAND } from "./commands.ts";
import { streamError } from "./errors.ts";
import { RECORD } from "./format.ts";

const LISTEN = Uint8Array.of(RECORD.command, 0, COMMAND.postcopyListen, 0, 0);
const RUN = Uint8Array.of(RECORD.command, 0, COMMAND.postcopyRun, 0, 0);
const PING = Uint8Array.of(RECORD.command, 0, COMMAND.ping, 0, 4);
const PING_BYTES = 9;
const FOOTER_BYTES = 5;

/** What a post-copy package holds. */
export interface PostcopyPackage {
  /** Whether it begins with LISTEN. */
  readonly listens: boolean;
  /** The FULL sections, verbatim; a view into the package. */
  readonly deviceState: Uint8Array;
  /** The number of the PING behind the sections, whose answer proves that the devices are loaded. */
  readonly ping: number | undefined;
  /** Whether it ends with RUN. */
  readonly runs: boolean;
}

/**
 * Takes the payload of a PACKAGED command apart: LISTEN, device sections, PING, RUN. The sections have no length
 * and post-copy streams no description, so what is around them is recognized from both ends.
 * @throws GodwitError `GODWIT_STREAM_BAD_COMMAND`
 */
export function readPackage(payload: Uint8Array): PostcopyPackage {
  const listens = holdsAt(payload, 0, LISTEN);
  const runs = holdsAt(payload, payload.length - RUN.length, RUN);
  const start = listens ? LISTEN.length : 0;
  let end = payload.length - (runs ? RUN.length : 0);
  let ping: number | undefined;
  const pingAt = end - PING_BYTES;
  const behindFooter = pingAt === start || payload[pingAt - FOOTER_BYTES] === RECORD.footer;
  if (holdsAt(payload, pingAt, PING) && behindFooter) {
    ping = readUint32(payload, pingAt + PING.length);
    end = pingAt;
  }
  if (end < start) throw streamError("GODWIT_STREAM_BAD_COMMAND", "a malformed post-copy package");
  return { listens, deviceState: payload.subarray(start, end), ping, runs };
}

function holdsAt(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  return at >= 0 && expected.every((value, index) => bytes[at + index] === value);
}
