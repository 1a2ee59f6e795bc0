import { GodwitError } from "../base/errors.ts";

/** What can be wrong with a stream. The codes are stable. */
export type StreamErrorCode =
  | "GODWIT_STREAM_BAD_MAGIC"
  | "GODWIT_STREAM_VERSION"
  | "GODWIT_STREAM_TRUNCATED"
  | "GODWIT_STREAM_UNKNOWN_RECORD"
  | "GODWIT_STREAM_UNEXPECTED_RECORD"
  | "GODWIT_STREAM_UNKNOWN_SECTION"
  | "GODWIT_STREAM_UNKNOWN_COMMAND"
  | "GODWIT_STREAM_UNKNOWN_FLAGS"
  | "GODWIT_STREAM_UNKNOWN_BLOCK"
  | "GODWIT_STREAM_BAD_BLOCKS"
  | "GODWIT_STREAM_PAGE_OUT_OF_RANGE"
  | "GODWIT_STREAM_BAD_FOOTER"
  | "GODWIT_STREAM_CAPABILITY"
  | "GODWIT_STREAM_OVERSIZED"
  | "GODWIT_STREAM_BAD_DESCRIPTION"
  | "GODWIT_STREAM_BAD_DEVICES"
  | "GODWIT_STREAM_BAD_COMMAND"
  | "GODWIT_STREAM_BAD_MESSAGE"
  | "GODWIT_STREAM_ENDED";

/**
 * An error about the stream's contents.
 * @param offset where the offending record begins, in bytes from the start of the stream
 */
export function streamError(
  code: StreamErrorCode,
  what: string,
  offset?: number,
  advice?: string,
): GodwitError {
  const where = offset === undefined ? "" : ` (at byte ${offset} of the stream)`;
  return new GodwitError(
    code,
    `QEMU's migration stream: ${what}${where}`,
    advice === undefined ? {} : { advice },
  );
}

/** A record that belongs to a migration capability which Godwit does not carry. */
export function capabilityError(capability: string, what: string, offset: number): GodwitError {
  return streamError(
    "GODWIT_STREAM_CAPABILITY",
    `${what} needs the migration capability "${capability}"`,
    offset,
    `switch the capability "${capability}" off on the source QEMU`,
  );
}
