import { GodwitError } from "../../base/errors.ts";

/** What the dialling side says first on a bulk connection: "GWBK", u8 version, three bytes 0, the token. */
export const PREAMBLE_BYTES = 40;

/** Random bytes from `bulk-offer` that tie a bulk connection to its migration. */
export const TOKEN_BYTES = 32;

/** What the listening side answers, one byte. */
export const ANSWER_ACCEPTED = 1;
export const ANSWER_REFUSED = 2;

const PREFIX = Buffer.from([0x47, 0x57, 0x42, 0x4b, 1, 0, 0, 0]);

/**
 * Refuses a token that can't be one, on either side.
 * @throws GodwitError `GODWIT_BULK_TOKEN`
 */
export function checkToken(token: Uint8Array): void {
  if (token.length === TOKEN_BYTES) return;
  throw new GodwitError("GODWIT_BULK_TOKEN", `a token has ${TOKEN_BYTES} bytes, this one ${token.length}`);
}

/** The preamble that carries a token. */
export function preamble(token: Uint8Array): Buffer {
  checkToken(token);
  return Buffer.concat([PREFIX, token]);
}

/** The token in a preamble, or undefined when it is none of this version. */
export function tokenOf(bytes: Buffer): Buffer | undefined {
  if (bytes.length !== PREAMBLE_BYTES || !bytes.subarray(0, PREFIX.length).equals(PREFIX)) return undefined;
  return bytes.subarray(PREFIX.length);
}
