/** Which end of a migration an error happened on; `local` where no migration is involved. */
export type Side = "source" | "destination" | "local";

/** What a {@link GodwitError} can say besides its message. */
export interface GodwitErrorDetails {
  /** The end on which it happened. */
  readonly side?: Side;
  /** The migration's phase at that moment. */
  readonly phase?: string;
  /** What the VM does now, in words: "running at the source", "paused at both sides". */
  readonly vmState?: string;
  /** What the reader can do about it. */
  readonly advice?: string;
  readonly cause?: unknown;
}

/** A stable code: it never changes its meaning once released. */
export type ErrorCode = `GODWIT_${string}`;

/** The plain-data form of a {@link GodwitError}: what reports, the wire and `--json` carry. */
export interface ErrorRecord {
  readonly code: ErrorCode;
  readonly message: string;
  readonly side?: Side | undefined;
  readonly phase?: string | undefined;
  readonly vmState?: string | undefined;
  readonly advice?: string | undefined;
}

/**
 * The one error class of Godwit. The message says what happened; the details say which side, in which phase,
 * what state the VM is in now and what to do.
 */
export class GodwitError extends Error {
  override readonly name = "GodwitError";
  readonly code: ErrorCode;
  readonly side: Side | undefined;
  readonly phase: string | undefined;
  readonly vmState: string | undefined;
  readonly advice: string | undefined;

  constructor(code: ErrorCode, message: string, details: GodwitErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.side = details.side;
    this.phase = details.phase;
    this.vmState = details.vmState;
    this.advice = details.advice;
  }

  /** The same error with details filled in where it had none: inner rooms know what, outer rooms know where. */
  with(
    details: { readonly [Key in keyof GodwitErrorDetails]: GodwitErrorDetails[Key] | undefined },
  ): GodwitError {
    return new GodwitError(this.code, this.message, {
      ...pick("side", this.side ?? details.side),
      ...pick("phase", this.phase ?? details.phase),
      ...pick("vmState", this.vmState ?? details.vmState),
      ...pick("advice", this.advice ?? details.advice),
      cause: this.cause ?? details.cause,
    });
  }

  /** The same error with details replaced: what the other side said of the VM may have changed since. */
  now(details: GodwitErrorDetails): GodwitError {
    return new GodwitError(this.code, this.message, details).with(this);
  }

  toJSON(): ErrorRecord {
    return {
      code: this.code,
      message: this.message,
      ...pick("side", this.side),
      ...pick("phase", this.phase),
      ...pick("vmState", this.vmState),
      ...pick("advice", this.advice),
    };
  }

  /** Rebuilds an error that crossed a process or the wire as a record. */
  static fromRecord(record: ErrorRecord): GodwitError {
    return new GodwitError(record.code, record.message, {
      ...pick("side", record.side),
      ...pick("phase", record.phase),
      ...pick("vmState", record.vmState),
      ...pick("advice", record.advice),
    });
  }
}

/** Any thrown value as a {@link GodwitError}; a foreign one gets `code`. */
export function asGodwitError(
  thrown: unknown,
  code: ErrorCode,
  details: GodwitErrorDetails = {},
): GodwitError {
  if (thrown instanceof GodwitError) return thrown.with(details);
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new GodwitError(code, message, { ...details, cause: thrown });
}

function pick<Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } {
  return value === undefined ? {} : ({ [key]: value } as { [K in Key]?: Value });
}
