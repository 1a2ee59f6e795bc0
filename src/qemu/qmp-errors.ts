import { type ErrorCode, GodwitError } from "../base/errors.ts";

/** QEMU carried out a command with an error. The code is `GODWIT_QMP_UNKNOWN_COMMAND` or `GODWIT_QMP_COMMAND`. */
export class QmpCommandError extends GodwitError {
  /** The command's name. */
  readonly command: string;
  /** QEMU's error class: `GenericError`, `CommandNotFound`, `DeviceNotFound` … */
  readonly errorClass: string;
  /** QEMU's own words. */
  readonly description: string;

  constructor(command: string, errorClass: string, description: string) {
    super(codeOf(errorClass), `QEMU refused "${command}" (${errorClass}): ${description}`);
    this.command = command;
    this.errorClass = errorClass;
    this.description = description;
  }
}

function codeOf(errorClass: string): ErrorCode {
  return errorClass === "CommandNotFound" ? "GODWIT_QMP_UNKNOWN_COMMAND" : "GODWIT_QMP_COMMAND";
}
