import { z } from "zod";
import type { ErrorCode } from "../../base/errors.ts";

/** Names of machines, hosts and types: DNS names end at 253 characters, QEMU's at less. Safe to print. */
export const nameField = z
  .string()
  .max(255)
  .regex(/^\P{Cc}+$/u);

/** A migration's identity, chosen by the source: letters that are safe in file names and logs. */
export const migrationIdField = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);

/** An amount of bytes or pages, exact in a JavaScript number (up to 8 PiB). */
export const countField = z.int().nonnegative();

/** Milliseconds since 1970, with fractions where the sender's clock has them. */
export const epochMsField = z.number().finite().nonnegative();

/** Processor seconds used so far by one side. */
export const cpuSecondsField = z.number().finite().nonnegative();

/** A version as QEMU reports it, such as `10.0.2` or `7.2.22 (Debian 1:7.2+dfsg-7)`. */
export const versionField = z.string().min(1).max(128);

/**
 * A RAM block as QEMU's stream announces it. The name's length is one byte there; page sizes go from 4 KiB to
 * the 1 GiB of x86's largest huge page.
 */
export const ramBlockField = z.strictObject({
  name: z.string().min(1).max(255),
  usedBytes: countField,
  pageSizeBytes: z
    .int()
    .min(4096)
    .max(2 ** 30),
});

/** Machines have tens of RAM blocks, one per memory device and ROM; 1,024 leaves room and bounds the header. */
export const ramBlocksField = z.array(ramBlockField).min(1).max(1024);

/** A JSON object whose content another room checks (a machine file, settings). */
export const plainObjectField = z.record(z.string().max(255), z.unknown());

const textField = z.string().max(8192);

/** An error that crosses the wire; the same shape as `ErrorRecord` in reports. */
export const errorRecordField = z.strictObject({
  code: z.custom<ErrorCode>(
    (value) => typeof value === "string" && /^GODWIT_[A-Z0-9_]{1,56}$/.test(value),
    "not an error code",
  ),
  message: textField,
  side: z.enum(["source", "destination", "local"]).optional(),
  phase: z.string().max(64).optional(),
  vmState: textField.optional(),
  advice: textField.optional(),
});
